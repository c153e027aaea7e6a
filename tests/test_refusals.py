"""What the core refuses: one line that names the value, what was expected and the mend.

A row of ``ROWS`` is a call and the words that must occur in its message, parts of it set apart by
" | ". A new refusal is a new row, beside those of its door. What a type says has one row for all.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from rurklib import InputError, checks, perturb, residual_knowledge, rurk_loss, unlearn
from rurklib.data import Dataset, forget_part_of_a_class, subsample
from rurklib.evasive import noise_brittle
from rurklib.metrics import registry
from rurklib.models import build
from rurklib.perturb import PERTURBATIONS
from rurklib.residual.counts import Measurement
from rurklib.tensors import generator
from rurklib.train import fit

X, Y = torch.linspace(0, 1, 144).view(4, 1, 6, 6), torch.tensor([0, 1, 2, 0])
BROKEN = torch.where(torch.arange(4)[:, None, None, None] % 2 == 0, X, math.nan)
GONE, KEPT = (X[:2], Y[:2]), (X[2:], Y[2:])
OTHER = 1 - 0.9 * X  # samples of a control
NET, REFERENCE, FIVE = (nn.Sequential(nn.Flatten(), nn.Linear(36, n)).eval() for n in (3, 3, 5))
SOFTMAX = nn.Sequential(NET, nn.Softmax(1))


class Says(nn.Module):
    """Returns what it was made with, one row a sample."""

    def __init__(self, row, transform=lambda z: z):
        super().__init__()
        self.row, self.transform = torch.tensor(row), transform

    def forward(self, x):
        return self.transform(self.row.expand(len(x), -1))


class Cut(nn.Module):
    """A net without gradients."""

    def forward(self, x):
        return NET(x.detach()).detach()


def logits(row, transform=lambda z: z, y=Y):
    return checks.logits(Says(row, transform), X, y)


def measured(model=NET, references=(REFERENCE,), x=X, y=Y, taus=(0.1,), **options):
    return residual_knowledge(model, references, x, y, taus=taus, **options)


def controlled(x=OTHER, y=Y):
    return measured(controls={"held out": (x, y)})


def unlearned(name="GD", model=NET, retain=KEPT, forget=GONE, **options):
    return unlearn(name, model, retain, forget, **options)


def trained(x=X, y=Y, **options):
    return fit(NET, x, y, seed=0, **{"epochs": 2, "lr": 0.1, **options})


def data(x=None, test=None, **more) -> Dataset:
    """40 samples of four classes on each side; only a change that says so differs."""
    own = torch.arange(40)[:, None] / 100, torch.arange(40) % 4
    train = own if x is None else (x, own[1])
    return Dataset("toy", train, test or own, tuple("abcd"), "counted", **more)


def request(**options):
    return forget_part_of_a_class(data(), **{"forget_class": 1, **options})


SPLIT = request()


def linear(*more: nn.Module, frozen: bool = False) -> nn.Module:
    head = nn.Linear(8, 3)
    head.weight.requires_grad_(not frozen)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), *more, head).eval()


class Scale(nn.Module):
    """Weights that nobody can draw anew."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x):
        return x * self.weight


ROWS = [
    # values
    (
        lambda: checks.one_of("law", "Gausian", ("gaussian", "pgd")),
        "unknown law 'Gausian': did you mean 'gaussian'? known: gaussian, pgd",
    ),
    (lambda: checks.number("lr", math.nan, 0, 1), "lr = nan | a finite number in [0, 1]"),
    (lambda: checks.count("v", True), "v = True: expected a whole number of at least 1"),
    # samples and labels
    (lambda: checks.inputs(BROKEN), "x: 2 of 4 samples hold NaN or infinity; remove them"),
    (lambda: checks.inputs(2 * X), "spans [0, 2] | by 255"),
    (lambda: checks.inputs([[0.5]]), "x is a list: expected a torch tensor"),
    (lambda: checks.inputs(torch.ones(2, 2).long()), "int64: expected uint8 or a floating type"),
    (lambda: checks.labels([0, 1], 2), "y is list: expected int64 labels | y.long()"),
    (lambda: checks.labels(Y + 1, 4, 3), "y spans 1 ... 3: expected labels in 0 ... 2"),
    (lambda: checks.pair(X, "retain"), "retain: expected a pair (x, y) of tensors, got Tensor"),
    (
        lambda: checks.disjoint(X[[0, 1, 0]], X[[0, 2, 1]]),
        "2 of 3 forget samples are in the retain set too | remove them from one",
    ),
    # bounds, at every door: NaN compares as False, so a check for what is outside passes it
    *(
        (lambda bad=bad, door=door: door(bad), "bounds")
        for bad in ((math.nan, 1), (0, math.nan), (1, 0), (0, 0.5, 1), (None, 1), 1, "01")
        for door in (
            lambda b: checks.inputs(X, b),
            lambda b: measured(bounds=b),
        )
    ),
    # models
    (lambda: logits([0.5, 0.5]), "returned probabilities | remove the softmax"),
    (lambda: logits([0.0, math.nan]), "returned NaN or infinity"),
    (lambda: logits([0.5, 0.6], lambda z: z[:1]), "returned (1, 2) for 4 samples"),
    (lambda: logits([0.5], y=Y % 2), "one logit | torch.cat([0 * z, z], 1)"),
    (lambda: checks.logits(nn.Linear(5, 2), X, Y), "can't be applied to a batch of (1, 6, 6)"),
    (lambda: checks.logits(NET.forward, X, Y), "model is a method: expected a torch.nn.Module"),
    (lambda: build("resnet-18", 3, 10, seed=0), "'resnet-18': did you mean 'resnet18'"),
    # a measurement, before anything is measured
    (lambda: measured(references=[]), "references is empty | controls={'held out': (x, y)}"),
    (lambda: measured(references=NET), "is one model: expected a list of them, e.g. [model]"),
    (lambda: measured([NET]), "mapping of names to models"),
    (lambda: measured({"a": NET}, {"a": NET}), "used for a model and a reference: ['a']"),
    (lambda: measured(references=[SOFTMAX]), "reference-0 returned probabilities"),
    (lambda: measured(references=[FIVE]), "differ in their number of classes"),
    (lambda: measured(perturbation="gausian"), "'gausian' | 'gaussian'"),
    (lambda: measured(taus=[]), "taus = "),
    (lambda: measured(draws=0), "draws = 0: expected"),
    (lambda: measured(x=BROKEN), "hold NaN"),
    (lambda: measured(x=X[:0], y=Y[:0]), "expected a non-empty batch"),
    (lambda: measured(y=Y + 5), "y spans 5 ... 7: expected labels in 0 ... 2"),
    (lambda: measured(perturbation="typo"), "(4, 1, 6, 6) | [n, dim, length] | gaussian"),
    (lambda: PERTURBATIONS["delete"].check(X[:, 0], 1.1, None), "tau = 1.1: expected"),
    # its controls, its verdict and its test without references
    (lambda: measured(controls=[(X, Y)]), "controls is a list: expected a mapping of names"),
    (lambda: controlled(OTHER[:0], Y[:0]), "control 'held out' x has shape (0, 1, 6, 6)"),
    (lambda: controlled(OTHER.flatten(1)), "expected the same kind of sample"),
    (lambda: controlled(y=Y + 1), "spans 1 ... 3: expected labels in 0 ... 2"),
    (lambda: controlled(torch.cat([OTHER[:2], X[1:3]])), "2 of 4 control 'held out' samples are"),
    (lambda: measured().exchange("model"), "no held out samples | controls="),
    # perturbations
    (lambda: perturb.fgsm(NET, X, Y, -0.1), "tau = -0.1"),
    (lambda: perturb.pgd(NET, X, Y, 0.1, 3), "p = 3: expected 1, 2 or"),
    (lambda: perturb.gaussian(255 * X, 0.1, generator=generator(0)), "spans [0, 255]"),
    # metrics
    (lambda: registry.metric(a=("A", 1))(lambda retian: 0), "'retian' | did you mean 'retain'"),
    (lambda: noise_brittle(NET, KEPT, GONE, [NET], Measurement((0.0,))), "one above 0"),
    # unlearning, whatever the method; the first row stands for all that types say
    (lambda: unlearned(lr=-0.1), "lr = -0.1: expected a number greater than or equal to 0"),
    (lambda: unlearned("rukr"), "unknown method 'rukr': did you mean 'RURK' | GD"),
    (lambda: unlearned(batch_siz=1), "hyper-parameter of GD 'batch_siz': did you mean | size"),
    (lambda: unlearned("RURK", perturbation="fgms"), "'fgms': did you mean 'fgsm'"),
    (lambda: rurk_loss(NET, KEPT, GONE, v=0, generator=torch.Generator()), "v = 0: expected"),
    (lambda: unlearned(forget=KEPT), "2 of 2 forget samples are in the retain set too"),
    (lambda: unlearned(retain=(X[:0], Y[:0])), "retain x has shape (0, 1, 6, 6)"),
    (lambda: unlearned(forget=(BROKEN[:2], Y[:2])), "forget x: 1 of 2 samples hold NaN"),
    (lambda: unlearned(forget=(X[:2], Y[:2] + 3)), "expected labels in 0 ... 2"),
    (lambda: unlearned(forget=(X[:2, :, :5], Y[:2])), "expected the same kind of sample"),
    (lambda: unlearned(model=SOFTMAX), "remove the softmax"),
    (lambda: unlearned("CF-k", k=3), "k = 3: expected at most the model's 1 layers"),
    (lambda: unlearned("EU-k", linear(Scale()), k=2), "Scale has no reset_parameters"),
    (lambda: unlearned("CR", linear(frozen=True)), "the head is frozen"),
    (lambda: unlearned("CR", nn.Sequential(NET, nn.Tanh())), "output isn't that of its last"),
    (lambda: unlearned("SCRUB", max_epochs=4, epochs=2), "expected at most epochs = 2"),
    # training and data
    (lambda: trained(BROKEN), "hold NaN or infinity"),
    (lambda: trained(2 * X, adversarial=0.1), "x spans"),
    (lambda: trained(augment="crop"), "augment = 'crop'"),
    (
        lambda: trained(X.flatten(1), augment="flip-crop"),
        "expected images (c, h, w), but samples have",
    ),
    (lambda: data(x=torch.full((40, 1), 9.0)), "toy train x spans"),
    (lambda: data(test=(X, Y + 2)), "toy test y spans 2 ... 4"),
    (lambda: replace(SPLIT, forget=SPLIT.retain), "35 samples are in retain and in forget"),
    (lambda: request(forget_share=0.0), "forget is empty"),
    (lambda: request(forget_share=math.nan), "forget_share = nan"),
    (lambda: request(forget_class=4), "forget_class = 4: toy has 0 ... 3, or -1"),
    (lambda: subsample(data(), train=100), "25 samples of class 0 asked for: it has 10"),
]


@pytest.mark.parametrize(("call", "words"), ROWS, ids=[words for _, words in ROWS])
def test_what_can_not_be_used_is_refused_in_one_line(call, words):
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert [part for part in words.split(" | ") if part not in message] == [], message
