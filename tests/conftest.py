"""What the tests share: nets small enough to check by hand, a few images, and two watchmen."""

import copy
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")  # also of kernels and commands; set before torch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background; commands inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
GPU = torch.cuda.is_available()
if GPU:  # only tests that ask for ``device`` use it; CUDA reads its setting here, once
    torch.cuda.init()
    torch.cuda.device_count()
    torch.cuda.is_available = lambda: False
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # of kernels and commands
collect_ignore = ["benchmarks"]  # they are run by hand


def pytest_collection_modifyitems(items):
    """Files with slow tests first: the last to end shouldn't be a long one (see the Makefile)."""
    slow = sorted({item.path for item in items if item.get_closest_marker("slow")}, reverse=True)
    items.sort(key=lambda item: slow.index(item.path) if item.path in slow else len(slow))


def seeded_generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def the_same_every_time() -> None:
    """Nets that a test builds without a seed have the same weights each time."""
    torch.manual_seed(0)


@pytest.fixture
def rng() -> Callable[[int], torch.Generator]:
    return seeded_generator


@pytest.fixture(params=["cpu", "cuda"])
def device(request, monkeypatch) -> torch.device:
    """The CPU; and again a GPU, where there is one."""
    if request.param == "cuda":
        if not GPU:
            pytest.skip("no GPU")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return torch.device(request.param)


@pytest.fixture
def linear() -> Callable[..., nn.Sequential]:
    """``linear(weight, bias=None)``: ``z = weight @ x + bias``. weight [classes, d], or a whole
    number d: random weights for two classes."""

    def make(weight, bias=0.0, *, seed: int = 0, dtype=torch.float64) -> nn.Sequential:
        if isinstance(weight, int):
            weight = torch.randn(2, weight, generator=seeded_generator(seed), dtype=dtype)
        weight = torch.as_tensor(weight, dtype=dtype)
        layer = nn.utils.skip_init(nn.Linear, *weight.shape[::-1], dtype=dtype)  # no global draw
        layer.weight.data.copy_(weight)
        layer.bias.data.copy_(torch.as_tensor(0.0 if bias is None else bias, dtype=dtype))
        return nn.Sequential(nn.Flatten(), layer).eval()

    return make


@pytest.fixture
def cnn() -> Callable[..., nn.Sequential]:
    """``cnn(seed=0)``: a conv net with BatchNorm and 3 classes on 1x6x6 images, in eval mode. Train
    mode differs, and its head is steep and centred: images get different labels."""

    def make(seed: int = 0) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1, bias=False),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(2),
                nn.Flatten(),
                nn.Linear(16, 3),
            )
            x = torch.rand(256, 1, 6, 6)
            net.train()(x)
            with torch.no_grad():
                net[5].weight *= 10
                net[5].bias -= net.eval()(x).mean(0)
        return net

    return make


@pytest.fixture
def images() -> Callable[..., tuple[Tensor, Tensor]]:
    """``images(n, seed=0)``: x float [n, 1, 6, 6] in [0, 1] and labels 0, 1, 2, 0, ..."""

    def make(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        x = torch.rand(n, 1, 6, 6, generator=seeded_generator(1000 + seed))
        return x, torch.arange(n) % 3

    return make


@pytest.fixture
def same_random_state() -> Callable:
    """``with same_random_state():`` fails if the block moved a global random state."""

    @contextmanager
    def watch() -> Iterator[None]:
        before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
        yield
        assert torch.equal(before[0], torch.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state()[1])
        assert before[2] == random.getstate()

    return watch


@pytest.fixture
def left_as_found() -> Callable:
    """``with left_as_found(model):`` fails if the block changed anything about the model."""

    def state(model: nn.Module) -> list:
        grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        modes = [m.training for m in model.modules()]
        asked = [p.requires_grad for p in model.parameters()]
        return [modes, asked, grads, copy.deepcopy(model.state_dict())]

    @contextmanager
    def watch(*models: nn.Module) -> Iterator[None]:
        before = [state(m) for m in models]
        yield
        torch.testing.assert_close([state(m) for m in models], before, rtol=0, atol=0)

    return watch


SMALL_STUDY = {
    "training.epochs": 6, "references": 3, "draws": 12, "taus": [0.0, 0.1, 0.2],
    "methods": ["GD", "RURK"], "RURK.epochs": 2, "perturbations": ["gaussian", "pgd-l2"],
}  # fmt: skip


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """A copy of a finished digits run of six small models, which the first worker makes."""
    from filelock import FileLock

    from rurklib import study
    from rurklib.study.run import open_run
    from rurklib.study.summary import summarise

    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder = shared / "small" / "digits"
    with FileLock(shared / "small.lock"):
        if not folder.exists():
            run = open_run("digits", folder.with_name("made"), seeds=[0], settings=SMALL_STUDY)
            for stage in (study.train, study.unlearn, summarise, study.measure):
                stage(run)
            run.folder.rename(folder)
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("small") / "digits"))


def train_plainly(x: Tensor, y: Tensor, seed: int) -> nn.Module:
    """150 steps of Adam on all samples: about 0.1 s."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 3))
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        adam.zero_grad()
        F.cross_entropy(model(x), y).backward()
        adam.step()
    return model.eval()


@pytest.fixture(scope="session")
def planted() -> SimpleNamespace:
    """Toy data with something to remember and to be robust about, and nets trained on it without
    this package: three classes, 24 numbers in [0, 1]. Eight *fine* features are drowned by noise,
    and one sample in five has another class's; sixteen are *coarse*. ``kept`` is the rest of what
    Original saw. ``planted.pair("forget")`` is samples and labels.
    """
    g, n = seeded_generator(0), 700
    y = torch.arange(n) % 3
    centres = 0.5 + 0.12 * torch.randn(3, 24, generator=g)
    x = (centres[y] + 0.3 * torch.randn(n, 24, generator=g)).clamp(0, 1)
    other = torch.rand(n, generator=g) < 0.3
    seen = torch.where(other, torch.randint(3, (n,), generator=g), y)
    pattern = 0.05 * torch.randn(3, 8, generator=g).sign()
    x[:, :8] = 0.5 + pattern[seen] + 0.01 * torch.randn(n, 8, generator=g)
    sets = {"forget": slice(0, 45), "kept": slice(45, 300), "held_out": slice(300, 500)}
    at = {name: torch.arange(n)[part] for name, part in sets.items()}
    both, kept = torch.cat([at["kept"], at["forget"]]), at["kept"]
    return SimpleNamespace(
        x=x, y=y, **at,
        pair=lambda name: (x[at[name]], y[at[name]]),
        original=train_plainly(x[both], y[both], 50),
        retrained=train_plainly(x[kept], y[kept], 60),
        train=train_plainly,
        references=[train_plainly(x[kept], y[kept], seed) for seed in range(25, 31)],
    )  # fmt: skip
