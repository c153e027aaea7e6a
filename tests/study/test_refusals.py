"""What is refused: one line that names it, exit code 2, and nothing is written.

A row of ``COMMANDS`` is (words of a command, words that must occur in its message). In the words,
OUT is a folder that isn't there, FOLDER a finished run, BOOK a notebook that can be swept, GROUPS a
YAML file with a name that BOOK hasn't, NOTES a folder that holds somebody's notes.
"""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from rurklib.checks import InputError
from rurklib.study.books import read
from rurklib.study.sweep import grid
from rurklib.study.sweep.grid import from_file, from_options

PARAMETERS = """\
tau: float = 0.03
seed: int = 0
name: str = "plain"
layers: list = [1, 2]
out: str = \"\""""

STUDY = [
    ("--scenario digit", "did you mean 'digits'"),
    ("--scenario iris --set model=small-cnn", "'small-cnn' can't be applied"),
    ("--set epoch=3", "did you mean 'epochs'"),
    ("--set RURK.lamda_f=0.1", "'RURK.lambda_f'"),
    ("--set epochs=many", "expected an int"),
    ("--set epochs=0", "at least 1"),
    ("--set epochs", "expected NAME=VALUE"),
    ("--set taus=0,-1", "tau = -1.0"),
    ("--set perturbations=gausian", "did you mean 'gaussian'"),
    ("--set perturbations=[]", "expected one at least, such as gaussian"),
    ("--set forget_share=2.0", "forget_share = 2.0"),
    ("--set RURK.batchnorm=forzen", "did you mean 'frozen'"),
    ("--set RURK.lr=1e400", "expected a finite number of at least 0"),
    ("--set RURK.tau=-1", "RURK: tau = -1.0: expected a number of at least 0"),
    ("--set RURK.tau=None", "RURK.tau = None: expected a float"),
    ("--set methods=3", "methods = 3: expected names, such as GD,RURK"),
    ("--seeds a,b", "expected different whole numbers"),
    ("--seeds 1,1", "different whole numbers"),
    ("--seeds 1000", "those of the re-trained references"),
    ("--jobs 0", "jobs = 0"),
]
SWEEP = [
    ("--grid tua=1", "did you mean 'tau'"),
    ("--seeds 4..1", "--seeds 4..1"),
    ("--grid tau=1 --jobs 0", "jobs = 0"),
    ("--grid seed=0,1 --seeds 5", "--grid has seed, and --seeds is 5"),
    ("--grid tau=1 --groups GROUPS", "give one of them"),
    ("--groups GROUPS", "did you mean 'tau'"),
    ("--grid tau=1 --scheduler tcp://127.0.0.1:9", "no Dask scheduler answers"),
]
COMMANDS = [
    *((f"study --out OUT {words}", says) for words, says in STUDY),
    *((f"sweep BOOK --out OUT {words}", says) for words, says in SWEEP),
    ("sweep BOOK --out NOTES --grid tau=1", "not empty and not a sweep"),
    ("study --out NOTES --fresh", "not empty and not a run"),
    ("study --out NOTES/notes.txt --fresh", "is a file"),
    ("scenarios digit", "did you mean 'digits'"),
    ("inspect --no-browser --run OUT", "none is not a run"),
    ("inspect --no-browser --run FOLDER --seed 7", "this run has 0"),
    ("page --run FOLDER --out OUT --methods GD,SalUn", "method of this run"),
    ("page --run FOLDER --out OUT --methods GD --seed 7", "seed = 7"),
]


@pytest.fixture
def places(tmp_path) -> dict[str, str]:
    tagged = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[tagged]), tmp_path / "tiny.ipynb")
    (tmp_path / "groups.yaml").write_text("a: {tua: [1]}")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    names = {"BOOK": "tiny.ipynb", "GROUPS": "groups.yaml", "NOTES": "notes", "OUT": "none"}
    return {word: str(tmp_path / name) for word, name in names.items()}


@pytest.mark.parametrize(("command", "says"), COMMANDS)
def test_a_command_that_cannot_be_done_is_one_line(
    command, says, places, refused, request, monkeypatch
):
    monkeypatch.setattr("rurklib.study.sweep.run.PATIENCE", 1.0)
    if "FOLDER" in command:
        places["FOLDER"] = str(request.getfixturevalue("small_run"))
    for word, place in places.items():
        command = command.replace(word, place)
    refused(says, *command.split())
    assert not Path(places["OUT"]).exists()
    assert [p.name for p in Path(places["NOTES"]).iterdir()] == ["notes.txt"]


def swept(*words: str):
    return lambda book, _: grid.cells(read(book), from_options(words))


def groups(text: str):
    def ask(book: Path, folder: Path) -> None:
        (folder / "own.yaml").write_text(text)
        grid.cells(read(book), from_file(folder / "own.yaml"))

    return ask


CALLS = [
    (swept("tau=much"), "tau = 'much': expected a float value such as 0.03"),
    (swept("tau=True"), "tau = True: expected a float"),
    (swept("tau=None"), "tau = None: expected a float"),
    (swept("seed=1.0"), "seed = 1.0: expected a int"),
    (swept("name=1"), "name = 1: expected a str value such as 'plain'; put quotes"),
    (swept("layers=1"), "layers = 1: expected a list"),
    (swept("out=a"), "'out' can't be varied"),
    (swept("tau"), "expected NAME=V1,V2"),
    (swept("tau=1", "tau=2"), "tau is given twice"),
    (groups("a: {tau: [0], fixed: {tau: 1}}"), "both varied and fixed"),
    (groups("a: [1]"), r"group a: [1]: expected groups"),
    (groups(""), "expected groups"),
    (groups("a: {tau: [0"), "not readable as YAML"),
    (groups("a: !!python/object/apply:os.system [exit]"), "not readable as YAML"),
    (groups("a: {tau: 0}"), "tau = 0 in group a: expected a list"),
    (groups("a: {fixed: {tua: 1}}"), "did you mean 'tau'"),
    (lambda book, folder: read(folder / "groups.yaml"), "not a readable notebook"),
]


@pytest.mark.parametrize(("call", "says"), CALLS)
def test_a_call_that_cannot_be_done_names_what_is_wrong(call, says, places, tmp_path):
    with pytest.raises(InputError) as error:
        call(Path(places["BOOK"]), tmp_path)
    assert says in str(error.value)
