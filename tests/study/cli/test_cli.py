"""Bad input on the command line: one line, exit code 2, nothing written or overwritten."""

import json
from pathlib import Path

import pytest

from rurklib.checks import InputError
from rurklib.study import books, environment, files
from rurklib.study.cli.main import main
from rurklib.study.scenarios import SCENARIOS

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


def test_a_folder_in_use_is_refused(tmp_path, refused):
    from filelock import FileLock

    with FileLock(tmp_path / ".run.lock"):
        refused("in use", "study", "--out", tmp_path / "run")


def test_scenarios_are_a_line_each_and_one_has_every_setting(rurk):
    lines = rurk("scenarios").output.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(SCENARIOS)
    listed = rurk("scenarios", "digits").output
    assert "  RURK.lambda_f = " in listed
    assert "  forget_class = " in listed
    assert "cifar10" not in listed


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
