"""SCRUB, BadTeacher and DELETE: their losses in closed form, and their steps by hand."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from rurklib import unlearn
from rurklib.models import build
from rurklib.unlearn.distillation import distillation_kl, masked, scrub, scrub_loss
from rurklib.unlearn.layers import reset


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


def test_kl_is_that_of_teacher_to_student() -> None:
    """sum_c p_teacher log(p_teacher / p_student), on a case where the swapped one is three times
    as large. Catches swapped arguments, logarithms left out, a mean over classes."""
    teacher, student = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.99, 0.01]]).log()
    hand = 0.5 * math.log(0.5 / 0.99) + 0.5 * math.log(0.5 / 0.01)
    swapped = 0.99 * math.log(0.99 / 0.5) + 0.01 * math.log(0.01 / 0.5)
    got = float(distillation_kl(student, teacher, temperature=1.0))
    assert got == pytest.approx(hand, rel=1e-5)
    assert abs(got - swapped) > 0.5
    twice = distillation_kl(student.repeat(2, 1), teacher.repeat(2, 1), temperature=1.0)
    assert float(twice) == pytest.approx(hand, rel=1e-5)


def test_temperature_softens_both_and_scales_back() -> None:
    """Catches a temperature on one side only, or a missing square."""
    teacher, student = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[0.0, 1.0, -3.0]])
    p, q = (teacher / 4).softmax(1), (student / 4).softmax(1)
    hand = 16 * (p * (p / q).log()).sum()
    torch.testing.assert_close(distillation_kl(student, teacher), hand)


def by_hand(
    student: nn.Linear, teacher: nn.Linear, x: Tensor, y: Tensor, step: str, **h: float
) -> tuple[Tensor, Tensor]:
    """Gradients of a SCRUB step by the closed form: for logits z = W x + b,
    d KL / dz = T (softmax(z / T) - softmax(z_teacher / T)) and d CE / dz = softmax(z) - onehot."""
    with torch.no_grad():
        z, zt, t = student(x), teacher(x), h["temperature"]
        kl = t * ((z / t).softmax(1) - (zt / t).softmax(1))
        ce = z.softmax(1) - torch.eye(3)[y]
        dz = (-kl if step == "max" else h["alpha"] * kl + h["gamma"] * ce) / len(x)
        return dz.T @ x, dz.sum(0)


@pytest.mark.parametrize("step", ["max", "min"])
def test_the_gradient_of_a_step_is_the_closed_form(step: str, samples) -> None:
    """Catches a wrong sign, alpha and gamma exchanged, and a gradient lost in a detach."""
    h = {"alpha": 0.7, "gamma": 0.2, "temperature": 3.0}
    (x, y), student, teacher = samples(7, 1, 4), linear(0), linear(1)
    loss = scrub_loss(step, student(x), teacher(x).detach(), y, **h)
    got = torch.autograd.grad(loss, [student.weight, student.bias])
    for g, hand in zip(got, by_hand(student, teacher, x, y, step, **h), strict=True):
        torch.testing.assert_close(g, hand)


def test_the_schedule_by_hand(samples) -> None:
    """max, min, max, min, min with one cosine schedule, every step by the closed form. Catches a
    teacher that moves with the student (its KL would stay 0), an optimiser built on the teacher,
    forget and retain exchanged, max-steps after min-steps, and max-steps in every epoch."""
    retain, forget = samples(9, 1, 4), samples(6, 2, 4)
    h = {"alpha": 0.5, "gamma": 1.0, "temperature": 2.0}
    lr, student, teacher = 0.5, linear(), linear()
    steps = [("max", forget), ("min", retain), ("max", forget), ("min", retain), ("min", retain)]
    for t, (step, (x, y)) in enumerate(steps):
        eta = lr / 2 * (1 + math.cos(math.pi * t / len(steps)))
        grads = by_hand(student, teacher, x, y, step, **h)
        with torch.no_grad():
            for w, g in zip(student.parameters(), grads, strict=True):
                w -= eta * g
    original = linear()
    got = scrub(
        original, retain, forget, epochs=3, max_epochs=2, lr=lr, momentum=0.0, weight_decay=0.0, **h
    )
    assert (got.weight - original.weight).abs().max().item() > 0.05  # the student has moved
    torch.testing.assert_close(got.weight, student.weight)
    torch.testing.assert_close(got.bias, student.bias)


def test_the_teacher_is_in_eval_mode(samples) -> None:
    """With nothing but KL, a frozen student agrees with its teacher and stays; in train mode the
    batch statistics set them apart and it moves. Catches a teacher left in the mode that Original
    came in (train)."""
    original = build("small-cnn", 1, 3, seed=0).train()
    retain, forget = samples(30, 1, 1, 8, 8), samples(10, 2, 1, 8, 8)
    bare = {"alpha": 1.0, "gamma": 0.0, "weight_decay": 0.0, "lr": 0.01}
    moved = []
    for mode in ("frozen", "train"):
        got = scrub(original, retain, forget, batchnorm=mode, **bare)
        pairs = zip(original.parameters(), got.parameters(), strict=True)
        moved.append(max(float((a - b).detach().abs().max()) for a, b in pairs))
    assert moved[0] < 1e-6 < 1e-4 < moved[1]


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


BARE_DELETE = {"momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"}


def without(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Probabilities [n, classes] given that the class isn't y."""
    p = p.scatter(1, y[:, None], 0.0)
    return p / p.sum(1, keepdim=True)


def test_two_steps_by_hand(four_classes):
    """w - lr * (softmax - T)^T x / n, with T Original's. Fails if T is the changing student's, if a
    class of the batch is masked in place of each sample's own, or the retain set takes part."""
    net, retain, forget = four_classes
    out = unlearn("DELETE", net, retain, forget, lr=0.3, epochs=2, **BARE_DELETE)
    with torch.no_grad():
        x, y = forget
        w, b, target = net.weight.clone(), net.bias.clone(), without(net(x).softmax(1), y)
        for _ in range(2):
            dz = ((x @ w.T + b).softmax(1) - target) / 4
            w, b = w - 0.3 * dz.T @ x, b - 0.3 * dz.sum(0)
    assert torch.allclose(out.weight, w, atol=1e-12)
    assert torch.allclose(out.bias, b, atol=1e-12)


def test_the_loss_is_a_forgetting_and_a_retaining_term(cnn, images):
    """KL(T || p) = -log(1 - p_y) + KL(T || q). Fails if a masked logit gives NaN, the divergence is
    the other way round, or the teacher is in train mode."""
    original, student, (x, y) = cnn(0).double(), cnn(1).double(), images(8)
    x = x.double()
    p, target = student(x).softmax(1), without(original(x).softmax(1), y)
    q, others = without(p, y), torch.ones_like(p).scatter(1, y[:, None], 0.0).bool()
    apart = (target[others] * (target[others] / q[others]).log()).sum() / 8
    forgetting = -(1 - p.gather(1, y[:, None])).log().mean()
    whole = distillation_kl(student(x), masked(original.train(), x, y), 1.0)
    torch.testing.assert_close(whole, forgetting + apart)


def test_it_ends_where_original_would_be_without_the_class(four_classes):
    """One sample a linear model can teach itself anything about. Fails without the mask (Original
    stays), with ascent or a wrong label drawn at random (the others' ranks are lost)."""
    net, retain, (x, y) = four_classes
    options = {**BARE_DELETE, "lr": 2.0, "epochs": 2000}
    out = unlearn("DELETE", net, retain, (x[:1], y[:1]), **options)
    with torch.no_grad():
        target = without(net(x[:1]).softmax(1), y[:1])
        torch.testing.assert_close(out(x[:1]).softmax(1), target, atol=2e-3, rtol=0.0)
    assert float(target.max()) < 0.8
