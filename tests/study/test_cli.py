"""The command line: its help, what ends a command, and folders that it leaves alone."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from rurklib.checks import InputError
from rurklib.study import books, store
from rurklib.study import run as environment
from rurklib.study.cli import app, option_names
from rurklib.study.run import locked
from rurklib.study.scenario import SCENARIOS

SMALL = {"training.epochs": 1, "references": 2, "draws": 2, "taus": [0.0, 0.2], "methods": "GD"}
COMMANDS = [name for name in app if not name.startswith("-")]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_two_screens_and_has_two_examples(command, monkeypatch):
    """Two screens are 80 lines at 100 columns; the first sentence is what the command is for."""
    monkeypatch.setenv("COLUMNS", "100")
    out = io.StringIO()
    with redirect_stdout(out):
        app.help_print([command])
    text = out.getvalue()
    assert len(text.splitlines()) <= 60
    sentence, end, _ = (app[command].help or "").partition(".\n")
    assert end
    assert " ".join(sentence.split()) in " ".join(text.split())
    _, _, examples = text.partition("Examples:\n")
    assert examples.count(f"  rurk {command}") == 2
    for option in option_names(app):
        assert f"--no-{option[2:]}" not in text
    assert "None" not in text


def test_help_loads_nothing_heavy():
    """Fails if ``rurk --help`` waits for PyTorch: it must take less than a second."""
    heavy = "{'torch', 'numpy', 'pandas', 'sklearn', 'pydantic'}"
    code = f"""
import sys
from rurklib.study.cli import app, main
for command in [[], *([name] for name in app if name[0] != "-")]:
    main([*command, "--help"])
print("loaded", {heavy} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "loaded set()", done.stderr


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (KeyboardInterrupt(), "stopped; the same command goes on", 130),
        (OSError(28, "No space left on device", "runs/x"), "No space left on device: 'runs/x'", 2),
        (InputError("it is wrong"), "it is wrong", 2),
    ],
)
def test_what_ends_a_command_is_one_line_and_no_traceback(rurk, monkeypatch, error, text, code):
    def ends(_):
        raise error

    monkeypatch.setattr("rurklib.study.extend.load", ends)
    result = rurk("scenarios")
    assert result.exit_code == code
    assert text in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_reader_that_leaves_early_ends_a_command_in_silence():
    command = f"{sys.executable} -m rurklib scenarios digits | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_a_folder_is_locked_by_whatever_name(tmp_path, monkeypatch, refused):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    with locked(tmp_path / "run"):
        for name in (tmp_path / "link", Path(".")):
            refused("in use", "study", "--out", name)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"format": 1},
        {"format": 2, "kind": "rehearsal", "scenario": "digits", "settings": {}},
        {"format": 2, "kind": "study", "scenario": "cifar5", "settings": {}},
    ],
)
def test_fresh_empties_no_folder_but_a_run_of_this_scenario(tmp_path, rurk, record):
    """Fails if any run.json is enough for everything beside it to be deleted."""
    if record.get("format") == 2:
        store.save(tmp_path / "run.json", {**record, "plugins": [], "trained_here": False}, "run")
    else:
        (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "thesis.tex").write_text("mine")
    for more in ([], ["--fresh"]):
        result = rurk("study", "--out", tmp_path, *more)
        assert result.exit_code == 2
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_scenarios_are_a_line_each_and_one_has_every_setting(rurk):
    lines = rurk("scenarios").output.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(SCENARIOS)
    listed = rurk("scenarios", "digits").output
    assert "RURK" in listed
    assert "forget_class" in listed
    assert "cifar10" not in listed


def test_a_notebook_that_fails_ends_with_code_1(tmp_path, monkeypatch, rurk):
    """Fails if the command goes on as if all were done, or shows a traceback."""

    def fails(*_, **__):
        raise books.NotebookFailed("notebook, cell 3: it broke")

    monkeypatch.setattr(books, "run_notebooks", fails)
    result = rurk("study", "--seeds", "0", "--out", tmp_path / "run", settings=SMALL)
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
    refused(f'{lacks} is not installed: pip install -e ".[study]"', *words, "--out", tmp_path / "r")
    assert not (tmp_path / "r").exists()
