"""A training that was killed goes on to the same bits, and never from somebody else's state."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from rurklib import study
from rurklib.rng import seeded
from rurklib.study import files
from rurklib.study.run import open_run
from rurklib.train.fit import fit


def net(seed: int = 0, dropout: float = 0.3, channels: int = 8) -> nn.Module:
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Dropout(dropout), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 3),
        )  # fmt: skip


def data(n: int = 37, seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(seed))
    return x.to(torch.uint8), torch.arange(n) % 3


OPTIONS = {
    "seed": 4,
    "epochs": 6,
    "lr": 0.1,
    "batch_size": 8,
    "warmup": 1.5,
    "augment": "flip-crop",
}


def same(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


class Killed(BaseException):
    """Not an Exception, like what ends a process."""


@pytest.fixture
def killed(monkeypatch):
    """``killed(after, path)``: train, but be killed after so many steps."""

    def train(after: int, path: Path, model: nn.Module | None = None, **options) -> None:
        taken, step = [0], torch.optim.SGD.step

        def counted(optimizer):
            taken[0] += 1
            if taken[0] > after:
                raise Killed
            return step(optimizer)

        x, y = options.pop("data", data())
        with monkeypatch.context() as m:
            m.setattr(torch.optim.SGD, "step", counted)
            with pytest.raises(Killed):
                fit(model or net(), x, y, kept=path, **{**OPTIONS, "every": 2, **options})

    return train


def steps_of(monkeypatch, *args, **options) -> tuple[nn.Module, int, list[str]]:
    """A trained model, the steps that it took, and what was warned of."""
    taken, step = [0], torch.optim.SGD.step

    def counted(optimizer):
        taken[0] += 1
        return step(optimizer)

    with monkeypatch.context() as m, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        m.setattr(torch.optim.SGD, "step", counted)
        made = fit(*args, **options)
    return made, taken[0], [str(w.message) for w in said]


@pytest.mark.parametrize("after", [11, 20, 29])  # steps, five a pass; kept after passes 2 and 4
@pytest.mark.parametrize(
    "options", [{}, {"precision": "bfloat16"}, {"momentum": 0.0}, {"nesterov": True}]
)
def test_it_goes_on_to_the_same_bits(after, options, killed, tmp_path, monkeypatch):
    """Fails if momentum, the schedule, BatchNorm's statistics, the order, the augmentation or
    dropout's random numbers don't go on where they were, or if it begins anew."""
    path = tmp_path / "models" / ".net.kept"
    killed(after, path, **options)
    made, steps, said = steps_of(
        monkeypatch, net(), *data(), kept=path, every=2, **{**OPTIONS, **options}
    )
    assert steps == 30 - 10 * (after // 10)
    assert said == []
    assert same(made, fit(net(), *data(), **{**OPTIONS, **options}))
    assert list(path.parent.iterdir()) == []  # deleted, and nothing else left


def test_keeping_changes_nothing_and_begins_with_the_first_pass(killed, tmp_path):
    path = tmp_path / "a.kept"
    assert same(fit(net(), *data(), kept=path, every=1, **OPTIONS), fit(net(), *data(), **OPTIONS))
    killed(9, path)
    assert not path.exists()
    killed(10, path)
    assert path.exists()


OTHER = {
    "seed": {"seed": 5},
    "epochs": {"epochs": 7},
    "lr": {"lr": 0.11},
    "batch": {"batch_size": 9},
    "momentum": {"momentum": 0.8},
    "decay": {"weight_decay": 0.0},
    "warmup": {"warmup": 0.5},
    "nesterov": {"nesterov": True},
    "smoothing": {"label_smoothing": 0.1},
    "augment": {"augment": "flip"},
    "precision": {"precision": "bfloat16"},
    "layout": {"channels_last": True},
    "images": {"data": (data(seed=4)[0], data()[1])},
    "labels": {"data": (data()[0], data()[1].flip(0))},
    "start": {"model": net(seed=1)},
    "dropout": {"model": net(dropout=0.2)},
}


@pytest.mark.parametrize("what", OTHER)
def test_a_state_of_another_call_is_not_used(what, killed, tmp_path, monkeypatch):
    """Whatever differs. Fails if an argument is left out of the fingerprint."""
    path = tmp_path / "a.kept"
    killed(11, path)
    changed = dict(OTHER[what])
    x, y = changed.pop("data", data())
    model = changed.pop("model", net())
    before = path.read_bytes()
    options = {**OPTIONS, **changed}
    _, steps, said = steps_of(monkeypatch, model, x, y, kept=path, **options)
    assert steps == options["epochs"] * -(-37 // options["batch_size"])
    assert len(said) == 1
    assert "is not used: it is of another training" in said[0]
    assert before
    assert not path.exists()


def test_how_often_it_is_kept_makes_no_other_call(killed, tmp_path, monkeypatch):
    path = tmp_path / "a.kept"
    killed(11, path)
    assert steps_of(monkeypatch, net(), *data(), kept=path, every=3, **OPTIONS)[1:] == (20, [])


def test_a_damaged_state_is_not_used(killed, tmp_path, monkeypatch):
    """Cut short, empty, no safetensors, or with a bit turned anywhere among its numbers."""
    path = tmp_path / "a.kept"
    killed(11, path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little") + 8
    bad = [whole[:-9], b"", b"not a file of ours" * 99]
    for at in range(length, len(whole), (len(whole) - length) // 8):
        bad.append(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
    wanted = fit(net(), *data(), **OPTIONS)
    for content in bad:
        path.write_bytes(content)
        made, steps, said = steps_of(monkeypatch, net(), *data(), kept=path, **OPTIONS)
        assert steps == 30
        assert len(said) == 1
        assert "is not used" in said[0]
        assert same(made, wanted)


def test_parts_that_memory_allowed_are_remembered(tmp_path, killed, monkeypatch):
    """Parts round otherwise than the whole, so the bits are the same only if the limit is kept."""

    class Tight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.seen = net(), []

        def forward(self, x):
            self.seen.append(len(x))
            if len(x) > 3:
                raise torch.cuda.OutOfMemoryError("out")
            return self.net(x)

    path = tmp_path / "a.kept"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = fit(Tight(), *data(), **OPTIONS)
        killed(11, path, Tight())
    made, steps, said = steps_of(monkeypatch, Tight(), *data(), kept=path, every=2, **OPTIONS)
    assert (steps, said) == (20, [])
    assert max(made.seen) <= 3
    assert same(made, whole)


NURSERY = """
import os, random, signal, sys, time
import torch
sys.path.insert(0, sys.argv[2])
from test_kept import OPTIONS, data, net
from rurklib import store
from rurklib.train import fit
from pathlib import Path
torch.set_num_threads(1)
out, random = Path(sys.argv[1]), random.Random(int(sys.argv[3]))

def child(name, **options):
    pid = os.fork()
    if pid == 0:
        made = fit(net(), *data(200), **{**OPTIONS, "epochs": 12, **options})
        store.save_weights(out / name, made.state_dict(), "f")
        os._exit(0)
    return pid

began = time.time()
os.waitpid(child("undisturbed"), 0)
took, kills, seen = time.time() - began, 0, 0
while not (out / "disturbed").exists():
    pid = child("disturbed", kept=out / "kept", every=1)
    if kills < 6:
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
    """Six times SIGKILL, wherever it strikes (writing included). Processes are forked from one
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
    assert done.stdout.split("[")[1].strip() == "'disturbed', 'undisturbed']"
    one, other = (files.load_weights(tmp_path / n)[0] for n in ("undisturbed", "disturbed"))
    assert files.weights_digest(one) == files.weights_digest(other)


SMALL = {"epochs": 2, "references": 2, "draws": 2, "taus": [0.0, 0.2]}


def test_a_study_goes_on_from_what_was_kept(tmp_path, monkeypatch):
    """Killed in the second of three models, with a state kept every pass: the run opens, the
    first model isn't made again, the second goes on, and all are those of a run left alone. Fails
    if opening sweeps the state away or takes it for a checkpoint."""
    alone = open_run("digits", tmp_path / "alone", seeds=[0], settings=SMALL)
    wanted = study.train(alone)
    choices = {"seeds": [0], "settings": {**SMALL, "keep_every": 1}}
    taken, step = [0], torch.optim.SGD.step
    passes = [-(-len(alone.pair(p)[0]) // 64) for p in ("original", "retain")]

    def counted(optimizer):
        taken[0] += 1
        if taken[0] == 2 * passes[0] + passes[1] + 2:
            raise Killed
        return step(optimizer)

    with monkeypatch.context() as m:
        m.setattr(torch.optim.SGD, "step", counted)
        begun = open_run("digits", tmp_path / "run", **choices)
        with pytest.raises(Killed):
            study.train(begun)
    names = {p.name for p in (tmp_path / "run" / "models").iterdir()}
    assert names == {"Original-seed0.safetensors", ".Re-train-seed1000.kept"}
    taken[0] = 10**6
    monkeypatch.setattr(torch.optim.SGD, "step", counted)
    run = open_run("digits", tmp_path / "run", **choices)
    made = study.train(run)
    assert taken[0] - 10**6 == 1 * passes[1] + 2 * passes[1]
    assert all(same(made[n], wanted[n]) for n in wanted)
    assert not [p for p in (tmp_path / "run" / "models").iterdir() if p.suffix == ".kept"]
    # The setting decides no result, so it is no other run.
    assert open_run("digits", tmp_path / "run", seeds=[0], settings=SMALL).scenario.keep_every == 0
    assert study.train(run).keys() == wanted.keys()
