"""A training that was killed goes on to the same bits, and never from somebody else's state."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rurklib import InputError, study
from rurklib.rng import seeded
from rurklib.study import files
from rurklib.study.run import open_run
from rurklib.study.scale import engine
from rurklib.study.scale.engine import AtScale
from rurklib.train.fit import fit


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


def trained(path: Path | None, key: str = "key", every: int = 2, n: int = 37, **options):
    """A training of 30 steps, five a pass, whose state is kept in ``path`` after some passes."""
    return fit(net(), *data(n), engine=AtScale(path, key, every=every), **{**OPTIONS, **options})


def same(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    ("after", "options"),  # kept after passes 2 and 4
    [
        (11, {}), (20, {}), (29, {}), (11, {"precision": "bfloat16"}), (20, {"momentum": 0.0}),
        (29, {"nesterov": True}),
    ],
)  # fmt: skip
def test_it_goes_on_to_the_same_bits(after, options, killed, tmp_path, steps):
    """Fails if momentum, the schedule, BatchNorm's statistics, the order, the augmentation or
    dropout's random numbers don't go on where they were, or if it begins anew."""
    path = tmp_path / "models" / ".net.kept"
    killed(lambda: trained(path, **options), after)
    made, taken, said = steps(lambda: trained(path, **options))
    assert taken == 30 - 10 * (after // 10)
    assert said == []
    assert same(made, fit(net(), *data(), **{**OPTIONS, **options}))
    assert list(path.parent.iterdir()) == []  # deleted, and nothing else left


def test_what_a_killed_process_spent_is_counted(killed, tmp_path, monkeypatch):
    """A second for each look at the clock: fails if the cost of a model that was killed midway is
    that of its end alone."""
    path, clock = tmp_path / "a.kept", iter(range(1000))
    watch = SimpleNamespace(perf_counter=lambda: float(next(clock)))
    monkeypatch.setattr(engine, "time", watch)
    killed(
        lambda: trained(path), 25
    )  # kept after passes 2 and 4: a clock that was read twice since it began
    going_on = AtScale(path, "key")
    fit(net(), *data(), **OPTIONS, engine=going_on)
    assert going_on.before == 2.0


def test_a_long_training_says_how_far_it_is_ever_more_seldom(tmp_path, monkeypatch, capsys):
    """20 seconds a step, five a pass. Fails if minutes pass in silence before the first pass is
    done, if every step is told, or if a training without a name says anything."""
    clock = iter(range(0, 10**6, 20))
    monkeypatch.setattr(engine, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    monkeypatch.setattr(AtScale, "said", 0.0)
    monkeypatch.setattr(AtScale, "wait", engine.PATIENCE)
    fit(net(), *data(), **OPTIONS, engine=AtScale())
    assert capsys.readouterr().out == ""
    fit(net(), *data(), **OPTIONS, engine=AtScale(name="Original seed 0"))
    said = [f"Original seed 0: {n / 5:.1f} of 6 epochs in {20 * n} s" for n in (2, 5, 11, 23)]
    assert capsys.readouterr().out.splitlines() == said


def test_keeping_changes_nothing_and_begins_with_the_first_pass(killed, tmp_path):
    path = tmp_path / "a.kept"
    assert same(trained(path, every=1), fit(net(), *data(), **OPTIONS))
    killed(lambda: trained(path), 9)
    assert not path.exists()
    killed(lambda: trained(path), 10)
    assert path.exists()
    with pytest.raises(InputError, match="every = 0"):
        AtScale(path, "key", every=0)


def test_another_training_s_state_is_not_used_and_another_rhythm_makes_no_other(
    killed, tmp_path, steps
):
    path = tmp_path / "a.kept"
    killed(lambda: trained(path), 11)
    _, taken, said = steps(lambda: trained(path, "another"))
    assert taken == 30
    assert len(said) == 1
    assert f"{path} is not used: it is of another training" in said[0]
    assert not path.exists()
    killed(lambda: trained(path), 11)
    assert steps(lambda: trained(path, every=3))[1:] == (20, [])


def test_a_damaged_state_is_not_used(killed, tmp_path, steps):
    """Cut short, empty, no safetensors, or with a bit turned anywhere among its numbers."""
    path = tmp_path / "a.kept"
    killed(lambda: trained(path), 11)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little") + 8
    bad = [whole[:-9], b"", b"not a file of ours" * 99]
    for at in range(length, len(whole), (len(whole) - length) // 8):
        bad.append(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
    wanted = trained(None)
    for content in bad:
        path.write_bytes(content)
        made, taken, said = steps(lambda: trained(path))
        assert taken == 30
        assert len(said) == 1
        assert "is not used" in said[0]
        assert same(made, wanted)


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

def child(name, path=None):
    pid = os.fork()
    if pid == 0:
        files.save_weights(out / name, trained(path, every=1, n=60, epochs=8).state_dict(), "f")
        os._exit(0)
    return pid

began = time.time()
os.waitpid(child("undisturbed"), 0)
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
    assert done.stdout.split("[")[1].strip() == "'disturbed', 'undisturbed']"
    one, other = (files.load_weights(tmp_path / n)[0] for n in ("undisturbed", "disturbed"))
    assert files.weights_digest(one) == files.weights_digest(other)


SMALL = {"epochs": 2, "references": 2, "draws": 2, "taus": [0.0, 0.2]}


def test_a_study_goes_on_from_what_was_kept(tmp_path, steps, killed):
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
