"""Answers found in bfloat16 are those of float32, or float32 is asked."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from rurklib import residual_knowledge
from rurklib.data.bundled import digits
from rurklib.models import build
from rurklib.residual.counts import count_hits
from rurklib.residual.half import EVERY, in_half, lead
from rurklib.residual.inference import accelerate
from rurklib.residual.spec import Measurement
from rurklib.tensors import as_float
from rurklib.train.fit import fit

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
