"""SCRUB, BadTeacher and DELETE: their losses in closed form, and their steps by hand."""

import math

import pytest
import torch

from rurklib import unlearn
from rurklib.models import build
from rurklib.unlearn.distillation import distillation_kl, masked, scrub


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


def without(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Probabilities [n, classes] given that the class isn't y."""
    p = p.scatter(1, y[:, None], 0.0)
    return p / p.sum(1, keepdim=True)


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
