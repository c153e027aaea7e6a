"""What is refused: one line that names it, exit code 2, and nothing is written.

A row of ``COMMANDS`` is (words of a command, words that must occur in its message). In the words,
OUT is a folder that isn't there, FOLDER a finished run, BOOK a notebook that can be swept, GROUPS a
YAML file with a name that BOOK hasn't, NOTES a folder that holds somebody's notes, DATA a small
.npz file. GOOD are the words of an audit that works, in a folder of a user's files, but for those
that a row gives. ``CALLS`` are functions, ``ASKED`` those of a finished run, ``RUNS`` what was
done to a run's folder. Words are parts of a message set apart by " | ".
"""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from rurklib import study
from rurklib.checks import InputError
from rurklib.study import extend, store
from rurklib.study import tuning as tune
from rurklib.study.books import read
from rurklib.study.inspector import Inspector, running
from rurklib.study.readers import cifar10, image_folder, npz, text
from rurklib.study.run import flat, open_existing, open_run
from rurklib.study.sweep import from_file, from_options, plan

LABELS = np.arange(6, dtype=np.uint8) % 2
PIXELS = np.arange(6 * 64, dtype=np.uint16).reshape(6, 8, 8).astype(np.uint8)
ARRAYS = {f"{side}_images": PIXELS + i for i, side in enumerate(("train", "test"))}
ARRAYS |= {f"{side}_labels": LABELS for side in ("train", "test")}
PARAMETERS = """\
tau: float = 0.03
seed: int = 0
name: str = "plain"
layers: list = [1, 2]
out: str = \"\""""

STUDY = [
    ("--scenario digit", "did you mean 'digits'"),
    ("--scenario iris --set model=small-cnn", "'small-cnn' can't be applied"),
    ("--set training.epoch=3", "did you mean 'training.epochs'"),
    ("--set epochs=3", "did you mean 'training.epochs' or 'GD.epochs'"),
    ("--set RURK.lamda_f=0.1", "'RURK.lambda_f'"),
    ("--set training.epochs=many", "training.epochs = 'many': expected"),
    ("--set forget_class=-1", "forget_class = -1: expected a class from 0, or any"),
    ("--set taus", "expected NAME=VALUE"),
    ("--set taus=0,-1", "taus.1 = -1"),
    ("--set perturbations=gausian", "did you mean 'gaussian'"),
    ("--set RURK.tau=-1", "RURK: tau = -1: expected a number greater than or equal to 0"),
    ("--seeds a,b", "expected different whole numbers"),
    ("--seeds 1000", "those of the re-trained references"),
    ("--job 2", "Did you mean --jobs?"),
    ("--set methods=RURKS", "did you mean 'RURK'"),
    ("--scenario cifar5-paper --set pretrain.epoch=2", "did you mean 'pretrain.epochs'"),
    ("--scenario npz", "--set path=FILE.npz"),
    ("--scenario npz --set path=none.npz", "none.npz can't be read ([Errno 2] No such file"),
    ("--scenario npz --set path=DATA --set forget_class=2", "has 0 ... 1"),
    ("--scenario cifar5 --set path=DATA", "200 samples of class 0 asked for"),
    ("--scenario fashion --set path=NOTES", "check path or the network"),
    ("--scenario iris --set path=DATA", "leave path out"),
    ("--scenario imagefolder", "--set path=FOLDER"),
    ("--scenario sms", "--set path=FOLDER"),
]
SWEEP = [
    ("--grid tua=1", "did you mean 'tau'"),
    ("--seeds 4..1", "--seeds 4..1"),
    ("", "give one of them"),
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
    ("--weights gone.safetensors", "gone.safetensors can't be read as weights (No such file"),
    ("--weights lacks.safetensors", 'Missing key(s) in state_dict: "2.bias"'),
    ("--model m.py:biuld", "has no function 'biuld'"),
    ("--model m.py", "expected FILE.py:FUNCTION"),
    ("--model broken.py:build", "can't be imported (No module named 'nothing_like_it')"),
    ("--model leaves.py:build", "leaves.py can't be imported (0): mend line 1"),
    ("--model m.py:ends", "into the net of --model m.py:ends (0): name the function"),
    ("--model m.py:lost", "can't be applied to a batch of (24,) inputs: 'no'"),
    (
        "--model m.py:wide",
        "m.py:wide (Error(s) in loading state_dict for Sequential: size mismatch",
    ),
    ("--data keys.npz", "has the arrays images, labels: expected x, y"),
    ("--data short.npz", "samples are float32 (9, 24), labels int64 (5,): expected"),
    ("--data whole.npz", "samples are int64 (9, 24)"),
    ("--data grey.npz", "divide 0..255 images by 255"),
    ("--data four.npz", "expected labels in 0 ... 2"),
    ("--data forget.npy", "has the arrays one array (.npy): expected x, y or train_images"),
    ("--forget mask.npy", "of a mask of 0 and 1 use .astype(bool)"),
    ("--forget table.csv", "can't be read (This file"),
    ("--forget beyond.npy", "holds 0 ... 700, 0 of them twice: expected each once, in 0 ... 699"),
    ("--forget twice.npy", ", 1 of them twice: expected each once"),
    ("--forget real.npy", "expected indices of samples"),
    ("--held-out overlap.npy", "are in the forget set too"),
    ("--taus 0,a", "--taus: 0,a: expected finite numbers such as"),
    ("--taus -1", "taus.0 = -1"),
    ("--taus 0,8,16", "taus reach 16, inputs span 0 ... 1: nothing is left of a sample"),
    ("--bounds 0,inf", "--bounds: 0,inf: expected finite numbers"),
    ("--bounds 1,0", "bounds = (1.0, 0.0): expected (lowest, highest)"),
    ("--perturbation gausian", "did you mean 'gaussian'"),
    ("--draws 0", "--draws. Must be > 0"),
    ("--device meta", "--device meta can't be used here"),
    ("--device cuda:99", "--device cuda:99 can't be used here"),
    ("--fail-on residul", "did you mean 'residual'"),
    ("--fail-on treated-differently", "needs --held-out"),
    ("--mean 0.1,0.2", "--mean has 2 numbers: expected one, or one for each of the 24 channels"),
    ("--std 0", "--std 0: expected numbers above 0"),
    ("--label-order 0,1,1", "--label-order 0,1,1: expected each of 0 ... 2 once"),
    ("--expect-accuracy 0.7", "needs --held-out or --retain"),
    ("--expect-accuracy 7", "--expect-accuracy. Must be <= 1"),
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
    ("study --out FOLDER", "was run with methods"),
    ("study --out FOLDER/run.json/x", "File exists: "),
    ("study --out /proc/x", "/proc"),
    ("study --out NOTES/notes.txt --fresh", "Not a directory: "),
    ("study --out ''", "--out: expected a path such as runs/mine"),
    ("stdy", 'Did you mean "study"?'),
    ("inspect --no-browser --run OUT", "none is not a run"),
    ("inspect --no-browser --run FOLDER --seed 7", "this run has 0"),
    ("page --run FOLDER --out OUT --methods GD,SalUn", "method of this run"),
]


@pytest.fixture
def places(tmp_path) -> dict[str, str]:
    tagged = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[tagged]), tmp_path / "tiny.ipynb")
    (tmp_path / "groups.yaml").write_text("a: {tua: [1]}")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    np.savez(tmp_path / "data.npz", **ARRAYS)
    names = {"BOOK": "tiny.ipynb", "GROUPS": "groups.yaml", "NOTES": "notes", "OUT": "none"}
    names |= {"DATA": "data.npz"}
    return {word: str(tmp_path / name) for word, name in names.items()}


@pytest.mark.parametrize(("command", "says"), COMMANDS)
def test_a_command_that_cannot_be_done_is_one_line(
    command, says, places, refused, request, monkeypatch
):
    monkeypatch.setattr("rurklib.study.parallel.PATIENCE", 1.0)
    if command.startswith("audit"):
        monkeypatch.chdir(request.getfixturevalue("audit_files"))
        changed, usual = command.split(), [f"--{words}" for words in GOOD.split("--")[1:]]
        kept = [words for words in usual if words.split()[0] not in changed]
        command = command.replace("GOOD", " ".join(kept))
    if "FOLDER" in command:
        places["FOLDER"] = str(request.getfixturevalue("small_run"))
    for word, place in places.items():
        command = command.replace(word, place)
    refused(says, *shlex.split(command))
    assert not Path(places["OUT"]).exists()
    assert [p.name for p in Path(places["NOTES"]).iterdir()] == ["notes.txt"]


def swept(*words: str):
    return lambda book, folder: plan(book, from_options(words), folder / "none")


def groups(text: str):
    def ask(book: Path, folder: Path) -> None:
        (folder / "own.yaml").write_text(text)
        plan(book, from_file(folder / "own.yaml"), folder / "none")

    return ask


def file(read, name: str, content: bytes):
    def ask(_, folder: Path) -> None:
        (folder / name).write_bytes(content)
        read(folder / name)

    return ask


def arrays(**changes):
    """A good .npz file but for these arrays."""

    def ask(_, folder: Path) -> None:
        kept = {k: v for k, v in (ARRAYS | changes).items() if v is not None}
        np.savez(folder / "some.npz", **kept)
        npz(folder / "some.npz")

    return ask


def texts(train: str, test: str | None = None, **options):
    def ask(_, folder: Path) -> None:
        for name, content in (("train", train), ("test", test)):
            if content is not None:
                (folder / f"{name}.tsv").write_text(content, encoding="latin-1")
        text(folder, **options)

    return ask


def images(harm):
    """A good folder of images, harmed."""

    def ask(_, folder: Path) -> None:
        for side, name in ((s, n) for s in ("train", "val") for n in ("cat", "dog")):
            (folder / "pets" / side / name).mkdir(parents=True)
            Image.new("L", (8, 8)).save(folder / "pets" / side / name / "0.png")
        harm(folder / "pets")
        image_folder(folder / "pets", size=8)

    return ask


CALLS = [
    (swept("tau=much"), "tau = 'much': expected a valid number"),
    (swept("name=1"), "name = 1: expected a valid string"),
    (swept("out=a"), "expected a parameter 'out', and a grid without it"),
    (swept("tau"), "expected NAME=V1,V2"),
    (groups("a: {tau: [0], fixed: {tau: 1}}"), "varied and fixed"),
    (groups("a: {tau: []}"), "the grid is empty"),
    (groups("a: [1]"), "a = [1]: expected"),
    (groups("a: !!python/object/apply:os.system [exit]"), "own.yaml: expected settings"),
    (groups("a: {tau: 0}"), "a.tau = 0: expected a valid list"),
    (groups("a: {fixed: {tua: 1}}"), "did you mean 'tau'"),
    (lambda book, folder: read(folder / "groups.yaml"), "not a readable notebook"),
    # files of data
    (arrays(test_labels=None), "arrays train_images, test_images, train_labels: expected"),
    (arrays(train_images=PIXELS / 1.0), "divide 0..255 images by 255"),
    (arrays(train_images=PIXELS.astype(object)), "some.npz can't be read (Object arrays"),
    (arrays(train_images=np.zeros((6, 8, 8, 4), np.uint8)), "images are (8, 8, 4), to test on"),
    (arrays(train_labels=LABELS[:5]), "train_images: | (6, 8, 8), labels uint8 (5,): expected"),
    (arrays(train_labels=2 * LABELS), "hold 0, 2: expected every class of 0 ... 1"),
    (arrays(test_labels=np.array([0, 1, 2, 7, 0, 1])), "some test y spans 0 ... 7"),
    (file(npz, "x.npz", b"not a zip"), "x.npz can't be read"),
    (texts(""), "0 are trained on: expected two or more"),
    (texts("a\tone\nb\ttwo\n", "c\tthree\n"), "has the labels a, b, c, of which 2 are"),
    (texts("a\tcr\xe8me\nb\ttwo\n"), "can't be read | expected UTF-8"),
    (lambda _, folder: text(folder), "train.tsv' | label TAB text"),
    (images(lambda at: (at / "val").rename(at / "valid")), "pets/val'): expected images in"),
    (images(lambda at: (at / "val" / "cat" / "0.png").unlink()), "pets | for the classes cat."),
    (images(lambda at: (at / "val" / "cat").rename(at / "val" / "cow")), "2 in val, 1 in both"),
    (images(lambda at: (at / "train/dog/0.png").write_text("hi")), "dog/0.png can't be read"),
    (
        images(lambda at: [shutil.rmtree(at / side / "cat") for side in ("train", "val")]),
        "1 classes in train, 1 in val, 1 in both: expected",
    ),
    (lambda _, folder: cifar10(folder), "check path or the network"),
    # files of a user's code
    (lambda _, folder: extend.load([folder / "none.py"]), "expected a Python file"),
]


@pytest.mark.parametrize(("call", "says"), CALLS)
def test_a_call_that_cannot_be_done_names_what_is_wrong(call, says, places, tmp_path, monkeypatch):
    monkeypatch.setenv("RURK_CACHE", str(tmp_path / "cache"))
    told(lambda: call(Path(places["BOOK"]), tmp_path), says)
    cached = (tmp_path / "cache").rglob("*")
    assert not [f for f in cached if f.is_file() and f.suffix != ".lock"], "half-decoded"


def told(call, says: str) -> None:
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert [part for part in says.split(" | ") if part not in message] == [], message


def viewed(**choice):
    return lambda run: Inspector(run).view(**{"sample": 0, **choice})


def of_two(run):
    return replace(run, scenario=run.scenario.changed({"references": 2}))


ASKED = [
    (lambda run: study.residual(run, "gaussian", part="test"), "part"),
    (lambda run: study.attacked(run, ["RURQ"]), "did you mean 'RURK'"),
    (lambda run: study.attacked(of_two(run), ["RURK"]), "references = 2 | at least 3"),
    (lambda run: study.evasive_model(run, ("Clever", 0)), "unknown evasive unlearner"),
    (tune.tune, "rehearsal=True"),
    (lambda run: running(Inspector(run), 0, "gaussian", 0.1, model="GDD"), "unknown model"),
    (viewed(perturbation="pdg"), "did you mean 'pgd'"),
    (viewed(sample=45), "sample = 45 | 45 forget samples"),
    (viewed(perturbation="pgd", tau=0.1, found_on="RUKR"), "did you mean 'RURK'"),
]


@pytest.mark.parametrize(("call", "says"), ASKED)
def test_what_cannot_be_asked_of_a_run_is_named(call, says, run):
    told(lambda: call(run), says)


def opened(folder: Path, _) -> None:
    open_existing(folder)


def rehearsed(folder: Path, run) -> None:
    resumed(folder, run, rehearsal=True)


def resumed(folder: Path, run, **options) -> None:
    """With the settings that the run was made with."""
    open_run("digits", folder, seeds=[0], settings=flat(run.described["settings"]), **options)


def edit(folder: Path, name: str = "run.json", **changes) -> None:
    value, key = store.read(folder / name)
    store.save(folder / name, {**value, **changes}, key)


RUNS = [
    (opened, lambda f: shutil.rmtree(f), "is not a run"),
    (resumed, lambda f: (f / "run.json").unlink(), "not empty and not a run"),
    (opened, lambda f: edit(f, scenario="digit"), "did you mean 'digits'"),
    (resumed, lambda f: edit(f, scenario="cifar10"), "scenario = 'cifar10', not 'digits'"),
    (opened, lambda f: (f / "run.json").write_text("{"), "is not a run"),
    (opened, lambda f: shutil.rmtree(f / "models"), "is not a run with models"),
    (resumed, lambda f: edit(f, "split.json", forget=[1]), "is another split | use --fresh"),
    (rehearsed, lambda f: None, "kind = 'study', not 'rehearsal'"),
]


@pytest.mark.parametrize(("door", "harm", "says"), RUNS)
def test_a_folder_that_is_no_such_run_is_refused_and_left_alone(door, harm, says, run, tmp_path):
    folder = Path(shutil.copytree(run.folder, tmp_path / "copy"))
    harm(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    told(lambda: door(folder, run), says)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
