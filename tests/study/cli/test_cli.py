"""Bad input on the command line: one line, exit code 2, nothing written or overwritten."""

import json
from pathlib import Path

import pytest

from rurklib.checks import InputError
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.study import books, environment, files
from rurklib.study.cli.main import main
from rurklib.study.run import open_run
from rurklib.study.scenarios import SCENARIOS
from rurklib.unlearn.contract import METHODS

SMALL = {"epochs": 1, "references": 2, "draws": 2, "taus": [0.0, 0.2]}


@pytest.mark.parametrize(
    ("error", "says", "code"),
    [
        (KeyboardInterrupt(), "stopped; the same command goes on", 130),
        (OSError(28, "No space left on device", "runs/x"), "runs/x: No space left on device", 2),
    ],
)
def test_what_ends_a_command_is_one_line_and_no_traceback(rurk, monkeypatch, error, says, code):
    def ends(**_):
        raise error

    monkeypatch.setattr(main.commands["scenarios"], "callback", ends)
    result = rurk("scenarios")
    assert result.exit_code == code
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_folder_is_locked_by_whatever_name(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    with files.locked(tmp_path / "run"):
        for name in (tmp_path / "link", Path(".")):
            with pytest.raises(InputError, match="in use"), files.locked(name):
                pass


def test_places_that_are_no_folder_to_write_in_are_one_line(begun, left_alone):
    """Fails if a link is followed by --fresh, or what can't be written is called in use."""
    link = begun.with_name("link")
    link.symlink_to(begun)
    for out, more, says in (
        (link, ["--fresh"], f"link is a link: give --fresh the folder, {begun.resolve()}"),
        (Path("/proc/x"), [], "/proc is no folder to write in: choose --out"),
        (begun / "run.json" / "x", [], "run.json: File exists"),
    ):
        left_alone(says, out, *more)


@pytest.fixture
def left_alone(begun, refused):
    """``left_alone(says, folder)``: a study in ``folder`` is refused, and ``begun`` as it was."""

    def study_in(says, folder, *more):
        before = snapshot(begun)
        refused(says, "study", "--out", folder, "--seeds", "0", *more, settings=SMALL)
        assert snapshot(begun) == before

    return study_in


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def begun(tmp_path) -> Path:
    open_run("digits", tmp_path / "run", seeds=[0], settings=SMALL)
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("harm", "words", "says"),
    [
        (lambda run: (run / "run.json").unlink(), [], "not empty and not a run"),
        (lambda run: edit(run, scenario="cifar10"), [], "run of scenario 'cifar10'"),
        (lambda run: edit(run, format=99), [], "run of format 99"),
        (lambda run: (run / "run.json").write_text("{"), [], "not readable as JSON"),
        (lambda run: edit(run, settings=None), [], "settings = None: expected the settings"),
        (lambda run: checkpoint(run, b"not a checkpoint"), [], "not a readable checkpoint"),
        (lambda run: foreign(run), [], "foreign checkpoint"),
        (lambda run: None, ["--set", "RURK.tau=0.11"], "was run with RURK.tau"),
    ],
)
def test_a_run_folder_that_is_not_this_run_is_left_alone(begun, left_alone, harm, words, says):
    harm(begun)
    left_alone(says, begun, *words)


@pytest.mark.parametrize(
    "theirs",
    [{}, {"format": 1}, {"format": 1, "kind": "rehearsal", "scenario": "digits"},
     {"format": 1, "kind": "study", "scenario": "cifar5"}],
)  # fmt: skip
def test_fresh_empties_no_folder_but_a_run_of_this_scenario(tmp_path, rurk, theirs):
    """Fails if any run.json is enough for everything beside it to be deleted."""
    (tmp_path / "run.json").write_text(json.dumps(theirs))
    (tmp_path / "thesis.tex").write_text("mine")
    for more in ([], ["--fresh"]):
        result = rurk("study", "--out", tmp_path, *more)
        assert result.exit_code == 2
        assert "--fresh" not in result.output
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_folder_in_use_is_refused(begun, left_alone):
    from filelock import FileLock

    with FileLock(begun.parent / f".{begun.name}.lock"):
        left_alone("in use", begun)


def test_scenarios_are_a_line_each_and_one_has_every_setting(rurk):
    lines = rurk("scenarios").output.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(SCENARIOS)
    listed = rurk("scenarios", "digits").output
    assert "  RURK.lambda_f = " in listed
    assert "  forget_class = " in listed
    assert "cifar10" not in listed


@pytest.mark.parametrize(
    ("command", "names"),
    [("study", SCENARIOS), ("tune", METHODS), ("audit", PERTURBATIONS), ("--help", ["rurk study"])],
)
def test_help_lists_what_the_registries_hold(rurk, command, names):
    """Fails if a list in the help is kept by hand."""
    shown = "".join(rurk(*dict.fromkeys([command, "--help"])).output.split())  # lines end in -
    assert not [name for name in names if name.replace(" ", "") not in shown]


def edit(run: Path, **changes) -> None:
    described = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**described, **changes}))


def checkpoint(run: Path, content: bytes) -> None:
    (run / "models").mkdir()
    (run / "models" / "Original-seed0.safetensors").write_bytes(content)


def foreign(run: Path) -> None:
    import torch
    from safetensors.torch import save

    checkpoint(run, save({"weight": torch.zeros(3)}))


def test_a_notebook_that_fails_is_told_with_code_1(tmp_path, monkeypatch, rurk):
    """Fails if the command goes on as if all were done, or shows a traceback."""

    def fails(*_, **__):
        raise books.NotebookFailed("notebook, cell 3: it broke")

    monkeypatch.setattr(books, "run_notebooks", fails)
    result = rurk("study", "--out", tmp_path / "run", settings=SMALL)
    assert result.exit_code == 1
    assert "rurk: notebook, cell 3: it broke" in result.output
    assert "Traceback" not in result.output
    assert "report:" not in result.output


@pytest.mark.parametrize(
    ("words", "lacks"),
    [(["study"], "seaborn"), (["sweep", __file__, "--grid", "a=1"], "papermill")],
)
def test_what_notebooks_need_is_named_before_anything_is_made(
    tmp_path, monkeypatch, refused, words, lacks
):
    monkeypatch.setattr(environment, "find_spec", lambda name: name != lacks or None)
    says = f'{lacks} is not installed: pip install -e ".[study]"'
    refused(says, *words, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
