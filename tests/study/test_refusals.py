"""What is refused: one line that names it, exit code 2, and nothing is written.

A row of ``COMMANDS`` is (words of a command, words that must occur in its message). In the words,
OUT is a folder that isn't there, FOLDER a finished run, BOOK a notebook that can be swept, GROUPS a
YAML file with a name that BOOK hasn't, NOTES a folder that holds somebody's notes. GOOD are the
words of an audit that works, in a folder of a user's files; of two options the last one counts.
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
GOOD = (
    "--model m.py:build --weights original.safetensors --references a0.safetensors a1.safetensors "
    "--data data.npz --forget forget.npy --taus 0,0.1 --draws 2"
)
AUDIT = [
    ("--weights text.safetensors", "text.safetensors can't be read as weights (Error while "),
    ("--weights gone.safetensors", "gone.safetensors does not exist"),
    ("--weights lacks.safetensors", 'Missing key(s) in state_dict: "2.bias"'),
    ("--weights extra.safetensors", 'Unexpected key(s) in state_dict: "extra"'),
    ("--model m.py:biuld", "has no function 'biuld'"),
    ("--model m.py", "expected FILE.py:FUNCTION"),
    ("--model gone.py:build", "gone.py does not exist"),
    ("--model broken.py:build", "can't be imported (No module named 'nothing_like_it')"),
    ("--model m.py:breaks", "the model's function raised no such file: mend its code"),
    ("--model m.py:seven", "returned a int"),
    ("--model leaves.py:build", "leaves.py can't be imported (0): mend its line 1"),
    ("--model m.py:ends", "the model's function raised 0: mend its code"),
    ("--model m.py:lost", "can't be applied to a batch of (24,) inputs ('no')"),
    ("--model m.py:wide", "doesn't fit the net that --model m.py:wide builds (size mismatch"),
    ("--data keys.npz", "has the arrays images, labels: expected x, y"),
    ("--data objects.npz", "can't be read as .npz"),
    ("--data short.npz", "for 9 samples: expected one whole number each"),
    ("--data whole.npz", "x is int64 (9, 24): expected uint8 images or floats"),
    ("--data number.npz", "x is float32 (): expected uint8 images or floats, [n, ...]"),
    ("--data grey.npz", "expected values in [0, 1]"),
    ("--data narrow.npz", "can't be applied to a batch of (20,) inputs"),
    ("--data four.npz", "expected labels in 0 ... 2"),
    ("--data forget.npy", "holds one array: expected a .npz file"),
    ("--forget mask.npy", "one for each sample: a mask? use .astype(bool)"),
    ("--forget table.csv", "can't be read as .npy (it is text): write it with numpy"),
    ("--forget beyond.npy", "spans 0 ... 700: expected indices in 0 ... 699"),
    ("--forget below.npy", "spans -1 ... 3: expected indices in 0 ... 699"),
    ("--forget twice.npy", "names 1 samples twice"),
    ("--forget none.npy", "expected indices of samples"),
    ("--forget real.npy", "expected indices of samples"),
    ("--forget data.npz", "holds an archive of arrays: expected a .npy file"),
    ("--held-out overlap.npy", "are in the forget set too"),
    ("--held-out data.npz", "are in the forget set too"),
    ("--taus 0,a", "expected numbers such as"),
    ("--taus -1", "tau = -1"),
    ("--taus 0,8,16", "taus reach 16, inputs span 0 ... 1: nothing is left of a sample"),
    ("--bounds 1,0", "expected the lowest and the highest value"),
    ("--perturbation gausian", "did you mean 'gaussian'"),
    ("--draws 0", "draws = 0"),
    ("--device meta:x", "--device meta:x can't be used here"),
    ("--device cuda:99", "--device cuda:99 can't be used here"),
    ("--fail-on residul", "did you mean 'residual'"),
    ("--fail-on treated-differently", "needs --held-out"),
    ("--mean 0.1,0.2", "--mean has 2 numbers: expected one, or one for each of the 24 channels"),
    ("--mean a", "--mean a: expected numbers such as"),
    ("--mean nan", "--mean = nan: expected a finite number"),
    ("--std 0", "--std 0: expected numbers above 0"),
    ("--label-order 0,1,1", "--label-order 0,1,1: expected each of 0 ... 2 once"),
    ("--label-order 0,0.5,2", "--label-order 0,0.5,2: expected each of 0 ... 2 once"),
    ("--expect-accuracy 0.7", "needs --held-out or --retain"),
    ("--expect-accuracy 7", "--expect-accuracy = 7.0: expected a finite number in [0, 1]"),
    ("--expect-accuracy 1 --held-out test.npz", "original.safetensors is right on "),
    ("--label-order 1,2,0 --expect-accuracy 0.7 --retain kept.npy", " of 255 retained samples, 0."),
]
COMMANDS = [
    *((f"audit --out OUT GOOD {words}", says) for words, says in AUDIT),
    ("audit GOOD --out NOTES", "expected a new or an empty folder"),
    ("audit GOOD --out NOTES/notes.txt", "expected a new or an empty folder"),
    ("audit GOOD --out .", "expected a new or an empty folder"),
    ("audit GOOD --out NOTES/notes.txt/x", "is no folder to write in"),
    (
        "audit --model m.py:build --weights a0.safetensors --data data.npz --forget forget.npy "
        "--out OUT",
        "or held-out samples, which need none",
    ),
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
    if command.startswith("audit"):
        monkeypatch.chdir(request.getfixturevalue("audit_files"))
        command = command.replace("GOOD", GOOD)
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
