"""Checks: the message says what was given, what was expected and how to mend it."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from rurklib import InputError, checks, perturb, residual_knowledge, tensors, unlearn


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)


def test_one_of_names_the_nearest():
    known = ("gaussian", "fgsm", "pgd")
    assert checks.one_of("law", "pgd", known) == "pgd"
    with pytest.raises(InputError) as error:
        checks.one_of("law", "Gausian", known)
    assert str(error.value) == (
        "unknown law 'Gausian': did you mean 'gaussian'? known: gaussian, fgsm, pgd"
    )
    with pytest.raises(InputError, match=r"^unknown law 7: known: gaussian, fgsm, pgd$"):
        checks.one_of("law", 7, known)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1, "0.5", None, True])
def test_number_takes_finite_numbers_in_range(bad):
    assert checks.number("lr", 1, 0, 1) == 1.0
    assert isinstance(checks.number("lr", 1, 0, 1), float)
    assert checks.number("lr", np.float64(0.5), 0, 1) == 0.5
    with pytest.raises(InputError, match=r"^lr = .*: expected a finite number in \[0, 1\]$"):
        checks.number("lr", bad, 0, 1)


@pytest.mark.parametrize("bad", [0, -1, 1.0, "2", None, True])
def test_count_takes_whole_numbers(bad):
    assert checks.count("v", 1) == 1
    with pytest.raises(InputError, match=r"^v = .*: expected a whole number of at least 1$"):
        checks.count("v", bad)


def test_radii_are_a_list():
    assert checks.taus([0, 0.5]) == (0.0, 0.5)
    assert checks.taus(np.linspace(0, 1, 3)) == (0.0, 0.5, 1.0)
    for bad in ([], "0.1", 0.1, [-1.0], [math.inf], [None]):
        with pytest.raises(InputError, match="tau"):
            checks.taus(bad)


def test_inputs_say_how_many_samples_are_broken():
    x = torch.rand(4, 2)
    checks.inputs(x)
    x[1, 0] = x[3, 1] = math.nan
    with pytest.raises(InputError, match="x: 2 of 4 samples hold NaN or infinity; remove them"):
        checks.inputs(x)


def test_inputs_keep_to_their_bounds():
    x = torch.tensor([[-0.5, 2.0]])
    checks.inputs(x, None)
    checks.inputs(x, (-0.5, 2.0))
    with pytest.raises(InputError, match=r"spans \[-0.5, 2\].*divide 0..255 images by 255"):
        checks.inputs(x)
    checks.inputs(torch.tensor([[0, 255]], dtype=torch.uint8))


@pytest.mark.parametrize(
    "bad", [(math.nan, 1), (0, math.nan), (1, 0), (0, 0), (0, 0.5, 1), (None, 1), 1, "01", (0,)]
)
def test_wrong_bounds_are_refused_at_every_door(bad, cnn, images):
    """NaN compares as False, so that a check for what is outside passes it, and copies are NaN."""
    x, y = images(8)
    net = cnn()
    for ask in (
        lambda: checks.inputs(x, bad),
        lambda: perturb.gaussian(x, 0.1, generator=tensors.generator(0), bounds=bad),
        lambda: residual_knowledge(net, [net], x, y, taus=[0.1], bounds=bad),
        lambda: unlearn("GD", net, (x[:4], y[:4]), (x[4:], y[4:]), bounds=bad),
    ):
        with pytest.raises(InputError, match=r"^bounds = .*lowest and the highest value.*None$"):
            ask()
    for good in (None, (0, 1), [0.0, 1.0], (-math.inf, math.inf), (np.float32(0), np.float64(1))):
        checks.inputs(x, good)


def test_labels_are_int64_in_range():
    checks.labels(torch.tensor([0, 2]), 2, 3)
    for bad, match in (
        ([0, 1], "list"),
        (torch.tensor([0.0, 1.0]), "float32"),
        (torch.tensor([[0], [1]]), r"\(2, 1\)"),
        (torch.tensor([0]), "1 labels for 2 samples"),
        (torch.tensor([0, 3]), r"0 \.\.\. 2"),
        (torch.tensor([0, -1]), "-1"),
    ):
        with pytest.raises(InputError, match=match):
            checks.labels(bad, 2, 3)


def test_logits_are_tried_without_a_trace(cnn, images, left_as_found):
    """Fails if the trial moves BatchNorm, or leaves the model in eval mode."""
    x, y = images(4)
    net = cnn().train()
    with left_as_found(net):
        assert checks.logits(net, x, y) == 3


class Says(nn.Module):
    """Returns what it was made with, one row a sample."""

    def __init__(self, row, transform=lambda z: z):
        super().__init__()
        self.row, self.transform = torch.as_tensor(row), transform

    def forward(self, x):
        return self.transform(self.row.expand(len(x), -1))


def test_only_logits_are_taken():
    x, y = torch.rand(3, 2), torch.tensor([0, 1, 0])
    assert checks.logits(Says([0.5, 0.6]), x, y) == 2
    assert checks.logits(Says([-0.5, 1.5]), x, y) == 2  # sums to 1, but is no probability
    for model, match in (
        (Says([0.5, 0.5]), "probabilities"),
        (Says([0.0, math.nan]), "returned NaN"),
        (Says([0.5, 0.6], lambda z: z[:1]), r"returned \(1, 2\) for 3 samples"),
        (Says([0.5, 0.6], lambda z: z[:, 0]), r"returned \(3,\)"),
        (Says([0.5, 0.6], lambda z: {"logits": z}), "returned a dict"),
        (Says([0.5]), r"one logit for each sample.*torch\.cat\(\[0 \* z, z\], 1\)"),
        (nn.Linear(5, 2), r"can't be applied to a batch of \(2,\) inputs"),
        (lambda v: v, "is a function"),
    ):
        with pytest.raises(InputError, match=match):
            checks.logits(model, x, y)


class Centred(nn.Module):
    """Normalises what it was given, in place."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        x -= 0.5
        return self.net(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_a_net_that_writes_into_its_input_is_named_and_your_samples_stay(dtype, cnn, images):
    """Fails if the caller's samples are overwritten, or if the next net sees what is left."""
    x, y = images(8)
    x = (x * 255).to(dtype) if dtype == torch.uint8 else x
    before, good, bad = x.clone(), cnn(), Centred(cnn())
    for ask, name in (
        (lambda: residual_knowledge(good, {"a": good, "b": bad}, x, y, taus=[0.1]), "b"),
        (lambda: residual_knowledge(bad, [good], x, y, taus=[0.1]), "model"),
        (lambda: unlearn("GD", bad, (x[:4], y[:4]), (x[4:], y[4:])), "model"),
    ):
        with pytest.raises(InputError, match=rf"^{name} writes into its input.*x = x - mean"):
            ask()
    assert torch.equal(x, before)


def test_shared_samples_are_counted():
    kept = torch.tensor([[1, 2], [3, 4], [1, 2]], dtype=torch.uint8)
    checks.disjoint(kept, torch.tensor([[2, 1]], dtype=torch.uint8))
    with pytest.raises(InputError, match="2 of 3 forget samples are in the retain set"):
        checks.disjoint(kept, torch.tensor([[3, 4], [0, 0], [1, 2]], dtype=torch.uint8))
    with pytest.raises(InputError, match="same kind of sample"):
        checks.disjoint(kept, torch.zeros(1, 2))
