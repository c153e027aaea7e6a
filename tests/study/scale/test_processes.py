"""Two processes under torchrun make the net that one makes, and take over from each other."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from rurklib import InputError, study
from rurklib.rng import seeded
from rurklib.study import files
from rurklib.study.run import open_run
from rurklib.study.scale import processes
from rurklib.study.scale.engine import AtScale
from rurklib.study.stages import making
from rurklib.train.fit import fit


def net(norm: bool = False) -> nn.Module:
    """Without BatchNorm or dropout, unless asked: those see each process's part alone."""
    with seeded(0):
        middle = [nn.BatchNorm2d(6), nn.Dropout(0.3)] if norm else []
        layers = [nn.Conv2d(1, 6, 3), *middle, nn.Tanh(), nn.Flatten(), nn.Linear(216, 3)]
        return nn.Sequential(*layers).double()


def data(n: int = 41) -> tuple[torch.Tensor, torch.Tensor]:
    """In double precision, so that a wrong weight can't be taken for rounding."""
    gen = torch.Generator().manual_seed(3)
    return torch.rand((n, 1, 8, 8), generator=gen, dtype=torch.float64), torch.arange(n) % 3


# Batches of 7 and 6: parts of 4 and 3 samples, then of 3 and 3.
OPTIONS = {
    "seed": 4, "epochs": 4, "lr": 0.3, "batch_size": 7, "warmup": 0.5, "augment": "flip-crop",
}  # fmt: skip
SETTINGS = {"epochs": 1, "references": 2, "train_images": 200}
CLI = ["train", "--scenario=digits", "--seeds=0"]
CLI += [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
STOP = 2 * 6 + 3  # steps: in the third pass


TOGETHER = """
import os, signal, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_processes import CLI, OPTIONS, STOP, data, net
from rurklib.study import files
from rurklib.study.cli.main import main
from rurklib.study.scale import AtScale, processes
from rurklib.train import fit

out, rank = Path(sys.argv[1]), int(os.environ["RANK"])

def save(name, made):
    files.save_weights(out / f"{name}-{rank}", made.state_dict(), "f")

before = torch.get_rng_state()
save("plain", fit(net(), *data(), engine=AtScale(), **OPTIONS))
save("norm", fit(net(norm=True), *data(), engine=AtScale(), **OPTIONS))
assert torch.equal(before, torch.get_rng_state())
going_on = AtScale(out / "one.kept", "key", every=1)
save("from-one", fit(net(), *data(), engine=going_on, **OPTIONS))
main([*CLI, "--out", str(out / "run")], standalone_mode=False)
(out / f"here-{rank}").write_text(f"{processes.rank()} of {processes.size()}")
processes.wait()
taken, step = [], torch.optim.SGD.step

def stepped(optimizer):
    taken.append(1)
    return step(optimizer) if len(taken) <= STOP else os.kill(os.getpid(), signal.SIGKILL)

torch.optim.SGD.step = stepped
fit(net(), *data(), engine=AtScale(out / "two.kept", "key", every=1), **OPTIONS)
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory, killed):
    """What two processes wrote, started once for all tests: connecting takes seconds."""
    pytest.importorskip("lightning_fabric", reason='pip install -e ".[several]"')
    out = tmp_path_factory.mktemp("several")
    engine = AtScale(out / "one.kept", "key", every=1)
    killed(lambda: fit(net(), *data(), engine=engine, **OPTIONS), STOP)
    assert (out / "one.kept").exists()
    script = out / "together.py"
    script.write_text(TOGETHER)
    words = ["--standalone", "--nproc-per-node", "2", str(script), str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, str(Path(__file__).parent)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "SIGKILL" in done.stderr or "Signal 9" in done.stderr, done.stderr
    for rank in (0, 1):
        assert (out / f"here-{rank}").read_text() == f"{rank} of 2"
    out.joinpath("stdout").write_text(done.stdout)
    return out


def near(a: dict[str, torch.Tensor], b: nn.Module) -> None:
    for key, value in b.state_dict().items():
        torch.testing.assert_close(a[key], value, atol=1e-10, rtol=0)


def test_the_weights_are_those_of_one_process(together):
    """To 1e-10. Fails if parts of 4 and 3 samples weigh alike, if both have the same part, or if
    gradients are summed rather than averaged."""
    wanted = fit(net(), *data(), **OPTIONS)
    assert (wanted[0].weight - net()[0].weight).abs().max() > 0.05  # something was learned
    for rank in (0, 1):
        near(files.load_weights(together / f"plain-{rank}")[0], wanted)


def test_both_have_the_same_net_at_the_end(together):
    """Also where BatchNorm saw other samples in each. Fails if a process keeps its own statistics,
    or if dropout draws the same numbers in both (which its mask can't tell, so: as one alone)."""
    one, other = (files.load_weights(together / f"norm-{rank}")[0] for rank in (0, 1))
    assert files.weights_digest(one) == files.weights_digest(other)
    assert int(one["1.num_batches_tracked"]) == 24


def test_two_go_on_where_one_was_killed(together):
    wanted = fit(net(), *data(), **OPTIONS)
    near(files.load_weights(together / "from-one-0")[0], wanted)
    assert not (together / "one.kept").exists()
    assert "not used" not in (together / "stdout").read_text()


def test_one_goes_on_where_two_were_killed(together, steps):
    engine = AtScale(together / "two.kept", "key", every=1)
    made, taken, _ = steps(lambda: fit(net(), *data(), engine=engine, **OPTIONS))
    assert taken == 2 * 6  # the first two passes are there
    near(made.state_dict(), fit(net(), *data(), **OPTIONS))


def test_the_command_makes_a_run_that_a_study_takes_as_it_is(together, capsys):
    """Written by one process, whole, in one run; printed once."""
    assert (together / "stdout").read_text().count("models: ") == 1
    run = open_run("digits", together / "run", seeds=[0], settings=SETTINGS)
    names = {p.name for p in (run.folder / "models").iterdir()}
    assert names == {run.checkpoint(n).name for n in run.trained}
    made = study.train(run)
    assert "3 models there already" in capsys.readouterr().out
    assert made.keys() == set(run.trained)


def test_the_command_alone_makes_what_the_study_makes(tmp_path, rurk):
    done = rurk(*CLI, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    wanted = study.train(open_run("digits", tmp_path / "other", seeds=[0], settings=SETTINGS))
    for (method, seed), model in wanted.items():
        path = tmp_path / "run" / "models" / f"{method}-seed{seed}.safetensors"
        made, found = model.state_dict(), files.load_weights(path)[0]
        assert files.weights_digest(found) == files.weights_digest(made)


def test_only_the_first_process_writes_a_checkpoint_and_all_wait(tmp_path, monkeypatch):
    run, waited = open_run("digits", tmp_path / "run", seeds=[0], settings=SETTINGS), []
    monkeypatch.setattr(making, "_trained", lambda run, name, key: (run.blank(name.seed), 0.0))
    monkeypatch.setattr(processes, "wait", lambda: waited.append(run.checkpoint(name).exists()))
    name = run.trained[0]
    for rank in (1, 0):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        making.make(run, name, "a key")
    assert waited == [False, True]


@pytest.mark.parametrize("words", [["--scenario", "digit"], ["--set", "epoch=3"], ["--seeds", "a"]])
def test_bad_words_are_refused_in_one_line(words, tmp_path, refused):
    refused("rurk: ", "train", "--out", tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()


def test_more_processes_than_samples_in_a_batch_are_refused(monkeypatch):
    """Before any of them is connected."""
    monkeypatch.setattr(processes, "size", lambda: 8)
    monkeypatch.setattr(processes, "rank", lambda: 0)
    with pytest.raises(InputError, match="batches of 6 samples in 8 processes"):
        fit(net(), *data(), engine=AtScale(), **OPTIONS)


def test_a_cluster_s_variables_alone_do_not_make_several(monkeypatch):
    """WORLD_SIZE is set by schedulers too; only torchrun's own name counts."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert (processes.size(), processes.rank()) == (1, 0)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "3")
    assert (processes.size(), processes.rank()) == (4, 3)


def test_synchronised_batchnorm_is_given_back_as_the_models_own():
    """What a GPU would need, as far as a CPU can: on the same tensors, and itself again after."""
    model = nn.Sequential(net(norm=True))
    own, before = model[0][1], copy.deepcopy(model.state_dict())
    restore = processes.synchronise_batchnorm(model)
    assert isinstance(model[0][1], nn.SyncBatchNorm)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(1)
    restore()
    assert model[0][1] is own
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key] + 1)
