"""RURK-calibrated: its targets by hand, reached from above and from below, and what it may see."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib import METHODS, InputError, unlearn
from rurklib.models.logits import logit_margin
from rurklib.unlearn import target
from rurklib.unlearn.contract import defaults, method, takes_held_out

NAME = "RURK-calibrated"


def vector(net: nn.Module) -> torch.Tensor:
    return torch.cat([v.flatten().double() for v in net.state_dict().values()])


@pytest.fixture
def task(cnn, images):
    """(model, retain, forget, held_out)"""
    (x, y), unseen = images(20), images(6, seed=1)
    return cnn(), (x[:14], y[:14]), (x[14:], y[14:]), unseen


@pytest.fixture
def ones(task, images):
    """The same, but only class 1 is forgotten: held-out samples of it, and of the others."""
    model, retain, (x, y), _ = task
    return model, retain, (x[y == 1], y[y == 1]), images(9, seed=2)


def toy(offset: float, rng) -> tuple[nn.Module, dict]:
    """Two classes on a line; class 1's forget samples have margins ``offset`` above what held-out
    ones have (the logit difference is what the second input says)."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[0.0, 0.0], [4.0, 8.0]]))
    spread = torch.linspace(0.4, 0.6, 8)
    known = torch.stack([spread, torch.full((8,), 0.25)], 1)
    forget = torch.stack([spread, torch.full((8,), 0.25 + offset / 8)], 1)
    other = torch.rand(8, 2, generator=rng(3)) * 0.05
    y = torch.ones(8, dtype=torch.int64)
    retain = (torch.cat([other, known + 0.001]), torch.cat([0 * y, y]))
    return net.eval(), {"retain": retain, "forget": (forget, y), "held_out": (known, y)}


OPTIONS = {"tau": 0.0, "grid": 1, "goal": "held-out", "lambda_k": 0.0, "weight_decay": 0.0}


@pytest.mark.parametrize("offset", [1.5, -1.5])
def test_the_target_is_reached_from_above_and_from_below(offset, rng):
    """Margins of forget samples are 1.5 logits above, or below, the target's. Fails if the push has
    one side, or no end."""
    model, data = toy(offset, rng)
    held = logit_margin(model(data["held_out"][0]), data["held_out"][1]).mean()
    before = logit_margin(model(data["forget"][0]), data["forget"][1]).mean() - held
    assert before.item() == pytest.approx(offset, abs=1e-4)
    out = unlearn(NAME, model, **data, **OPTIONS, lambda_m=20.0, epochs=200, lr=0.02, clip=None)
    after = logit_margin(out(data["forget"][0]), data["forget"][1])
    assert after.mean().item() == pytest.approx(held.item(), abs=0.15)


def test_at_its_target_it_stays(rng):
    """No distance, no gradient: only the retain term acts. Fails if the target is a bound that
    pushes on, or is taken of other samples."""
    model, data = toy(0.0, rng)
    data["held_out"] = (data["forget"][0].flip(0) + 2e-7, data["forget"][1])
    moved = unlearn(NAME, model, **data, **OPTIONS, lambda_m=50.0, epochs=1, lr=1e-3, batch_size=8)
    gd = unlearn(NAME, model, **data, **OPTIONS, lambda_m=0.0, epochs=1, lr=1e-3, batch_size=8)
    assert torch.allclose(vector(moved), vector(gd), atol=2e-6)


def test_without_its_terms_it_is_gd(task):
    model, retain, forget, _ = task
    options = {"epochs": 2, "lr": 0.05, "batch_size": 4, "momentum": 0.9, "weight_decay": 5e-4}
    own = {"lambda_m": 0.0, "lambda_k": 0.0, "clip": None, "goal": "references"}
    ours = METHODS[NAME](model, retain, forget, seed=2, **options, **own)
    gd = METHODS["GD"](model, retain, forget, seed=2, batchnorm="frozen", **options)
    assert torch.allclose(vector(ours), vector(gd), atol=1e-6)


def test_a_rate_of_zero_gives_original(ones):
    model, retain, forget, held_out = ones
    for goal in ("linked", "references", "held-out", "prior", "moving"):
        out = unlearn(NAME, model, retain, forget, held_out=held_out, goal=goal, lr=0.0)
        assert torch.equal(vector(out), vector(model))


def test_matched_by_hand():
    """Sorted margins against quantiles (i - 1/2) / n. Of 0 ... 4 the quarter is 0.75, for 0 is
    that of 1/10 and 1 that of 3/10. Fails if pairs are taken in the order given, or if one side
    costs nothing."""
    aim = torch.tensor([4.0, 1.0, 0.0, 3.0, 2.0], dtype=torch.float64)
    assert target.matched(torch.tensor([3.25, 0.75]), aim).item() == 0
    assert target.matched(torch.tensor([5.25, 0.75]), aim).item() == pytest.approx(1.5 / 2)
    assert target.matched(torch.tensor([3.25, -1.25]), aim).item() == pytest.approx(1.5 / 2)
    assert target.matched(torch.tensor([3.75, 0.75]), aim).item() == pytest.approx(0.125 / 2)
    assert target.matched(torch.arange(5.0), aim).item() == 0
    assert target.matched(torch.tensor([2.0]), aim).item() == 0
    found = torch.tensor([5.0, -3.0], requires_grad=True)
    target.matched(found, aim).backward()
    assert found.grad.tolist() == [0.5, -0.5]


def test_the_shift_of_the_prior_by_hand():
    """Of class 0 one of 4 is retained, of class 1 all, of class 2 none."""
    kept, lost = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 0, 2])
    shift = target.prior_shift(torch.tensor([2, 0, 1, 0]), kept, lost)
    assert shift.tolist() == pytest.approx(
        [math.log(0.5 / 1.5), math.log(1.5 / 4.5), 0.0, math.log(1.5 / 4.5)]
    )


def estimated(goal, task, **options):
    given = {"taus": [0.0, 0.1], "seed": 3, "references": 2} | options
    given["training"] = {"epochs": 2, "lr": 0.1, "batch_size": 4, "momentum": 0.9}
    return target.estimated(goal, *task, **given)


def test_the_prior_moves_each_held_out_sample_by_its_class(task):
    """Fails if the correction has another sign, or one value for all classes."""
    model, retain, forget, (x, y) = task
    plain, moved = (estimated(goal, task) for goal in ("held-out", "prior"))
    assert torch.allclose(plain[0], logit_margin(model(x), y))
    shift = target.prior_shift(y, retain[1], forget[1])
    assert (shift < 0).all()
    assert torch.allclose(moved[0] - plain[0], shift.double(), atol=1e-6)
    assert torch.allclose(moved[1] - plain[1], shift.double().repeat(target.DRAWS), atol=1e-6)


def test_references_see_the_retain_set_alone(task):
    """The target is their margins on forget samples. Fails if they are trained on forget samples,
    or if they start from Original or all alike."""
    model, retain, forget, held_out = task
    seen = []

    def watched(net, x, y, **options):
        seen.append((net, x, y))
        return net.eval()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "fit", watched)
        found = estimated("references", task)
    assert len(seen) == 2
    for net, x, y in seen:
        assert x is retain[0]
        assert y is retain[1]
        assert not torch.equal(net[5].weight, model[5].weight)
        assert not torch.equal(net[0].weight, model[0].weight)
    assert not torch.equal(seen[0][0][0].weight, seen[1][0][0].weight)
    by_hand = torch.cat([logit_margin(net(forget[0]), forget[1]) for net, *_ in seen])
    assert torch.allclose(found[0], by_hand)
    again = estimated("references", (model, retain, forget, None))
    other = estimated("references", (model, retain, forget, held_out), seed=4)
    assert not torch.equal(again[0], other[0])


def test_linked_by_hand(ones):
    """A stand-in reference whose logits are a third of Original's: on Original's scale its margins
    on forget samples have the mean and spread that Original's would have, were all margins
    stretched alike. Fails if the samples that link are of the forgotten class, or are swapped."""
    model, _, forget, (x, y) = ones

    class Short(nn.Module):
        def forward(self, x):
            return model(x) / 3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "_reference", lambda *_: Short())
        found = estimated("linked", ones, references=1)
    other = y != 1
    own, short = (logit_margin(net(x[other]), y[other]).detach() for net in (model, Short()))
    new = logit_margin(Short()(forget[0]), forget[1]).detach()
    scale = own.numpy().std() / short.numpy().std()
    by_hand = own.mean() + scale * (new - short.mean())
    assert torch.allclose(found[0], by_hand)
    assert not torch.allclose(found[0], new, atol=0.1)


def test_equated_scales():
    own, other = torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])
    assert target.equated(own, other, other).tolist() == [1.0, 5.0]
    assert target.equated(own, other, torch.tensor([3.0])).tolist() == [7.0]
    # Nothing tells the scale if all are alike: then they are moved alone.
    assert target.equated(own, torch.ones(2), torch.tensor([1.0, 3.0])).tolist() == [3.0, 5.0]


def test_nothing_is_learned_from_held_out_samples(task):
    """Under goal "references" they change nothing; under "held-out" they act through their margins
    alone: samples with the same margins under Original give the same model. Fails if one of them
    enters a batch."""
    model, retain, forget, (x, y) = task
    options = {"seed": 1, "epochs": 2, "lr": 0.05, "goal": "references"}
    with_them = unlearn(NAME, model, retain, forget, held_out=(x, y), **options)
    assert torch.equal(vector(with_them), vector(unlearn(NAME, model, retain, forget, **options)))
    options |= {"goal": "held-out", "grid": 1, "tau": 0.0}
    one = unlearn(NAME, model, retain, forget, held_out=(x, y), **options)
    order = torch.tensor([5, 4, 3, 2, 1, 0])
    turned = unlearn(NAME, model, retain, forget, held_out=(x[order], y[order]), **options)
    assert torch.allclose(vector(one), vector(turned), atol=1e-6)
    other = unlearn(NAME, model, retain, forget, held_out=(x.flip(3), y), **options)
    assert not torch.allclose(vector(one), vector(other), atol=1e-6)


def test_the_moving_target_is_measured_anew_each_epoch(task, monkeypatch):
    """Fails if it is measured once, or under Original."""
    measured = []
    own = target.estimated

    def watched(goal, model, *rest, **options):
        measured.append(vector(model))
        return own(goal, model, *rest, **options)

    monkeypatch.setattr(importlib.import_module(METHODS[NAME].__module__), "estimated", watched)
    model, retain, forget, held_out = task
    options = {"held_out": held_out, "epochs": 3, "batch_size": 5}
    unlearn(NAME, model, retain, forget, goal="moving", **options)
    assert len(measured) == 3
    assert torch.equal(measured[0], vector(model))
    assert not torch.equal(measured[1], measured[2])
    measured.clear()
    still = unlearn(NAME, model, retain, forget, goal="held-out", **options)
    assert len(measured) == 1
    moving = unlearn(NAME, model, retain, forget, goal="moving", **options)
    assert not torch.equal(vector(moving), vector(still)), "what is measured anew isn't used"


def test_retained_samples_of_the_class_are_held_where_they_were(task, rng):
    """Their term pulls them to Original's margins plus the shift, from both sides. Fails if it is
    dropped, or takes samples of other classes."""
    model, retain, forget, _ = task
    only = (forget[0][forget[1] == 1], forget[1][forget[1] == 1])
    kin = (retain[0][retain[1] == 1], retain[1][retain[1] == 1])
    found = target.kin_margins(model, kin, retain, only, taus=[0.0], seed=0)
    shift = target.prior_shift(kin[1], retain[1], only[1])
    assert torch.allclose(found[0], logit_margin(model(kin[0]), kin[1]) + shift, atol=1e-6)
    options = {"epochs": 30, "lr": 0.05, "lambda_m": 0.0, "grid": 1, "tau": 0.0, "clip": None}
    options["goal"] = "references"

    def away(lambda_k: float) -> float:
        out = unlearn(NAME, model, retain, only, lambda_k=lambda_k, **options)
        return target.matched(logit_margin(out(kin[0]), kin[1]), found[0]).item()

    assert away(5.0) < 0.5 * away(0.0)
    asked = []
    module = importlib.import_module(METHODS[NAME].__module__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "kin_margins", lambda _, kin, *rest, **more: asked.append(kin) or [])
        patch.setattr(module, "descend", lambda model, *rest, **more: model)
        unlearn(NAME, model, retain, only, **options)
    assert torch.equal(asked[0][0], kin[0])
    assert torch.equal(asked[0][1], kin[1])


def test_a_whole_class_can_be_forgotten(task):
    """No sample of it is retained, so there is none to protect. Fails on an empty batch."""
    model, (x, y), _, held_out = task
    gone = y == 2
    out = unlearn(
        NAME, model, (x[~gone], y[~gone]), (x[gone], y[gone]), held_out=held_out, epochs=1
    )
    assert not torch.equal(vector(out), vector(model))


@pytest.mark.parametrize("goal", ["linked", "held-out", "prior", "moving"])
def test_missing_held_out_samples_are_asked_for(goal, ones, left_as_found):
    model, retain, forget, (x, y) = ones
    with left_as_found(model), pytest.raises(InputError, match="held_out is missing: goal"):
        unlearn(NAME, model, retain, forget, goal=goal)
    unfit = y == 1 if goal == "linked" else y != 1
    with left_as_found(model), pytest.raises(InputError, match=r"no sample of .*forgotten"):
        unlearn(NAME, model, retain, forget, goal=goal, held_out=(x[unfit], y[unfit]))


def test_held_out_samples_that_can_not_be_used_are_refused(task):
    model, retain, forget, (x, y) = task

    def refused(match, held_out):
        with pytest.raises(InputError, match=match):
            unlearn(NAME, model, retain, forget, held_out=held_out)

    refused("1 of 6 held-out samples are in the retain set", (torch.cat([x[:5], retain[0][:1]]), y))
    refused("1 of 6 held-out samples are in the forget set", (torch.cat([x[:5], forget[0][:1]]), y))
    refused("held_out is empty", (x[:0], y[:0]))
    refused("held_out: expected a pair", x)
    refused("held_out x spans", (x * 255, y))
    refused(r"expected labels in 0 \.\.\. 2", (x, y + 3))


def test_only_methods_that_ask_see_held_out_samples(task):
    """GD has no such keyword; a method with it gets the pair that was given, or None."""
    model, retain, forget, held_out = task
    assert takes_held_out(NAME)
    assert not takes_held_out("GD")
    assert "held_out" not in defaults(NAME)
    a, b = (unlearn("GD", model, retain, forget, epochs=1, held_out=h) for h in (held_out, None))
    assert torch.equal(vector(a), vector(b))
    given = []
    try:

        @method("Curious")
        def curious(model, retain, forget, *, seed: int = 0, held_out=None):
            given.append(held_out)
            return model

        unlearn("Curious", model, retain, forget, held_out=held_out)
        unlearn("Curious", model, retain, forget)
    finally:
        METHODS.pop("Curious", None)
    assert given[0][0] is held_out[0]
    assert given[1] is None


def test_the_retain_term_is_the_mean_cross_entropy(task):
    """One step by hand from the one retain batch. Fails if perturbed copies enter it."""
    model, retain, forget, _ = task
    own = {"lambda_m": 0.0, "lambda_k": 0.0, "clip": None, "weight_decay": 0.0, "momentum": 0.0}
    own["goal"] = "references"
    out = unlearn(NAME, model, retain, forget, epochs=1, batch_size=64, lr=0.1, **own)
    weight = model[5].weight
    loss = F.cross_entropy(model(retain[0]), retain[1])
    (grad,) = torch.autograd.grad(loss, weight)
    assert torch.allclose(out[5].weight, weight - 0.1 * grad, atol=1e-6)
