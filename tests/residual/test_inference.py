"""The fast form of a model: the same logits but for rounding, or the model itself and why."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from rurklib.data import digits
from rurklib.models import MODELS, build
from rurklib.residual import inference
from rurklib.residual.counts import Measurement, count
from rurklib.residual.inference import EVERY, Forward, accelerate, screened
from rurklib.tensors import as_float
from rurklib.train import fit

BATCHNORM = (nn.BatchNorm1d, nn.BatchNorm2d)


def trained(net: nn.Module) -> nn.Module:
    """The net in eval mode, with running statistics, scales and shifts that matter."""
    gen = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, BATCHNORM):
            for tensor in (module.running_mean, module.bias):
                tensor.data = torch.randn(tensor.shape, generator=gen) / 5
            for tensor in (module.running_var, module.weight):
                tensor.data = torch.rand(tensor.shape, generator=gen) + 0.5
    return net.eval()


def same(forward: Forward, net: nn.Module, x: torch.Tensor) -> bool:
    with torch.no_grad():
        own, other = net(x), forward(x)
    assert len(x) == 1 or own.std(0).max() > 1e-3 * own.abs().max()  # else anything is the same
    return (own - other).abs().max() <= 1e-5 * own.abs().max()


def kinds(form: nn.Module) -> list[type]:
    return [type(m) for m in form.modules()]


class Cells(nn.Module):
    """What a net may do that a careless fold or fusion gets wrong."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        options = {
            "reflect": {"padding_mode": "reflect"},
            "same": {"padding": "same"},
            "groups": {"groups": 2, "dilation": 2, "stride": 2},
        }.get(kind, {})
        self.kind = kind
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.conv = nn.Conv2d(4, 4, 3, **{"padding": 1, **options})
        for layer in (self.first, self.conv):
            layer.weight.data *= 3
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.head = nn.Linear(4, 5)
        self.last = nn.BatchNorm1d(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.first(x))
        if self.kind == "conv applied twice":
            h = self.other(self.conv(self.norm(self.conv(h)).relu()))
        elif self.kind == "sum used twice":  # the ReLU must not change the other branch
            h = self.conv(h)
            h = self.relu(h) - 0.5 * h
        elif self.kind == "convolution used twice":
            h = self.conv(h)
            h = self.norm(h) + torch.relu(h)
        elif self.kind == "norm first":
            h = self.conv(self.norm(h))
        else:
            h = self.relu(self.norm(self.conv(h)))
        return self.last(self.head(h.amax((2, 3))))


KINDS = (
    *("plain", "reflect", "same", "groups", "sum used twice"),
    *("convolution used twice", "norm first", "conv applied twice"),
)
# A net and the shape of what it takes. (vgg11 is a wide vgg11-narrow, resnet50 a deep resnet18.)
NETS = {kind: (lambda kind=kind: Cells(kind), (3, 6, 6)) for kind in KINDS}
NETS |= {
    name: (lambda name=name: build(name, 3, 5, seed=0), (3, 32, 32))
    for name in MODELS
    if name not in ("mlp", "text-cnn", "vgg11", "resnet50")
}
NETS |= {
    "mlp": (lambda: build("mlp", 6, 5, seed=0), (6,)),
    "text-cnn": (lambda: build("text-cnn", 4, 5, seed=0), (4, 7)),
    "doubles": (lambda: nn.Sequential(nn.Linear(6, 3), nn.ReLU()).double(), (6,)),
}


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("name", NETS)
@pytest.mark.filterwarnings("error")
def test_the_fast_form_gives_the_same_logits(
    name, gradients, rng, left_as_found, same_random_state
):
    """Fails if a layer that is used twice is folded or fused, or a padding is dropped - then the
    trial catches it, ``reason`` is set, and this test says so; if the fold stops half-way, or the
    form is bound to the size or layout of its first batch; or if it warns or draws."""
    make, shape = NETS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = trained(make())
    x = torch.rand(9, *shape, generator=rng(0), dtype=next(net.parameters()).dtype)
    with left_as_found(net), same_random_state():
        forward = accelerate(net, x[:5], gradients=gradients)
    for n in (1, 9):
        assert same(forward, net, x[:n])
        assert same(forward, net, inference.laid_out(x[:n]))
    if name == "conv applied twice":  # folded for one of the two: the trial finds it
        assert forward.call is net
        assert "logits differ by" in forward.reason
        return
    assert forward.reason == ""
    assert forward.call is not net
    if name in MODELS:
        left = [m for m in kinds(forward.call) if m in BATCHNORM]
        assert len(left) == {"fast-cnn": 3, "text-cnn": 1}.get(name, 0)  # those behind a pool
    if not gradients and inference.packable(x):  # else what failed the trial was passed over
        assert inference.Convolution in kinds(forward.call)
        assert name in KINDS or nn.Conv2d not in kinds(forward.call)
    assert name != "small-cnn" or gradients or nn.ReLU not in kinds(forward.call)


class TensorFloat32(TorchFunctionMode):
    """Convolutions as newer GPUs have them where nobody asks for more: of ten bits."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.conv2d and torch.backends.cudnn.allow_tf32:
            ten = [(x.view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32) for x in args[:2]]
            args = (*ten, *args[2:])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["small-cnn", "fast-cnn"])
def test_float32_is_whole_on_newer_gpus(name, rng):
    """Fails if a fast form isn't found there, or answers are in fewer bits; or if what the user set
    isn't put back."""
    net = trained(build(name, 3, 5, seed=0))
    x = torch.rand(70, 3, 32, 32, generator=rng(0))
    own = net(x)
    with TensorFloat32():
        assert not torch.allclose(net(x), own, rtol=1e-5, atol=1e-6)
        forward = accelerate(net, x, gradients=True)
        assert forward.reason == ""
        torch.testing.assert_close(forward(x), own)
        torch.testing.assert_close(forward.of_many(x), own)
    assert torch.backends.cudnn.allow_tf32


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


def test_where_it_can_not_be_done_the_model_itself_is_used():
    seen, hooked = [], nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    hooked[1].register_forward_hook(lambda module, inputs, output: seen.append(1))
    for net, why in ((Branches(), "traced"), (hooked, "has hooks")):
        forward = accelerate(net, torch.rand(3, 1, 2, 2))
        assert forward.call is net
        assert why in forward.reason
    assert len(seen) == 1  # asked once, for the trial's answer; no copy ran the hook


@pytest.mark.parametrize(
    ("name", "n", "side", "size"),
    [("small-cnn", 40, 8, 256), ("small-cnn", 1, 8, 256), ("small-cnn-32", 2, 32, 64),
     ("small-cnn", 2, 256, 8)],
)  # fmt: skip
def test_the_batch_size_follows_from_the_largest_activation(name, n, side, size):
    """16 channels of 8x8 are 1,024 numbers: 256 images make 2**18. Never below 64 or above 1,024,
    unless memory says so (16 x 256 x 256 numbers: 8 images make 2**23)."""
    net, x = build(name, 3, 10, seed=0), torch.rand(n, 3, side, side)
    assert accelerate(net, x).batch_size == size
    assert accelerate(net, x, precision="bfloat16").batch_size <= 4 * size


# --- screening in bfloat16 -----------------------------------------------------------------------

TAUS = (0.0, 0.05, 0.2)


@cache
def real(name: str, n: int = 300) -> tuple[list[nn.Module], torch.Tensor, torch.Tensor]:
    """Three nets that have learned real digits a little, so that many copies are near a border;
    and threes that they haven't seen. Made once: no test changes them."""
    x, y = digits().train
    x = as_float(x)
    if name == "small-cnn-32":
        x = nn.functional.interpolate(x, size=32, mode="bilinear").repeat(1, 3, 1, 1)
    x = x.flatten(1) if name == "mlp" else x
    nets = [
        fit(build(name, x.shape[1], 10, seed=s), x[:n], y[:n], seed=s, epochs=4, batch_size=20)
        for s in range(3)
    ]
    threes = (y[n:] == 3).nonzero()[: 20 if name == "small-cnn-32" else 40, 0] + n  # it is slow
    return nets, x[threes], y[threes]


@pytest.mark.parametrize("name", ["small-cnn", "small-cnn-32", "mlp"])
def test_hits_are_those_of_float32(name, device, left_as_found):
    """Fails if a doubtful copy isn't asked again, or vectors or GPUs aren't screened in silence.
    Margins: their mean, which the rule reads, is within a hundredth of what three nets differ by;
    fails without the mean error taken off."""
    nets, x, y = real(name)
    named = {f"m{i}": copy.deepcopy(net).to(device) for i, net in enumerate(nets)}
    x, y = x.to(device), y.to(device)
    form = accelerate(named["m0"], x, precision="bfloat16")
    assert form.reason == ""
    assert not isinstance(form.call, nn.Module)
    with left_as_found(*named.values()):
        full, half = (
            count(named, x, y, Measurement(TAUS, draws=12, precision=precision))
            for precision in ("float32", "bfloat16")
        )
    for model in named:
        assert np.array_equal(half.hits[model], full.hits[model])
    before, after = (np.stack([*c.margins.values()]).mean(2) for c in (full, half))
    assert (after != before).any()
    assert (abs(after - before)[:, 1:] < before.std(0, ddof=1)[1:] / 100).all()


def test_a_lead_of_four_times_the_error_is_trusted_and_no_less():
    """An "exact" answer that is off by 1, upwards or downwards: leads up to 4 are in doubt. Fails
    if the doubt shrinks to what the errors are, or if it grows."""
    net = nn.Linear(1, 2)
    net.weight.data, net.bias.data = torch.tensor([[1.0], [0.0]]), torch.zeros(2)
    asked = []

    def call(x):
        asked.append(len(x))
        return net(x) + torch.where(x > 8, 1.0, -1.0) * torch.tensor([1.0, 0.0])

    x = torch.full((2 * EVERY, 1), 8.0)
    x[EVERY] = 8.5  # the other one that is asked both ways: errors of -1 and 1, none on average
    x[1], x[2], x[3] = 3.875, 4.125, torch.nan
    with torch.inference_mode():
        answers = screened(net, call, x[4:12])
        logits = answers(x)
    assert asked[1:] == [2, 2]
    assert logits[:3, 0].tolist() == [7.0, 2.875, 4.125]
    assert logits[3].isnan().any()


def test_where_most_would_be_in_doubt_float32_is_asked_and_said():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    net[1].weight.data *= 1e-3
    net[1].bias.data = torch.tensor([300.0, 300.0, 0.0])  # which bfloat16 holds to within 1
    x = torch.rand(64, 3, 2, 2)
    with pytest.warns(UserWarning, match="64 of 64"):
        form = accelerate(net, x, precision="bfloat16")
    assert "64 of 64" in form.reason
    with torch.inference_mode():
        torch.testing.assert_close(form.of_many(x), net(x))
