"""A training that was killed goes on to the same bits, and never from another's state."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from rurklib import study
from rurklib.study import files
from rurklib.study.resume import Kept
from rurklib.study.run import open_run
from rurklib.tensors import seeded
from rurklib.train import fit


class Killed(BaseException):
    """Not an Exception, like what ends a process."""


def steps(what, most: int = 10**6) -> tuple:
    """(What it returned, how many steps SGD took, what was warned of); after ``most`` steps it is
    killed."""
    step, taken = torch.optim.SGD.step, [0]

    def stepped(optimizer):
        taken[0] += 1
        if taken[0] > most:
            raise Killed
        return step(optimizer)

    with pytest.MonkeyPatch.context() as m, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        m.setattr(torch.optim.SGD, "step", stepped)
        made = what()
    return made, taken[0], [str(w.message) for w in warned]


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


def trained(path: Path, key: str = "key", every: int = 2, n: int = 37, **options):
    """A training of 30 steps, five a pass, whose state is kept in ``path`` after some passes."""
    kept = Kept(path, key, every=every)
    return fit(net(), *data(n), each_pass=kept, **{**OPTIONS, **options})


def same(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    ("after", "options"),  # kept after passes 2 and 4
    [(9, {}), (11, {}), (20, {"momentum": 0.0}), (29, {"precision": "bfloat16"})],
)
def test_it_goes_on_to_the_same_bits(after, options, tmp_path):
    """Fails if momentum, the schedule, BatchNorm's statistics, the order, the augmentation or
    dropout's random numbers don't go on where they were, or if it begins anew."""
    path = tmp_path / "models" / ".net.kept"
    killed(lambda: trained(path, **options), after)
    made, taken, warned = steps(lambda: trained(path, **options))
    assert taken == 30 - 10 * (after // 10)
    assert warned == []
    assert same(made, fit(net(), *data(), **{**OPTIONS, **options}))


def test_what_killed_processes_spent_is_counted(tmp_path):
    path = tmp_path / "a.kept"
    first = Kept(path, "key", every=1)
    first.began -= 100.0
    killed(lambda: fit(net(), *data(), **OPTIONS, each_pass=first), 11)
    second = Kept(path, "key", every=1)
    fit(net(), *data(), **OPTIONS, each_pass=second)
    assert 100 <= second.before < 200


@pytest.mark.parametrize("harm", ["another", "short", "empty", "foreign", "one bit"])
def test_another_trainings_state_or_a_damaged_one_is_not_used(harm, tmp_path):
    path = tmp_path / "a.kept"
    killed(lambda: trained(path, "another" if harm == "another" else "key"), 11)
    whole = path.read_bytes()
    turned = whole[:-40] + bytes([whole[-40] ^ 16]) + whole[-39:]
    bad = {"short": whole[:-9], "empty": b"", "foreign": b"not ours" * 99, "one bit": turned}
    path.write_bytes(bad.get(harm, whole))
    made, taken, warned = steps(lambda: trained(path))
    assert taken == 30
    assert len(warned) == 1
    assert f"{path} is not used" in warned[0]
    assert same(made, fit(net(), *data(), **OPTIONS))


NURSERY = """
import os, random, signal, sys, time
import torch
sys.path.insert(0, sys.argv[2])
from test_resume import trained
from rurklib.study import files
from pathlib import Path
torch.set_num_threads(1)
torch.optim.SGD([torch.zeros(1)], lr=1.0)  # loads what each child would load: seconds
out, random = Path(sys.argv[1]), random.Random(int(sys.argv[3]))

def child(name, path):
    pid = os.fork()
    if pid == 0:
        files.save_weights(out / name, trained(path, every=1, n=60, epochs=8).state_dict(), "f")
        os._exit(0)
    return pid

began = time.time()
os.waitpid(child("undisturbed", out / "other"), 0)
took, kills, seen = time.time() - began, 0, 0
while not (out / "disturbed").exists():
    pid = child("disturbed", out / "kept")
    if kills < 4:
        time.sleep(random.uniform(0.05, 0.45) * took)
        waiting = kills == 1  # once at least there is a state
        while waiting and not (out / "kept").exists() and not (out / "disturbed").exists():
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        kills += 1
        seen += (out / "kept").exists()
    os.waitpid(pid, 0)
print(kills, seen, sorted(p.name for p in out.iterdir() if "partial" not in p.name))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_again_and_again_at_any_moment(tmp_path):
    """Four times SIGKILL, wherever it strikes (writing included). Processes are forked from one
    that hasn't trained, since that is quick."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", NURSERY, str(tmp_path), here, "0"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kills, seen = map(int, done.stdout.split()[:2])
    assert kills >= 2
    assert seen >= 1
    assert done.stdout.split("[")[1].strip() == "'disturbed', 'kept', 'other', 'undisturbed']"
    one, other = (files.load_weights(tmp_path / n)[0] for n in ("undisturbed", "disturbed"))
    assert files.weights_digest(one) == files.weights_digest(other)


SMALL = {"training.epochs": 2, "references": 2, "draws": 2, "taus": [0.0, 0.2]}


def test_a_study_goes_on_from_what_was_kept(tmp_path):
    """Killed in the second of three models, with a state kept every pass: the run opens, the
    first model isn't made again, the second goes on, and all are those of a run left alone. Fails
    if opening sweeps the state away or takes it for a checkpoint."""
    alone = open_run("digits", tmp_path / "alone", seeds=[0], settings=SMALL)
    wanted = study.train(alone)
    choices = {"seeds": [0], "settings": {**SMALL, "keep_every": 1}}
    passes = [-(-len(alone.pair(p)[0]) // 64) for p in ("original", "retain")]
    begun = open_run("digits", tmp_path / "run", **choices)
    killed(lambda: study.train(begun), 2 * passes[0] + passes[1] + 1)
    names = {p.name for p in (tmp_path / "run" / "models").iterdir()}
    assert names == {"Original-seed0.safetensors", ".Re-train-seed1000.kept"}
    run = open_run("digits", tmp_path / "run", **choices)
    made, taken, _ = steps(lambda: study.train(run))
    assert taken == 1 * passes[1] + 2 * passes[1]
    assert all(same(made[n], wanted[n]) for n in wanted)
    assert not [p for p in (tmp_path / "run" / "models").iterdir() if p.suffix == ".kept"]
    # The setting decides no result, so it is no other run.
    assert open_run("digits", tmp_path / "run", seeds=[0], settings=SMALL).scenario.keep_every == 0
    assert study.train(run).keys() == wanted.keys()
