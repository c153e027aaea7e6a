"""Samples on disk do what tensors do, wherever samples are looked at."""

import pickle

import numpy as np
import pytest
import torch
from pretended_gpu import pretended_gpu
from torch import nn

from rurklib import METHODS, InputError, checks, metrics, samples, unlearn
from rurklib.data.dataset import Dataset
from rurklib.data.requests import forget_part_of_a_class, rehearsed
from rurklib.residual.measure import residual_knowledge
from rurklib.samples import take
from rurklib.study import files
from rurklib.study.sources import rows
from rurklib.study.sources.rows import Rows, in_memory_if_small, noisy_rows
from rurklib.unlearn.contract import defaults

N, SHAPE = 90, (3, 8, 8)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randint(
        0, 256, (N, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture
def stored(x, tmp_path, monkeypatch) -> Rows:
    """The same on disk, where nothing is so small that it is read into memory."""
    monkeypatch.setattr(rows, "IN_MEMORY", 0)
    np.save(tmp_path / "x.npy", x.numpy())
    return Rows(tmp_path / "x.npy")


def test_it_is_indexed_like_a_tensor(x, stored):
    """Every kind of index, before and after some are taken. Fails if ``take`` forgets what was
    taken before, or a reading is a view of the file."""
    some = torch.tensor([7, 2, 2, 88])
    mask = torch.arange(N) % 4 == 1
    slices = slice(3, 9), slice(None, 8), slice(0, 0)
    for at in (5, -1, *slices, some, mask, some[:0], some.view(2, 2)):
        assert torch.equal(stored[at], x[at])
    for at in (slice(10, 60), some, mask):
        part = stored.take(at)
        assert isinstance(part, Rows)
        assert len(part) == len(x[at])
        assert torch.equal(part[:], x[at])
        assert torch.equal(part.take(slice(1, 3))[:], x[at][1:3])
    stored[0][:] = 0
    assert torch.equal(stored[0], x[0])


def test_it_looks_like_a_tensor(x, stored):
    for name in ("shape", "ndim", "dtype", "device", "nbytes"):
        assert getattr(stored, name) == getattr(x, name)
    assert len(stored) == N
    assert not stored.is_floating_point()
    assert [len(p) for p in stored.split(40)] == [40, 40, 10]
    assert torch.equal(torch.cat(list(stored.split(40))), x)
    assert torch.equal(torch.stack(list(stored)), x)  # iteration ends


def test_it_travels_as_a_name_and_an_index(x, stored):
    """Fails if the samples go along, or the index stays behind."""
    part = stored.take(torch.arange(0, N, 3))
    sent = pickle.dumps(part)
    assert len(sent) < 3000 < x.nbytes
    assert torch.equal(pickle.loads(sent)[:], x[::3])


def test_samples_go_to_a_device_as_they_are_read(stored, x, monkeypatch):
    """The rest stays on disk, also where a GPU hasn't the room. Fails if an index on that device
    can't be used, or a part forgets its device."""
    there = stored.to("meta")
    assert there.device.type == "meta"
    assert there.take(slice(5))[:2].device.type == "meta"
    assert stored.device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * x.nbytes, 9 * x.nbytes))
    assert isinstance(stored.to("cuda"), Rows)
    assert stored.to("cuda").device.type == "cuda"


def test_a_gpu_with_room_holds_them_all(stored, x):
    with pretended_gpu() as gpu:
        whole = stored.to(gpu)
        assert whole.device == gpu
        assert torch.equal(whole.cpu(), x)


def test_what_needs_all_at_once_says_so(stored):
    """Fails if an operation silently reads the file, or answers with Python's own error."""
    for ask in (samples.as_float, torch.isfinite, lambda v: torch.cat([v, v[:2]])):
        with pytest.raises(InputError, match=r"the samples are on disk, and .* fewer samples"):
            ask(stored)


def test_other_files_are_refused(tmp_path, x):
    for name, content in (
        ("floats", np.zeros((3, 2))),
        ("flat", np.zeros(9, np.uint8)),
        ("turned", np.asfortranarray(x.numpy())),
        ("objects", np.array([{}])),
    ):
        np.save(tmp_path / name, content)
        with pytest.raises(InputError, match=f"{name}.npy is not a whole .npy file"):
            Rows(tmp_path / f"{name}.npy")
    np.save(tmp_path / "x.npy", x.numpy())
    whole = (tmp_path / "x.npy").read_bytes()
    for length in (0, 50, len(whole) - 1):
        (tmp_path / "x.npy").write_bytes(whole[:length])
        with pytest.raises(InputError, match="not a whole"):
            Rows(tmp_path / "x.npy")
    with pytest.raises(InputError, match="not a whole"):
        Rows(tmp_path / "none.npy")


def test_small_parts_are_read(stored, x, monkeypatch):
    each = x[0].nbytes
    monkeypatch.setattr(rows, "IN_MEMORY", 20 * each)
    assert torch.equal(take(stored, torch.arange(20)), x[:20])
    assert isinstance(take(stored, torch.arange(20)), torch.Tensor)
    assert isinstance(take(stored, torch.arange(21)), Rows)
    assert isinstance(in_memory_if_small(stored), Rows)
    assert torch.equal(take(x, torch.arange(30)), x[:30])


def test_a_data_set_on_disk_is_the_same_data_set(x, stored, tmp_path):
    """Digest, splits with identical copies, parts. Fails if copies are missed on disk, or a
    part is another."""
    x[40] = x[4] = x[1]  # of one class, like 1
    x[33, 0, 0, 0] = x[34, 0, 0, 0] + 1
    x[33, 1:] = x[34, 1:]  # not a copy, although the rest agrees
    np.save(tmp_path / "x.npy", x.numpy())
    y, made = torch.arange(N) % 3, []
    for whole in (x, Rows(tmp_path / "x.npy")):
        sides = [(take(whole, at), y[at]) for at in (slice(0, 60), slice(60, N))]
        made.append(Dataset("toy", *sides, ("a", "b", "c"), "random numbers"))
    plain, disk = made
    assert isinstance(disk.train[0], Rows)
    assert isinstance(disk.to("cpu").test[0], Rows)
    assert plain.digest == disk.digest == disk.to("cpu").digest
    for options in (
        {"forget_class": 1, "seed": 1},
        {"forget_class": 1, "forget_share": 0.2, "seed": 2},
        {"forget_class": -1, "forget_share": 0.3},
    ):
        split = forget_part_of_a_class(plain, **options)
        assert forget_part_of_a_class(disk, **options) == split
        assert rehearsed(split, disk) == rehearsed(split, plain)
        assert {1, 4, 40} <= set(split.forget) or not {1, 4, 40} & set(split.forget)
        for part in ("retain", "forget", "original", "validation", "test", "held_out"):
            (xa, ya), (xb, yb) = split.pair(plain, part), split.pair(disk, part)
            assert isinstance(xb, Rows)
            assert torch.equal(xa, xb[:])
            assert torch.equal(ya, yb)
    with pytest.raises(InputError, match="forget_order random"):
        forget_part_of_a_class(disk, forget_class=1, forget_order="hard")


def test_shared_samples_are_counted(x, stored):
    """By both sides being tensors or on disk. Fails if samples aren't compared whole."""
    checks.disjoint(stored.take(slice(0, 50)), stored.take(slice(50, N)))
    near = x[:3].clone()
    near[:2, 0, 0, 0] ^= 1
    near[2, -1, -1, -1] ^= 1
    both = torch.cat([near, x[5:7], x[5:6]])
    for kept in (x[:20], stored.take(slice(0, 20))):
        with pytest.raises(InputError, match="3 of 6 forget samples are in the retain set too"):
            checks.disjoint(kept, both)
        assert samples.copies(kept, both).nonzero().flatten().tolist() == [5, 6]
        assert samples.copies(both, kept).tolist() == [False] * 3 + [True] * 3
        assert not samples.copies(kept, both[:0]).any()
    with pytest.raises(InputError, match="20 of 20 forget samples are in the retain set"):
        checks.disjoint(stored, stored.take(slice(0, 20)))


def test_checks_take_what_is_on_disk(stored):
    y = torch.arange(N) % 3
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    assert checks.pair((stored, y), "retain")[0] is stored
    assert checks.logits(net, stored, y) == 3
    with pytest.raises(InputError, match="retain is empty"):
        checks.pair((stored.take([]), y[:0]), "retain")
    with pytest.raises(InputError, match="90 samples"):
        checks.pair((stored, y[:3]), "retain")
    assert files.weights_digest({"x": stored}) == files.weights_digest({"x": stored[:]})


def net(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
        ).eval()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_gives_the_same_model(method, x, stored):
    """Retain and forget samples on disk, against tensors. Methods that need all at once say so."""
    y = torch.arange(N) % 3
    forget = y[:60] == 1
    some = forget & (torch.arange(60) < 30)
    parts = [(torch.nonzero(~some).flatten()), torch.nonzero(some).flatten()]
    options = {"epochs": 1} if "epochs" in defaults(method) else {}
    options |= {"max_epochs": 1} if method == "SCRUB" else {}

    def made(source, mixed):
        retain, lost = ((source.take(at) if mixed else source[at], y[at]) for at in parts)
        return unlearn(method, net(0), retain, lost, seed=1, **options)

    want = made(x, False)
    if method in ("NTK", "RandomLabels", "SalUn", "BadTeacher", "AMUN"):
        with pytest.raises(InputError, match="the samples are on disk"):
            made(stored, True)
    else:
        got = made(stored, True).state_dict()
        assert all(torch.equal(v, got[k]) for k, v in want.state_dict().items())


def test_metrics_and_the_measurement(x, stored):
    y = torch.arange(N) % 3
    models = [net(k) for k in range(4)]
    parts = [slice(0, 40), slice(40, 60), slice(60, N)]
    plain = [(x[at], y[at]) for at in parts]
    disk = [(stored.take(at), y[at]) for at in parts]
    for measure in (
        lambda a, b, c: metrics.accuracy(models[0], *a),
        lambda a, b, c: metrics.mia(models[0], a, c, b),
        lambda a, b, c: metrics.confidence(models[0], *b).tolist(),
        lambda a, b, c: metrics.relearn_epochs(models[0], models[1], b, cap=2),
        lambda a, b, c: metrics.relearn_steps(models[0], models[1], b, cap=2, batch_size=7),
        lambda a, b, c: residual_knowledge(
            models[0],
            models[1:],
            *b,
            taus=[0.0, 0.2],
            draws=3,
            controls={"held out": c, "retained": a},
        ).frame.to_csv(),
    ):
        assert measure(*plain) == measure(*disk)
    asked = {
        "taus": [0.1],
        "draws": 1,
        "controls": {"c": (stored.take([41, 41, 70]), y[[41, 41, 70]])},
    }
    with pytest.raises(InputError, match="2 of 3 control 'c' samples are in the forget set"):
        residual_knowledge(models[0], models[1:], *disk[1], **asked)


def test_noisy_copies_are_made_as_they_are_read(stored, x):
    """Fails if a copy is another the second time, depends on what is read beside it, isn't of its
    sample, or all copies have one noise. Samples in memory get the same."""
    y = torch.arange(N) % 3
    nx, ny = noisy_rows(stored, y, 0.1, copies=2, seed=4, bounds=None)
    assert nx.shape == (3 * N, *SHAPE)
    assert nx.dtype == torch.float32
    assert torch.equal(ny, y.repeat(3))
    whole = nx[:]
    assert torch.equal(whole[:N], samples.as_float(x))
    assert torch.equal(nx[torch.tensor([200, 3, 95])], whole[[200, 3, 95]])
    noise = (whole[N:] - samples.as_float(x).repeat(2, 1, 1, 1)).view(2 * N, -1)
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert abs(torch.corrcoef(noise)[~torch.eye(2 * N, dtype=bool)]).max() < 0.5
    inside = noisy_rows(stored, y, 0.3, copies=1)[0][:]
    assert inside.min() == 0
    assert inside.max() == 1
    assert not torch.equal(noisy_rows(stored, y, 0.1, copies=2, seed=5, bounds=None)[0][:], whole)
    assert torch.equal(noisy_rows(x, y, 0.1, copies=2, seed=4, bounds=None)[0][:], whole)
