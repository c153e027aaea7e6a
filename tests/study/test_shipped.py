"""Models that come with the package: taken under the content that made them, never otherwise."""

import ast
import json

import pytest
import torch

from rurklib import InputError, study
from rurklib.study import files, memo, models, shipped, source
from rurklib.study.ids import SAME_PRIOR, SMOOTHED
from rurklib.study.run import open_existing, open_run

SMALL = {"training.epochs": 1, "references": 2, "draws": 1, "taus": [0.0, 0.2],
         "methods": ["GD", "RURK"],
         "train_images": 200, "GD.epochs": 1, "RURK.epochs": 1}  # fmt: skip
NAMES = ["Original-seed0", "Re-train-seed1000", "Re-train-seed1001", "GD-seed0", "RURK-seed0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that trained its models, and a file of them."""
    run = open_run("digits", tmp_path_factory.mktemp("a") / "r", seeds=[0], settings=SMALL)
    file = run.folder.with_name("digits.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "FILE", file)
        study.train(run)
        study.unlearn(run)
        assert {str(name) for name in models.ship(run)} == set(NAMES)
    return run, file


@pytest.fixture
def made(trained, tmp_path, monkeypatch):
    """A file as if it came with the package; and the names of the models that are made from then
    on."""
    there, names, make = tmp_path / "digits.safetensors", [], models.make
    there.write_bytes(trained[1].read_bytes())
    monkeypatch.setattr(shipped, "FILE", there)
    monkeypatch.setattr(models, "make", lambda *a: names.append(str(a[1])) or make(*a))
    return names


def another(tmp_path, **choices):
    return open_run("digits", tmp_path / "r", seeds=[0], **{"settings": SMALL, **choices})


def all_of(run) -> list[str]:
    study.train(run)
    study.unlearn(run)
    return [n for n in NAMES if not (run.folder / "models" / f"{n}.safetensors").exists()]


def test_what_fits_is_taken_as_it_was_trained_and_said(trained, made, tmp_path, capsys):
    """Fails if anything is trained, if a bit or a record's seconds differ, if another command would
    make it again, or if nobody is told."""
    run = another(tmp_path)
    assert all_of(run) == []
    assert made == []
    for name in run.trained + run.unlearned:
        (ours, key, record), (theirs, its_key, its) = (
            files.load_weights(r.checkpoint(name)) for r in (run, trained[0])
        )
        assert files.weights_digest(ours) == files.weights_digest(theirs)
        assert (key, record["seconds"]) == (its_key, its["seconds"])
    env = files.read_json(run.folder / "env.json")
    whose = f"{env['processor']}, torch {torch.__version__}"
    whose = f"digits.safetensors, SHA-256 {shipped.Shelf().said.split()[2]} trained on {whose}"
    assert env["models"].startswith(f"5 of 5 taken from the package ({whose}")
    assert "3 models taken from the package, not trained here" in (said := capsys.readouterr().out)
    assert said.count(whose) == 2
    assert all_of(another(tmp_path)) == []  # opened again
    assert files.read_json(run.folder / "env.json") == env
    assert "3 of 3 models are there, 0 to make" in capsys.readouterr().out


def test_a_study_says_so_at_its_beginning_at_its_end_and_in_its_report(made, tmp_path, rurk):
    """Fails if seconds of another machine pass for those of this one."""
    words = ["study", "--tables-only", "--seeds", "0", "--out", tmp_path / "r"]
    done = rurk(*words, settings=SMALL)
    assert done.exit_code == 0, done.output
    assert made == ["Same-prior-seed0"]  # what this file hasn't
    _, _, first, *_ = done.output.splitlines()
    last = done.output[done.output.index("\nmodels: ") + 1 :].splitlines()[0]
    assert first.startswith("5 models taken from the package, not trained here (digits.safetensors")
    assert last.startswith("models: 5 of 6 taken from the package (digits.safetensors")
    assert last.endswith("not trained here; --fresh trains them")
    report = (tmp_path / "r" / "report.html").read_text()
    assert "Models: 5 of 6 taken from the package" in report
    assert "Seconds are those recorded where a model was trained" in report


def test_a_stage_finds_them_without_the_stages_before(made, tmp_path):
    """As a notebook does that is opened alone. Fails if it asks to run notebook 1 first."""
    assert len(study.load_models(another(tmp_path))) == len(NAMES)
    assert not study.measure(open_existing(tmp_path / "r")).empty


def test_one_made_otherwise_is_made_again_and_what_comes_of_it(made, tmp_path, monkeypatch):
    """By another setting or by edited code. Fails if a file out of date is used."""
    all_of(another(tmp_path, settings={**SMALL, "GD.epochs": 2}))
    assert made == ["GD-seed0"]
    made.clear()
    statements = source._statements
    edited = lambda m: "edited" if m == "rurklib.train" else statements(m)  # noqa: E731
    monkeypatch.setattr(source, "_statements", edited)
    all_of(another(tmp_path / "edited"))
    assert made[:3] == NAMES[:3]


def test_another_torch_takes_them_under_its_own_key(trained, made, tmp_path, monkeypatch):
    """Fails if only the machine that trained them may use them, or if they pass for its own."""
    monkeypatch.setattr(memo.torch, "__version__", "9.9.0")
    run = another(tmp_path)
    all_of(run)
    assert made == []
    keys = [files.load_weights(r.checkpoint(run.trained[0]))[1] for r in (run, trained[0])]
    assert keys[0] != keys[1]
    assert keys[0] == memo.here(models.content_of(run, run.trained[0]))


def test_a_syntax_tree_reads_the_same_under_every_python():
    """Fails with ``ast.dump``, by which 3.10, 3.12 and 3.13 have three keys for one source."""
    text = "def f(x: int = 0, *, y=None) -> str:\n    return f'{x!r:>3} {y}'"
    assert source._said(ast.parse(text)) == (
        "Module(body=[FunctionDef(name='f',args=arguments(args=[arg(arg='x',annotation=Name(id="
        "'int',ctx=Load()))],kwonlyargs=[arg(arg='y')],kw_defaults=[Constant()],defaults=[Constant("
        "value=0)]),body=[Return(value=JoinedStr(values=[FormattedValue(value=Name(id='x',ctx="
        "Load()),conversion=114,format_spec=JoinedStr(values=[Constant(value='>3')])),Constant("
        "value=' '),FormattedValue(value=Name(id='y',ctx=Load()),conversion=-1)]))],"
        "returns=Name(id='str',ctx=Load()))])"
    )


@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_file_is_named_and_not_used(made, tmp_path, capsys, whole):
    """A weight of one model, or half of the file."""
    data = bytearray(shipped.FILE.read_bytes())
    if whole:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        at = header["GD-seed0/net.19.weight"]["data_offsets"][0]
        data[8 + int.from_bytes(data[:8], "little") + at] ^= 1
    shipped.FILE.write_bytes(data if whole else data[: len(data) // 2])
    assert all_of(another(tmp_path)) == []
    assert made == (["GD-seed0"] if whole else NAMES)
    said = [line for line in capsys.readouterr().out.splitlines() if "damaged" in line]
    assert said
    assert all(line.startswith(f"warning: {shipped.FILE} is damaged") for line in said)
    assert all(("GD-seed0" in line) == whole for line in said)


def test_fresh_trains_everything_here_and_goes_on_so(made, tmp_path, capsys):
    """Also the command that goes on without it after a kill. Fails if a run that was to be trained
    here is finished with models from elsewhere."""
    run = another(tmp_path, fresh=True)
    study.train(run)
    study.unlearn(another(tmp_path))
    assert made == NAMES
    assert "models" not in files.read_json(run.folder / "env.json")
    assert "package" not in capsys.readouterr().out
    made.clear()
    assert all_of(another(tmp_path, fresh=False, settings=SMALL)) == made == []


def test_only_what_was_trained_here_today_is_written(trained, made, tmp_path, monkeypatch):
    """Fails if seconds of one machine are told as another's, or if what is out of date is shipped;
    and two writings of one run differ in nothing."""
    before = shipped.FILE.read_bytes()
    run = another(tmp_path)
    all_of(run)
    with pytest.raises(InputError, match=r"wasn't trained here.*make showcase"):
        models.ship(run)
    statements = source._statements
    edited = lambda m: "edited" if m == "rurklib.unlearn.rurk" else statements(m)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(source, "_statements", edited)
        with pytest.raises(InputError, match=r"RURK-seed0.*by today's code.*make showcase"):
            models.ship(trained[0])
    assert shipped.FILE.read_bytes() == before
    models.ship(trained[0])
    assert shipped.FILE.read_bytes() == before


def test_the_models_in_the_package_are_todays(tmp_path):
    """All that notebooks 1 to 4 make, and no others, under whatever Python and PyTorch this runs.

    Fails, on purpose, whenever a statement changes that training or unlearning depends on: whoever
    clones would wait for models that could have been there.
    """
    run = open_run("digits", tmp_path / "digits")
    names = [*run.trained, *run.unlearned, *run.names(SMOOTHED), *run.names(SAME_PRIOR)]
    models.look(run, names)
    stale = [str(name) for name in names if not run.checkpoint(name).exists()]
    assert not stale, (
        f"{len(stale)} of {len(names)} models, such as {stale[0]}, are not in the package as "
        f"today's code makes them; make them anew, in some minutes: {shipped.COMMAND}"
    )
    assert len(shipped.Shelf().models) == len(names)
