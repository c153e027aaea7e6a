"""The fast form of a model: the same logits but for rounding, or the model itself and why."""

import copy
import math
import warnings
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.fx.experimental import optimization
from torch.overrides import TorchFunctionMode

from rurklib import residual_knowledge
from rurklib.data import digits
from rurklib.models import MODELS, build
from rurklib.residual import inference
from rurklib.residual.counts import Measurement, count_hits
from rurklib.residual.flags import outputs
from rurklib.residual.inference import EVERY, Forward, accelerate, in_half, lead
from rurklib.tensors import as_float
from rurklib.train import fit

BATCHNORM = (nn.BatchNorm1d, nn.BatchNorm2d)


def trained(net: nn.Module, *shape: int) -> nn.Module:
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
            "groups": {"groups": 2},
            "dilated": {"dilation": 2, "stride": 2},
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
    "plain", "reflect", "same", "groups", "dilated", "conv applied twice", "sum used twice",
    "convolution used twice", "norm first",
)  # fmt: skip


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_cell_gives_the_same_logits(kind, gradients, left_as_found, rng):
    """Fails if a layer that is used twice is folded or fused, or if a padding is dropped - then
    the trial catches it, ``why`` is set, and this test says so."""
    with torch.random.fork_rng(devices=[]):
        net = trained(Cells(kind))
    x = torch.rand(9, 3, 6, 6, generator=rng(0))
    with left_as_found(net):
        forward = accelerate(net, x, gradients=gradients)
    assert same(forward, net, x)
    if kind == "conv applied twice":  # folded for one of the two: the trial finds it
        assert forward.call is net
        assert "logits differ by" in forward.reason
        return
    assert forward.reason == ""
    assert forward.call is not net
    if not gradients and inference.packable(x):  # else what failed the trial was passed over
        assert inference.Convolution in kinds(forward.call)


@pytest.mark.parametrize("name", [m for m in MODELS if m not in ("mlp", "text-cnn", "vgg11")])
def test_our_models_lose_their_batchnorms(name, rng):
    """No BatchNorm is left but those behind a pool, and on the CPU every convolution is fused.
    Fails if the fold stops half-way. (Two take no images; vgg11 is vgg11-narrow with eight times
    the weights.)"""
    net = trained(build(name, 3, 5, seed=0))
    x = torch.rand(5, 3, 32, 32, generator=rng(0))
    for gradients in (False, True):
        forward = accelerate(net, x, gradients=gradients)
        assert forward.reason == ""
        left = [m for m in kinds(forward.call) if m in BATCHNORM]
        assert len(left) == (3 if name == "fast-cnn" else 0)
        assert same(forward, net, x)
        if not gradients and inference.packable(x):
            assert nn.Conv2d not in kinds(forward.call)
    assert nn.ReLU not in kinds(accelerate(trained(build("small-cnn", 3, 5, seed=0)), x).call)


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


def test_what_looks_at_outputs_asks_so_too(cnn, images):
    """Fails if a sound net looks as if it answered by the batch: other sums, of ten bits."""
    seen, net = [], cnn()
    net.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    assert outputs({"m": net}, images(8)[0]) == []
    assert seen == [False] * 3


def test_any_batch_and_layout_may_follow(rng):
    """Weights are packed for the first batch only. Fails if the form is bound to its size."""
    net = trained(build("small-cnn", 1, 10, seed=0))
    x = torch.rand(200, 1, 8, 8, generator=rng(0))
    forward = accelerate(net, x[:3])
    for n in (1, 7, 200):
        assert same(forward, net, x[:n])
        assert same(forward, net, inference.laid_out(x[:n]))


def test_gradients_are_those_of_the_model(rng):
    net = trained(build("small-cnn", 1, 10, seed=0))
    x = torch.rand(4, 1, 8, 8, generator=rng(0))
    form = accelerate(net, x, gradients=True).call
    ours, own = (
        torch.autograd.grad(f(v).logsumexp(1).sum(), v)[0]
        for f in (form, net)
        for v in [x.clone().requires_grad_()]
    )
    assert torch.allclose(ours, own, atol=1e-5 * own.abs().max())
    assert not any(p.requires_grad for p in form.parameters())
    assert all(p.requires_grad for p in net.parameters())


def test_double_precision_and_vectors(linear, rng):
    net = linear(6)
    forward = accelerate(net, torch.rand(3, 6, dtype=torch.float64, generator=rng(0)))
    assert forward.reason == ""
    mlp = trained(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)))
    x = torch.rand(5, 6, generator=rng(0))
    forward = accelerate(mlp, x)
    assert nn.BatchNorm1d not in kinds(forward.call)
    assert same(forward, mlp, x)


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


class NoCopies(nn.Module):
    def __deepcopy__(self, memo: object) -> None:
        raise RuntimeError("one of a kind")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


def test_where_it_can_not_be_done_the_model_itself_is_used(rng):
    x = torch.rand(3, 1, 2, 2, generator=rng(0))
    hooked = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    seen: list[int] = []
    hooked[1].register_forward_hook(lambda module, inputs, output: seen.append(1))
    for net, why in ((Branches(), "traced"), (NoCopies(), "one of a kind"), (hooked, "has hooks")):
        forward = accelerate(net, x)
        assert forward.call is net
        assert why in forward.reason
    assert len(seen) == 1  # asked once, for the trial's answer; no copy ran the hook


@pytest.mark.parametrize("broken", ["fuse_conv_bn_eval", "Convolution"])
def test_a_form_with_other_answers_is_not_used(broken, monkeypatch, rng):
    """The trial. Fails if a fold that is wrong by one part in a thousand gets through."""
    net = trained(build("small-cnn", 1, 10, seed=0))
    x = torch.rand(8, 1, 8, 8, generator=rng(0))
    home = optimization if broken == "fuse_conv_bn_eval" else inference
    right = getattr(home, broken)

    def wrong(layer, *rest):
        made = right(layer, *rest)
        made.bias = nn.Parameter(made.bias.detach() * 1.001)
        return made

    monkeypatch.setattr(home, broken, wrong)
    forward = accelerate(net, x)
    assert same(forward, net, x)
    if broken == "fuse_conv_bn_eval":
        assert forward.call is net
        assert "logits differ by" in forward.reason
    else:  # ordinary layers still are right
        assert forward.reason == ""
        assert nn.Conv2d in kinds(forward.call)


def test_nan_is_a_disagreement():
    own = torch.tensor([[1.0, 2.0]])
    assert inference.logit_mismatch(own, own) == ""
    assert inference.logit_mismatch(own, own * torch.nan)
    assert "shape" in inference.logit_mismatch(own, own[:, :1])


def test_nothing_of_the_caller_changes_and_nothing_warns(left_as_found, same_random_state, rng):
    net = trained(build("small-cnn", 1, 10, seed=0))
    net.train()
    net.net[1].eval()
    x = torch.rand(4, 1, 8, 8, generator=rng(0))
    with left_as_found(net), same_random_state(), warnings.catch_warnings():
        warnings.simplefilter("error")
        accelerate(net, x)(x)
        accelerate(net, x, gradients=True)(x)
    assert not any(m._forward_hooks for m in net.modules())


def test_the_batch_size_follows_from_the_largest_activation(rng):
    """16 channels of 8x8 are 1,024 numbers: 256 images make 2**18. Never below 64 or above 1,024,
    unless memory says so (16 x 256 x 256 numbers: 8 images make 2**23), and the same whatever the
    number of examples."""
    net = build("small-cnn", 1, 10, seed=0)
    x = torch.rand(40, 1, 8, 8, generator=rng(0))
    assert accelerate(net, x).batch_size == accelerate(net, x[:1]).batch_size == 256
    assert (
        accelerate(build("small-cnn-32", 3, 5, seed=0), torch.rand(2, 3, 32, 32)).batch_size == 64
    )
    assert accelerate(net, torch.rand(2, 1, 256, 256)).batch_size == 8
    assert accelerate(nn.Linear(3, 2), torch.rand(2, 3)).batch_size == 1024


TAUS = (0.0, 0.05, 0.2)


@cache
def real(name: str, n: int = 300) -> tuple[list[nn.Module], torch.Tensor, torch.Tensor]:
    """Three nets that have learned real digits a little, so that many copies are near a border;
    and threes that they haven't seen. Made once: no test changes them."""
    x, y = digits().train
    x = as_float(x)
    if name != "small-cnn":
        x = nn.functional.interpolate(x, size=32, mode="bilinear").repeat(1, 3, 1, 1)
    nets = [
        fit(build(name, x.shape[1], 10, seed=s), x[:n], y[:n], seed=s, epochs=4, batch_size=20)
        for s in range(3)
    ]
    threes = (y[n:] == 3).nonzero()[: 24 if name == "fast-cnn" else 40, 0] + n  # it's slow
    return nets, x[threes], y[threes]


@pytest.mark.parametrize("name", ["small-cnn", "small-cnn-32", "fast-cnn"])
def test_hits_are_those_of_float32(name):
    """Fails if a doubtful copy isn't asked again. Margins: their mean, which the rule reads, is
    within a hundredth of what three nets differ by; fails without the mean error taken off."""
    nets, x, y = real(name)
    named = {f"m{i}": net for i, net in enumerate(nets)}
    full, half = (
        count_hits(named, x, y, Measurement(TAUS, draws=12, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    assert half.not_accelerated == full.not_accelerated == {}
    assert np.array_equal(half.hits, full.hits)
    assert 0 < full.hits[:, 1:].mean() < 12
    off, spread = (half.margins - full.margins).mean(2), full.margins.mean(2).std(0, ddof=1)
    assert off.any()
    assert (abs(off[:, 1:]) < spread[1:] / 100).all()


def test_bfloat16_alone_would_answer_otherwise():
    """What the asking again is for: among many copies some flip. Fails if the test above would
    pass without it."""
    nets, x, _ = real("small-cnn-32")
    x = x.repeat(60, 1, 1, 1)
    x = (x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    fast = {"dtype": torch.bfloat16, "memory_format": torch.channels_last}
    half = copy.deepcopy(nets[0]).to(**fast)
    with torch.inference_mode():
        exact, rough = nets[0](x).argmax(1), half(x.to(**fast)).float().argmax(1)
        again = accelerate(nets[0], x, precision="bfloat16").of_many(x).argmax(1)
    assert int((exact != rough).sum()) > 0
    assert torch.equal(exact, again)


class Counted:
    """A net that counts what it is asked."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.asked = net, 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += len(x)
        return self.net(x)


def test_only_those_in_doubt_are_asked_again():
    nets, x, _ = real("small-cnn-32")
    call = Counted(nets[0])
    with torch.inference_mode():
        answers = in_half(nets[0], call, x)
        call.asked = 0
        x = x.repeat(5, 1, 1, 1)[:192]
        logits = answers(x)
        apart = (logits - nets[0](x)).abs()
    audited = 192 // EVERY
    assert audited <= call.asked < 96
    assert (apart.amax(1) < 1e-5).sum() >= call.asked - 1  # their logits are float32's
    assert 0 < apart.max() < 1


def test_a_lead_of_four_times_the_error_is_trusted_and_no_less():
    """An "exact" answer that is off by 1, upwards or downwards: leads up to 4 are in doubt. Fails
    if the doubt shrinks to what the errors are, or if it grows."""
    net = nn.Linear(1, 2)
    net.weight.data, net.bias.data = torch.tensor([[1.0], [0.0]]), torch.zeros(2)
    call = Counted(lambda x: net(x) + torch.where(x > 8, 1.0, -1.0) * torch.tensor([1.0, 0.0]))
    x = torch.full((2 * EVERY, 1), 8.0)
    x[EVERY] = 8.5  # the other one that is asked both ways: errors of -1 and 1, none on average
    x[1], x[2], x[3] = 3.875, 4.125, torch.nan
    with torch.inference_mode():
        answers = in_half(net, call, x[4:12])
        call.asked = 0
        logits = answers(x)
    assert call.asked == 2 + 2
    assert logits[:3, 0].tolist() == [7.0, 2.875, 4.125]
    assert logits[3].isnan().any()


@pytest.mark.parametrize("shape", [(6,), (3, 2, 2)])
def test_nets_of_vectors_are_screened_too(shape, device, rng):
    """Fails if screening is left out in silence where oneDNN's kernels are: vectors, and GPUs."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 3)).to(device)
    x = torch.rand(64, *shape, generator=rng(0)).to(device)
    form = accelerate(net, x, precision="bfloat16")
    assert form.reason == ""
    assert not isinstance(form.call, nn.Module)
    assert torch.equal(form.of_many(x).argmax(1), net(x).argmax(1))


def test_where_most_would_be_in_doubt_float32_is_asked_and_said():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    net[1].weight.data *= 1e-3
    net[1].bias.data = torch.tensor([300.0, 300.0, 0.0])  # which bfloat16 holds to within 1
    form = accelerate(net, torch.rand(64, 3, 2, 2), precision="bfloat16")
    assert form.reason.startswith("in float32: 64 of 64")
    x = torch.rand(50, 3, 2, 2)
    with torch.inference_mode():
        torch.testing.assert_close(form.of_many(x), net(x))


def test_the_whole_measurement_is_the_same_and_models_are_left_alone():
    nets, x, y = real("small-cnn")
    before = [copy.deepcopy(net.state_dict()) for net in nets]
    full, half = (
        residual_knowledge(nets[0], nets[1:], x, y, taus=TAUS, draws=4, precision=p)
        for p in ("float32", "bfloat16")
    )
    assert half.frame.ratio_of_means.equals(full.frame.ratio_of_means)
    for net, state in zip(nets, before, strict=True):
        assert all(torch.equal(net.state_dict()[k], v) for k, v in state.items())


def test_lead():
    assert lead(torch.tensor([[1.0, 5.0, 3.0], [2.0, 2.0, 0.0]])).tolist() == [2.0, 0.0]


def test_large_images_are_not_shown_256_at_a_time():
    """Their activations would take gigabytes."""
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.append(nn.Linear(16, 2))
    x = torch.rand(4, 3, 224, 224)
    alone, half = (accelerate(net, x, precision=p) for p in ("float32", "bfloat16"))
    assert not half.reason
    assert half.batch_size <= 4 * alone.batch_size < 64
