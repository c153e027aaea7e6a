"""The contract, held by every method; nets of unusual kinds; precision."""

import copy
from importlib import import_module
from typing import ClassVar

import pytest
import torch
from torch import nn

from rurklib import METHODS, InputError, unlearn
from rurklib.unlearn.contract import Diverged, defaults, method

NAMES = tuple(METHODS)
import_module("sklearn.linear_model")  # its first import draws from Python's random state, once


@pytest.fixture
def task(cnn, images):
    """(model, retain, forget): a model in train mode with a layer that the user froze."""
    x, y = images(14)
    model = cnn()
    model.train()
    model[2].eval()
    return model, (x[:10], y[:10]), (x[10:], y[10:])


def options_of(name: str, **options) -> dict:
    """Those of the options that a method has: the closed forms take no steps and have no lr."""
    # Of AMUN's attack and NTK's solver; and fewer samples than there are, so that they are drawn.
    options |= {"steps": 5, "iterations": 5, "samples": 5}
    own = {k: v for k, v in options.items() if k in defaults(name)}
    if "first" in defaults(name):  # a method before it, which is told the same
        own["first"] = options_of(name.split("+")[0], **options)
    return own


def vector(net: nn.Module) -> torch.Tensor:
    return torch.cat([v.flatten().double() for v in net.state_dict().values()])


@pytest.mark.parametrize("name", NAMES)
def test_the_model_given_is_untouched_and_another_returned(
    name, task, device, left_as_found, same_random_state
):
    """Fails if a method works on the caller's model, its modes or buffers, draws from (or reseeds)
    a global random state, or makes a tensor elsewhere than the model is."""
    model, retain, forget = task[0].to(device), *([t.to(device) for t in p] for p in task[1:])
    retain_before, forget_before = retain[0].clone(), forget[0].clone()
    with left_as_found(model), same_random_state():
        out = unlearn(name, model, retain, forget, **options_of(name, lr=0.1, alpha=1e-6))
    assert out is not model
    assert {v.device.type for v in out.state_dict().values()} == {device.type}
    assert not any(m.training for m in out.modules())
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in out.parameters()}
    assert not torch.equal(vector(out), vector(model))
    assert torch.equal(retain[0], retain_before)
    assert torch.equal(forget[0], forget_before)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_the_result(name, cnn, images):
    """Same seed, same bits; another seed, another model. Fails if seed 0 means "no seed"."""
    model, (x, y) = cnn(), images(20)
    retain, forget = (x[:10], y[:10]), (x[10:], y[10:])
    options = options_of(name, lr=0.1, batch_size=4, epochs=2)
    one, same, other, zero, zero_again = (
        vector(unlearn(name, model, retain, forget, seed=s, **options)) for s in (5, 5, 6, 0, 0)
    )
    assert torch.equal(one, same)
    assert torch.equal(zero, zero_again)
    if name in ("CR", "LFSSD", "NTK", "SSD"):  # nothing in them is drawn
        assert torch.equal(one, other)
    else:
        assert not torch.equal(one, other)
        assert not torch.equal(one, zero)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_floats_agree(name, cnn, rng):
    model, y = cnn(), torch.arange(8) % 3
    x = torch.randint(0, 256, (8, 1, 6, 6), generator=rng(0), dtype=torch.uint8)
    outs = [
        vector(unlearn(name, model, (v[:5], y[:5]), (v[5:], y[5:]), **options_of(name, lr=0.1)))
        for v in (x, x.float() / 255)
    ]
    assert torch.equal(*outs)


@pytest.mark.parametrize("name", [n for n in NAMES if "batchnorm" in defaults(n) and n != "EU-k"])
def test_batchnorm_is_connected(name, cnn, images):
    """Frozen layers keep their statistics to the bit, and learn. Fails if a method has the option
    and doesn't pass it on, or if frozen layers are put back into train mode. (EU-k resets them.)"""
    x, y = images(14)
    for mode, still in (("frozen", True), ("train", False)):
        model, options = cnn(), options_of(name, lr=0.1, k=2, batchnorm=mode)  # k: layers with it
        out = unlearn(name, model, (x[:10], y[:10]), (x[10:], y[10:]), **options)
        for buffer in ("running_mean", "running_var", "num_batches_tracked"):
            after, before = getattr(out[1], buffer), getattr(model[1], buffer)
            assert torch.equal(after, before) == still, (mode, buffer)
        assert not torch.equal(out[1].weight, model[1].weight)


@pytest.mark.parametrize("name", NAMES)
def test_layers_that_are_frozen_stay_and_the_others_change(name, task):
    """Weights that the user froze and BatchNorm's statistics; precision and caller's model too.
    Fails if noise, a Newton step or decay reaches them, or a weight that learns is missed."""
    model, retain, forget = task
    model[0].weight.requires_grad_(False)
    out = unlearn(name, model, retain, forget, **options_of(name, lr=0.1, batchnorm="frozen"))
    before = model.state_dict()
    changed = {k for k, v in out.state_dict().items() if not torch.equal(v, before[k])}
    learned = {k for k, p in model.named_parameters() if p.requires_grad}
    if name == "Retrain-quarter":  # it has no option: BatchNorm's statistics are new as well
        learned = before.keys() - {"0.weight"}
    if name in ("CF-k", "CR", "EU-k"):
        learned = {"5.weight", "5.bias"}
    assert changed == (learned & changed if "SSD" in name else learned)  # they select some
    assert changed
    assert all(
        a.requires_grad == b.requires_grad
        for a, b in zip(out.parameters(), model.parameters(), strict=True)
    )
    assert all(v.dtype == before[k].dtype for k, v in out.state_dict().items())


def test_defaults_are_the_papers():
    """Table of B.2 / B.3. Fails if a default drifts."""
    assert defaults("GD").items() >= {"epochs": 10, "lr": 1e-2, "weight_decay": 1e-4}.items()
    assert defaults("GA").items() >= {"epochs": 1, "lr": 1e-5, "clip": 1.0}.items()
    assert defaults("NegGrad+").items() >= {"beta": 0.001, "epochs": 1, "lr": 1e-2}.items()
    paper = {"tau": 0.03, "lambda_f": 0.03, "lambda_a": 0.03, "v": 1, "epochs": 2, "lr": 1e-2}
    paper |= {"momentum": 0.9, "weight_decay": 5e-4, "clip": 1.0, "batch_size": 128}
    assert defaults("RURK").items() >= paper.items()


def test_adding_a_method_takes_one_decorated_function(task):
    """A newcomer's method: the decorator checks, copies, seeds, and hands an eval model back."""
    model, retain, forget = task
    try:

        @method("Noise")
        def noise(model, retain, forget, *, seed: int = 0, sigma: float = 0.1):
            """Add noise to every weight."""
            with torch.no_grad():
                for p in model.parameters():
                    p.add_(sigma * torch.randn_like(p))
            return model.train()

        assert defaults("Noise") == {"sigma": 0.1}
        one, same = (unlearn("Noise", model, retain, forget, seed=1, sigma=1.0) for _ in "ab")
        assert torch.equal(vector(one), vector(same))
        assert not torch.equal(vector(one), vector(model))
        assert not one.training
        assert noise is METHODS["Noise"]
        assert noise.__doc__ == "Add noise to every weight."
        with pytest.raises(InputError, match="did you mean 'sigma'"):
            unlearn("Noise", model, retain, forget, sigmo=1.0)
    finally:
        METHODS.pop("Noise", None)
    assert tuple(METHODS) == NAMES


@pytest.mark.parametrize(("name", "values"), [("GD", {"lr": 1e30}), ("SSD", {"dampening": 1e300})])
def test_weights_that_are_no_numbers_are_no_model(name, values, task):
    """Their argmax is class 0, for every sample: fails if such a model is returned in silence."""
    told = "smaller lr .*--set GD.lr" if name == "GD" else "smaller change"
    with pytest.raises(Diverged, match=f"^{name} seed 3 diverged: .*{told}"):
        unlearn(name, *task, seed=3, **values)
    assert issubclass(Diverged, InputError)


class Watched(nn.Module):
    """A net that writes down in what numbers it computed, whatever copy of it was asked."""

    seen: ClassVar[set[torch.dtype]] = set()

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x):
        out = self.net(x)
        self.seen.add(out.dtype)
        return out


@pytest.fixture
def watched(cnn):
    Watched.seen = set()
    return Watched(cnn())


@pytest.mark.parametrize("name", METHODS)
def test_the_steps_of_a_method_are_taken_in_bfloat16(name, watched, images):
    """Teachers are asked in it too. Fails if nothing is cast, if what is kept is rounded, or if the
    caller's model changes."""
    x, y = images(14)
    before = copy.deepcopy(watched.state_dict())
    pairs = (x[:10], y[:10]), (x[10:], y[10:])
    Watched.seen.clear()
    out = unlearn(name, watched, *pairs, seed=1, precision="bfloat16")
    # The contract looks at logits before it begins; what takes no steps of SGD stays in float32,
    # and a recipe has a precision of its own.
    without = ("SSD", "LFSSD", "WoodFisher", "Fisher", "CR", "NTK", "Retrain-quarter")
    assert Watched.seen == {torch.float32} | (set() if name in without else {torch.bfloat16})
    assert all(torch.equal(v, before[k]) for k, v in watched.state_dict().items())
    assert {v.dtype for v in out.parameters()} == {torch.float32}
    full = unlearn(name, watched, *pairs, seed=1)
    for k, v in out.state_dict().items():
        torch.testing.assert_close(v, full.state_dict()[k], atol=0.02, rtol=0.02)
    assert all(p.is_contiguous() for p in watched.parameters())
