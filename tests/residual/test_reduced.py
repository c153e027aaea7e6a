"""Lower precision: used where answers agree, refused where they don't, never on a CPU by itself."""

import pytest
import torch
from torch import nn

from rurklib.models import build
from rurklib.residual import inference, reduced
from rurklib.residual.reduced import Reduced


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


class Ties(nn.Module):
    """Logits that differ in the fourth digit: bfloat16 can't tell them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2, bias=False)
        self.head.weight.data = torch.tensor([[1.0], [1.0005]])

    def forward(self, x):
        return self.head(x.flatten(1)[:, :1] + 1)


def test_what_is_checked_is_answered_in_full_precision(monkeypatch):
    monkeypatch.setattr(reduced, "CHECKED", 64)
    net = build("small-cnn", 1, 10, seed=0)
    form = Reduced(net, "cpu")
    with torch.inference_mode():
        first, second = images(64), images(64, seed=1)
        assert torch.equal(form(first), net(first))
        assert (form.checked, form.lower) == (64, True)
        low = form(second)
        assert low.dtype == torch.float32
        assert not torch.equal(low, net(second)), "bfloat16 isn't used"
        assert torch.allclose(low, net(second), atol=0.05)
    assert form.checked == 64, "checked again"


def test_where_answers_differ_float32_goes_on(monkeypatch):
    """Fails if agreement isn't measured, or is measured on the wrong axis."""
    monkeypatch.setattr(reduced, "CHECKED", 32)
    net, x = Ties().eval(), images(32)
    form = Reduced(net, "cpu")
    with torch.inference_mode():
        form(x)
        assert form.lower is False
        assert form.agreed < 0.999 * 32
        assert torch.equal(form(x), net(x))


def test_it_takes_enough_copies_to_say(monkeypatch):
    monkeypatch.setattr(reduced, "CHECKED", 100)
    form = Reduced(build("small-cnn", 1, 10, seed=0), "cpu")
    with torch.inference_mode():
        form(images(60))
        assert form.lower is None
        form(images(60, seed=1))
    assert form.lower is not None


@pytest.mark.parametrize("gradients", [False, True])
def test_only_where_it_may_pay_and_never_for_gradients(monkeypatch, gradients):
    net, x = build("small-cnn", 1, 10, seed=0), images(8)
    assert not isinstance(inference.fast(net, x).call, Reduced)
    monkeypatch.setattr(inference, "reducible", lambda x: True)
    form = inference.fast(net, x, gradients=gradients)
    assert isinstance(form.call, Reduced) is not gradients


class Drifting(nn.Module):
    """The right class by far, and every logit higher in bfloat16, where 8.05 is 8.0625."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2, bias=False)
        self.head.weight.data = torch.tensor([[8.05], [4.026]])

    def forward(self, x):
        return self.head(torch.ones_like(x.flatten(1)[:, :1]))


def test_logits_that_drift_are_refused_though_answers_agree(monkeypatch):
    """Fails if only the answers are looked at: margins are means, and a bias stays in them."""
    monkeypatch.setattr(reduced, "CHECKED", 32)
    monkeypatch.setattr(reduced, "DRIFT", 0.005)
    form = Reduced(Drifting().eval(), "cpu")
    with torch.inference_mode():
        form(images(32))
    assert form.agreed == 32
    assert form.lower is False
