"""The memo: a key follows imports and contents, so that a change makes again what depends on it."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from rurklib import InputError, study
from rurklib.perturb import PERTURBATIONS
from rurklib.residual.counts import Measurement
from rurklib.study import attack, memo, models, source
from rurklib.study import measurement as measure
from rurklib.study.books import folder, read
from rurklib.study.ids import ModelId
from rurklib.study.run import open_run
from rurklib.study.scenario import literal
from rurklib.unlearn.contract import METHODS

SMALL = {"training.epochs": 1, "references": 2, "draws": 1, "taus": [0.0, 0.2],
         "methods": ["GD", "RURK"],
         "train_images": 200, "GD.epochs": 1, "RURK.epochs": 1}  # fmt: skip
MODELS = {"Original", "Re-train", "GD", "RURK"}
COUNTS = {"counts", "counts found by pgd"}
ALL = {*MODELS, *COUNTS, "attacks", "curves notebook"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = open_run("digits", tmp_path_factory.mktemp("memo") / "r", seeds=[0], settings=SMALL)
    study.train(run)
    study.unlearn(run)
    return run


@pytest.fixture(scope="module")
def before(run) -> dict[str, str]:
    return keys(run)


@pytest.fixture
def edited(monkeypatch):
    """``edited(module, change)``: the package as if that module's text were another; the others are
    not read again."""
    whole = {n: getattr(source, n) for n in ("read_source", "_tree", "_imported_by", "_statements")}

    def edit(module, change):
        text = change(whole["read_source"](module))
        monkeypatch.setattr(source, "read_source", lambda _: text)
        for name in list(whole)[1:]:
            cached = whole[name]
            fresh = lambda m, f=cached: f.__wrapped__(m) if m == module else f(m)  # noqa: E731
            monkeypatch.setattr(source, name, fresh)

    return edit


def keys(run) -> dict[str, str]:
    """The key of one artefact of every kind."""
    gd, notebook = ModelId("GD", 0), read(folder() / "03_residual_knowledge.ipynb")
    found = {
        "Original": models.content_of(run, ModelId("Original", 0)),
        "Re-train": models.content_of(run, run.names("Re-train")[0]),
        "GD": models.content_of(run, gd),
        "RURK": models.content_of(run, ModelId("RURK", 0)),
        "attacks": attack._keys(run, [gd], attack.SETTINGS)[gd],
        "curves notebook": source.source_of_text(notebook.python),
    }
    for name, perturbation in (("counts", "gaussian"), ("counts found by pgd", "pgd")):
        question = measure.Question(run, Measurement(run.scenario.taus, perturbation, 1))
        found[name] = question.keys([gd])[gd]
    return found


TRAINING = {"Original", "Re-train"}
DEPENDS = {
    "rurklib.checks": ALL,
    "rurklib.models": ALL,
    "rurklib.train": ALL,
    "rurklib.unlearn.fine_tuning": {"GD", "RURK", "curves notebook"},
    "rurklib.unlearn.rurk": {"RURK", "curves notebook"},
    "rurklib.perturb": ALL,
    "rurklib.residual.counts": {*COUNTS, "attacks", "curves notebook"},
    "rurklib.residual.verdict": {"curves notebook"},
    "rurklib.nearest": {"attacks", "curves notebook"},
    "rurklib.study.figures.curves": {"curves notebook"},
    "rurklib.study.panels.panel": set(),
}


@pytest.mark.parametrize("module", DEPENDS)
def test_a_changed_statement_makes_again_what_depends_on_its_module(run, before, edited, module):
    """Fails if a checkpoint stays in use though its code changed (a list kept by hand), or if a
    changed plot throws trained models away (a hash of everything)."""
    edited(module, lambda text: text + "\nCHANGED = 1\n")
    after = keys(run)
    assert {name for name in before if before[name] != after[name]} == DEPENDS[module]


def test_a_changed_explanation_makes_nothing_again(run, before, edited):
    """Comments, layout, docstrings and the words of an error don't count; its condition does."""
    text = source.read_source("rurklib.checks")
    message = "expected a whole number of at least"
    assert message in text

    def explain(text: str) -> str:
        text = text.replace('"""Return', '"""Give back').replace(message, "a count is at least")
        return "# A comment.\n\n" + text + "\n# Another.\n"

    edited("rurklib.checks", explain)
    assert keys(run) == before
    edited("rurklib.checks", lambda text: text.replace("value < low", "value <= low"))
    assert keys(run) != before


def test_what_is_taken_from_a_package_is_followed_to_its_module():
    """Fails if a face counts whole (eighteen other methods in GD's key), or not at all."""
    found = {
        text: source._reached(set(source._imports(source.ast.parse(text))))
        for text in (
            "from rurklib.unlearn import fine_tuning",
            "from rurklib import unlearn",
            "import rurklib\nrurklib.data.digits()",
            "def f():\n    from rurklib import study\n    return study.verdicts",
        )
    }
    gd, whole, digits, lazy = found.values()
    assert "rurklib.unlearn.fine_tuning" in gd
    assert "rurklib.unlearn.rurk" not in gd
    assert "rurklib.unlearn.contract" in whole
    assert digits >= {"rurklib.data"}
    assert not any(name.startswith("rurklib.unlearn") for name in digits)
    assert "rurklib.study.measurement" in lazy


def test_a_function_of_somebodys_own_counts_by_its_text_and_what_it_uses():
    def one(x):
        return literal(x)

    def other(x):
        return literal(x) + 1

    assert source.source_of(one) != source.source_of(other)
    assert source.source_of(METHODS["GD"]) != source.source_of(METHODS["SCRUB"])


def test_functions_made_by_one_factory_count_by_what_they_hold():
    """Fails if two of equal text share a key, or what has no content is passed over."""

    def made(held):
        return lambda x: held

    laws = [PERTURBATIONS[f"uniform-l{p}"].sample for p in (1, 2)]
    makers = [made(1), made(2), made(made(1)), made(len), partial(made, 1), partial(made, 2), *laws]
    assert len({memo.key(maker, {}) for maker in makers}) == len(makers)
    assert memo.key(made(torch.ones(2)), {}) == memo.key(made(torch.ones(2)), {})
    with pytest.raises(TypeError, match="set has no content"):
        memo.key(made({1}), {})


def test_inputs_count_by_content():
    """Fails if two tensors or nets are told apart by where they are, or not by what they hold."""
    net = nn.Linear(2, 1)
    again = nn.Linear(2, 1)
    again.load_state_dict(net.state_dict())
    x = torch.arange(4.0)
    one = memo.digest({"net": net, "x": x, "values": (1, "a")})
    assert one == memo.digest({"values": [1, "a"], "x": x.clone(), "net": again})
    nn.init.zeros_(again.bias)
    assert one != memo.digest({"net": again, "x": x, "values": (1, "a")})
    assert one != memo.digest({"net": net, "x": -x, "values": (1, "a")})
    assert memo.digest(Measurement([0.1])) != memo.digest(Measurement([0.1], draws=7))
    with pytest.raises(TypeError, match="set"):
        memo.digest({"a": {1}})


@pytest.mark.parametrize(
    ("name", "value", "codec"),
    [
        ("a.npz", {"hits": np.arange(3)}, memo.ARRAYS),
        ("a.json", {"retain": [1.5, 2.0]}, memo.JSON),
        ("a.safetensors", memo.Checkpoint({"w": torch.ones(2)}, {"seconds": 1.0}), memo.WEIGHTS),
    ],
)
def test_what_is_there_under_its_key_is_not_made_again(tmp_path, name, value, codec):
    made = []

    def make():
        made.append(1)
        return value

    for key, times in (("one", 1), ("one", 1), ("two", 2), ("one", 3)):
        got = memo.memo(tmp_path / name, make, key, codec)
        assert len(made) == times
        assert memo.fresh(tmp_path / name, key, codec)
        assert not memo.fresh(tmp_path / name, "other", codec)
        assert str(got) == str(value)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20])
    with pytest.raises(InputError, match=name):
        memo.memo(tmp_path / name, make, "one", codec)
