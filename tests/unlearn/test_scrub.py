"""SCRUB: the divergence by hand, its direction, and the whole schedule on a linear model."""

import math

import pytest
import torch
from torch import Tensor, nn

from rurklib.checks import InputError
from rurklib.models import build
from rurklib.unlearn.scrub import distillation_kl, scrub, scrub_loss


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


def test_more_max_epochs_than_epochs_is_an_error(samples) -> None:
    """Catches max-steps that are silently dropped."""
    with pytest.raises(InputError, match="max_epochs = 4"):
        scrub(linear(), samples(9, 1, 4), samples(6, 2, 4), epochs=3, max_epochs=4)
