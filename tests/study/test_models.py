"""Models of a run: from its folder, else from the package, else made; a killed training goes on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from rurklib import InputError, study
from rurklib.study import models, store
from rurklib.study.models import Kept
from rurklib.study.run import ModelId, open_existing, open_run
from rurklib.tensors import seeded
from rurklib.train import fit

FEW = {
    "training.epochs": 1, "references": 2, "draws": 1, "taus": [0.0, 0.2],
    "methods": ["GD", "RURK"], "train_images": 200, "GD.epochs": 1, "RURK.epochs": 1,
}  # fmt: skip
NAMES = ["Original-seed0", "Re-train-seed1000", "Re-train-seed1001", "GD-seed0", "RURK-seed0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that trained its models, and a folder of them as if it came with the package."""
    run = open_run("digits", tmp_path_factory.mktemp("a") / "r", seeds=[0], settings=FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "TRAINED", run.folder.with_name("trained"))
        study.load_models(run)
        assert {str(name) for name in models.ship(run)} == set(NAMES)
    return run


@pytest.fixture
def made(trained, tmp_path, monkeypatch):
    """The names of the models that are made from then on, beside such a folder."""
    names, make = [], models.make
    shutil.copytree(trained.folder.with_name("trained"), tmp_path / "trained")
    monkeypatch.setattr(store, "TRAINED", tmp_path / "trained")
    monkeypatch.setattr(models, "make", lambda *a: names.append(str(a[1])) or make(*a))
    return names


def another(tmp_path, **choices):
    return open_run("digits", tmp_path / "r", seeds=[0], **{"settings": FEW, **choices})


def test_shipped_models_are_taken_as_they_were_trained_and_the_run_says_so(trained, made, tmp_path):
    run = another(tmp_path)
    nets, theirs = study.load_models(run), study.load_models(trained)
    assert made == []
    assert all(same(nets[name], theirs[name]) for name in theirs)
    seconds = [models.record_of(r, run.unlearned[0])["seconds"] for r in (run, trained)]
    assert seconds[0] == seconds[1]
    assert models.shipped_models(run).startswith("5 of 5 models came with the package")
    assert models.shipped_models(trained) == ""
    with pytest.raises(InputError, match="begun by --fresh"):
        models.ship(run)


def test_a_model_is_made_with_those_that_it_starts_from(tmp_path, made):
    """By another setting, or where the package's file is damaged. Fails if others are made too."""
    run = another(tmp_path, settings={**FEW, "GD.epochs": 2})
    study.load_models(run, [ModelId("GD", 0)])
    assert made == ["GD-seed0"]
    shipped = models.key_of(run, ModelId("Original", 0), here=False)
    (store.TRAINED / f"{shipped}.safetensors").write_bytes(b"")
    made.clear()
    run = another(tmp_path / "other", settings={**FEW, "training.epochs": 2})
    study.load_models(run, [ModelId("GD", 0)])
    assert made == ["Original-seed0", "GD-seed0"]


def test_fresh_trains_everything_here_and_goes_on_so(made, tmp_path):
    """Also the command that goes on without it after a kill."""
    study.train(another(tmp_path, fresh=True))
    study.unlearn(another(tmp_path))
    assert made == NAMES


@pytest.mark.parametrize("harm", ["cut", "another's"])
def test_a_damaged_or_copied_checkpoint_is_made_again(harm, small_run, tmp_path, capsys):
    """To the same bits, with a line that names it. Fails if one method's model passes for
    another's."""
    run = open_existing(shutil.copytree(small_run, tmp_path / "r"))
    path, other = (run.checkpoint(ModelId(m, 0)) for m in ("GD", "RURK"))
    before = store.read(path)[0].weights
    path.write_bytes(path.read_bytes()[:900] if harm == "cut" else other.read_bytes())
    study.measure(run)
    assert len([n for n in capsys.readouterr().out.splitlines() if str(path) in n]) >= 1
    assert store.checksum(store.read(path)[0].weights) == store.checksum(before)
    (path.parent / "notes.safetensors").write_text("of somebody's own")  # is left alone
    study.load_models(run)


# --- a killed training ----------------------------------------------------------------------------


class Killed(BaseException):
    """Not an Exception, like what ends a process."""


def steps(what, most: int = 10**6) -> tuple:
    """(What it returned, how many steps SGD took); after ``most`` steps it is killed."""
    step, taken = torch.optim.SGD.step, [0]

    def stepped(optimizer):
        taken[0] += 1
        if taken[0] > most:
            raise Killed
        return step(optimizer)

    with pytest.MonkeyPatch.context() as m:
        m.setattr(torch.optim.SGD, "step", stepped)
        return what(), taken[0]


def killed(what, after: int) -> None:
    with pytest.raises(Killed):
        steps(what, after)


def net() -> nn.Module:
    """BatchNorm and dropout: everything that has a state of its own."""
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Dropout(0.3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3),
        )  # fmt: skip


def data(n: int = 37) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(3))
    return x.to(torch.uint8), torch.arange(n) % 3


OPTIONS = {
    "seed": 4, "epochs": 6, "lr": 0.1, "batch_size": 8, "warmup": 1.5, "augment": "flip-crop",
}  # fmt: skip


def train_kept(path: Path, key: str = "key", every: int = 2, n: int = 37, **options):
    """A training of 30 steps, five a pass, whose state is kept in ``path`` after some passes."""
    return fit(net(), *data(n), each_pass=Kept(path, key, every=every), **{**OPTIONS, **options})


def same(a: nn.Module, b: nn.Module) -> bool:
    return store.checksum(a.state_dict()) == store.checksum(b.state_dict())


@pytest.mark.parametrize(
    ("after", "options"),  # kept after passes 2 and 4
    [(9, {}), (11, {}), (20, {"momentum": 0.0}), (29, {"precision": "bfloat16"})],
)
def test_it_goes_on_to_the_same_bits(after, options, tmp_path):
    """Fails if momentum, the schedule, BatchNorm's statistics, the order, the augmentation or
    dropout's random numbers don't go on where they were, or if it begins anew."""
    path = tmp_path / "models" / ".net.safetensors"
    killed(lambda: train_kept(path, **options), after)
    model, taken = steps(lambda: train_kept(path, **options))
    assert taken == 30 - 10 * (after // 10)
    assert same(model, fit(net(), *data(), **{**OPTIONS, **options}))


@pytest.mark.parametrize("harm", ["another", "short"])
def test_another_trainings_state_or_a_damaged_one_is_not_used(harm, tmp_path, capsys):
    path = tmp_path / "a.safetensors"
    killed(lambda: train_kept(path, "another" if harm == "another" else "key"), 11)
    if harm == "short":
        path.write_bytes(path.read_bytes()[:-9])
    model, taken = steps(lambda: train_kept(path))
    assert taken == 30
    assert str(path) in capsys.readouterr().out
    assert same(model, fit(net(), *data(), **OPTIONS))


NURSERY = """
import os, random, signal, sys, time
import torch
sys.path.insert(0, sys.argv[2])
from test_models import train_kept
from rurklib.study import store
from pathlib import Path
torch.set_num_threads(1)
torch.optim.SGD([torch.zeros(1)], lr=1.0)  # loads what each child would load: seconds
out, random = Path(sys.argv[1]), random.Random(0)
kept = out / "kept.safetensors"

def child(name, path):
    pid = os.fork()
    if pid == 0:
        weights = train_kept(path, every=1, n=60, epochs=8).state_dict()
        store.save(out / name, store.Checkpoint(weights, {}), "f")
        os._exit(0)
    return pid

began = time.time()
os.waitpid(child("a.safetensors", out / "other.safetensors"), 0)
took, kills, seen = time.time() - began, 0, 0
while not (out / "b.safetensors").exists():
    pid = child("b.safetensors", kept)
    if kills < 4:
        time.sleep(random.uniform(0.05, 0.45) * took)
        while kills == 1 and not kept.exists() and not (out / "b.safetensors").exists():
            time.sleep(0.001)  # once at least there is a state
        os.kill(pid, signal.SIGKILL)
        kills += 1
        seen += kept.exists()
    os.waitpid(pid, 0)
print(kills, seen)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_again_and_again_at_any_moment(tmp_path):
    """Four times SIGKILL, wherever it strikes (writing included). Processes are forked from one
    that hasn't trained, since that is quick."""
    words = [sys.executable, "-c", NURSERY, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    kills, seen = map(int, done.stdout.split()[-2:])
    assert kills >= 2
    assert seen >= 1
    one, other = (store.read(tmp_path / f"{n}.safetensors")[0].weights for n in "ab")
    assert store.checksum(one) == store.checksum(other)


def test_a_study_goes_on_from_what_was_kept(tmp_path):
    """Killed in the second of three models, with a state kept every pass: the first model isn't
    made again, the second goes on, and all are those of a run left alone."""
    small = {"training.epochs": 2, "references": 2, "draws": 2, "taus": [0.0, 0.2]}
    alone = open_run("digits", tmp_path / "alone", seeds=[0], settings=small)
    wanted = study.train(alone)
    choices = {"seeds": [0], "settings": {**small, "keep_every": 1}}
    passes = [-(-len(alone.pair(p)[0]) // 64) for p in ("original", "retain")]
    begun = open_run("digits", tmp_path / "run", **choices)
    killed(lambda: study.train(begun), 2 * passes[0] + passes[1] + 1)
    files = {p.name for p in (tmp_path / "run" / "models").iterdir()}
    assert files == {"Original-seed0.safetensors", ".Re-train-seed1000.kept.safetensors"}
    run = open_run("digits", tmp_path / "run", **choices)
    nets, taken = steps(lambda: study.train(run))
    assert taken == 1 * passes[1] + 2 * passes[1]
    assert all(same(nets[n], wanted[n]) for n in wanted)
    assert not list((tmp_path / "run" / "models").glob(".*"))
