"""BadTeacher: whose answers are learnt, by the closed form on linear models."""

import copy

import pytest
import torch

from rurklib import unlearn
from rurklib.unlearn.last_layers import reset
from rurklib.unlearn.soft_and_wrong_labels import distillation_kl

BARE = {"momentum": 0.0, "weight_decay": 0.0}


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_one_step_by_hand(temperature, four_classes):
    """At Original retain samples pull at nothing, forget samples by T (softmax(z / T) - softmax of
    the blank net); the mean is over both. Fails if labels play a part, the student learns from a
    teacher that learns with it, or the blank net is another one than the seed says."""
    net, retain, forget = four_classes
    options = {**BARE, "retain_share": 1.0, "lr": 0.3, "temperature": temperature}
    out = unlearn("BadTeacher", net, retain, forget, seed=5, **options)
    blank = copy.deepcopy(net)
    reset([blank], 5)
    with torch.no_grad():
        x, t = forget[0], temperature
        dz = t * ((net(x) / t).softmax(1) - (blank(x) / t).softmax(1)) / 9
        assert torch.allclose(out.weight, net.weight - 0.3 * dz.T @ x, atol=1e-12)
        assert torch.allclose(out.bias, net.bias - 0.3 * dz.sum(0), atol=1e-12)


def test_labels_are_never_used(task, same):
    model, (xr, yr), (xf, yf) = task
    a = unlearn("BadTeacher", model, (xr, yr), (xf, yf), lr=0.1)
    b = unlearn("BadTeacher", model, (xr, (yr + 1) % 3), (xf, (yf + 2) % 3), lr=0.1)
    assert same(a, b)


def test_the_retain_share_is_how_many_retained_samples_are_seen(task, same):
    """Half of ten: changing an unseen sample changes nothing, a seen one does."""
    model, (xr, yr), forget = task
    options = {"lr": 0.1, "retain_share": 0.5, "batchnorm": "train", "seed": 2}
    before = unlearn("BadTeacher", model, (xr, yr), forget, **options)
    seen = 0
    for i in range(10):
        other = xr.clone()
        other[i] = 1 - other[i]
        seen += not same(before, unlearn("BadTeacher", model, (other, yr), forget, **options))
    assert seen == 5


def test_the_teachers_are_in_eval_mode(task):
    """With a frozen student and no forget sample that differs, nothing would move; a competent
    teacher in train mode makes it move. Fails if a teacher keeps the mode that Original came in."""
    model, retain, (xf, yf) = task
    x = torch.cat([retain[0], xf])
    model.train()
    out = unlearn("BadTeacher", model, retain, (xf, yf), lr=1e-3, batchnorm="frozen", seed=4)
    with torch.no_grad():
        blank = copy.deepcopy(model).eval()
        reset([blank], 4)
        original = copy.deepcopy(model).eval()
        gap = (
            distillation_kl(out(xf), blank(xf), 1.0),
            distillation_kl(original(xf), blank(xf), 1.0),
        )
        assert gap[0] < gap[1]
        kept = distillation_kl(out(x[:10]), original(x[:10]), 1.0)
        assert kept < 0.01
