"""What the core refuses: one line that names the value, what was expected and the mend.

A row of ``ROWS`` is a call and the words that must occur in its message, parts of it set apart by
" | ". A new refusal is a new row, beside those of its door.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from rurklib import InputError, checks, metrics, perturb, residual_knowledge, tensors, unlearn
from rurklib.residual import noisy_copies
from rurklib.residual.counts import Counts, Measurement
from rurklib.residual.exchange import exchange
from rurklib.residual.result import ResidualKnowledge

LAWS = ("gaussian", "fgsm", "pgd")
X, Y = torch.linspace(0, 1, 144).view(4, 1, 6, 6), torch.tensor([0, 1, 2, 0])
OTHER = 1 - 0.9 * X  # samples of a control
MARGINS, SAME = np.ones((1, 1, 4)), np.ones(4)
OWN, OTHERS = np.arange(5.0), np.arange(15.0).reshape(3, 5) % 4  # confidences
NAN = np.full((3, 5), np.nan)


class Says(nn.Module):
    """Returns what it was made with, one row a sample."""

    def __init__(self, row, transform=lambda z: z):
        super().__init__()
        self.row, self.transform = torch.as_tensor(row), transform

    def forward(self, x):
        return self.transform(self.row.expand(len(x), -1))


class Cut(nn.Module):
    """A net without gradients."""

    def forward(self, x):
        return NET(x.detach()).detach()


def net(classes: int = 3) -> nn.Module:
    torch.manual_seed(classes)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, classes)).eval()


NET, REFERENCE = net(), net()


def measured(model=NET, references=(REFERENCE,), x=X, y=Y, taus=(0.1,), **options):
    return residual_knowledge(model, references, x, y, taus=taus, **options)


def controlled(**controls):
    return measured(controls={name.replace("_", " "): pair for name, pair in controls.items()})


def judged(**options):
    names, hits = ("m", "r0", "r1", "r2"), np.full((4, 1, 3), 5)
    counts = Counts(hits, names, (0.1,), 10, "gaussian", 0, hits / 2)
    return ResidualKnowledge(dict.fromkeys(names, counts), ("m",), names[1:]).judge("m", **options)


def broken(x: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.arange(len(x))[:, None, None, None] % 2 == 0, x, math.nan)


ROWS = [
    # values
    (
        lambda: checks.one_of("law", "Gausian", LAWS),
        "unknown law 'Gausian': did you mean 'gaussian'? known: gaussian, fgsm, pgd",
    ),
    (lambda: checks.one_of("law", 7, LAWS), "unknown law 7: known: gaussian, fgsm, pgd"),
    *(
        (
            lambda bad=bad: checks.number("lr", bad, 0, 1),
            "lr = | : expected a finite number in [0, 1]",
        )
        for bad in (math.nan, math.inf, -0.1, 1.1, "0.5", None, True)
    ),
    (lambda: checks.number("lr", -1, 0), "lr = -1: expected a finite number of at least 0"),
    *(
        (lambda bad=bad: checks.count("v", bad), "v = | : expected a whole number of at least 1")
        for bad in (0, -1, 1.0, "2", None, True)
    ),
    *(
        (lambda bad=bad: checks.taus(bad), "tau")
        for bad in ([], "0.1", 0.1, [-1.0], [math.inf], [None])
    ),
    *(
        (
            lambda text=text: checks.seeds(text),
            f"--seeds {text}: expected different whole numbers, 0..4 or 0,1,2",
        )
        for text in ("a,b", "1,1", "4..0", "-1,2")
    ),
    # samples and labels
    (lambda: checks.inputs(broken(X)), "x: 2 of 4 samples hold NaN or infinity; remove them"),
    (
        lambda: checks.inputs(torch.tensor([[-0.5, 2.0]])),
        "spans [-0.5, 2] | divide 0..255 images by 255",
    ),
    (lambda: checks.inputs([[0.5]]), "x is a list: expected a torch tensor"),
    (
        lambda: checks.inputs(torch.ones(2, 2, dtype=torch.int64)),
        "dtype torch.int64: expected uint8 or a floating type",
    ),
    (lambda: checks.labels([0, 1], 2, 3), "y is list: expected an int64 tensor | y.long()"),
    (lambda: checks.labels(torch.tensor([0.0, 1.0]), 2, 3), "float32"),
    (lambda: checks.labels(torch.tensor([[0], [1]]), 2, 3), "(2, 1)"),
    (
        lambda: checks.labels(torch.tensor([0]), 2, 3),
        "1 labels for 2 samples: expected one for each",
    ),
    (lambda: checks.labels(torch.tensor([0, 3]), 2, 3), "expected labels in 0 ... 2"),
    (lambda: checks.labels(torch.tensor([0, -1]), 2, 3), "y spans -1 ... 0"),
    (lambda: checks.pair(X, "retain"), "retain: expected a pair (x, y) of tensors, got Tensor"),
    (
        lambda: checks.disjoint(X[[0, 1, 0]], X[[0, 2, 1]]),
        "2 of 3 forget samples are in the retain set too | remove them from one",
    ),
    (lambda: checks.disjoint(X, torch.zeros(1, 2)), "expected the same kind of sample in both"),
    # bounds, at every door: NaN compares as False, so a check for what is outside passes it
    *(
        (lambda bad=bad, door=door: door(bad), "bounds = | lowest and the highest value | or None")
        for bad in (
            (math.nan, 1),
            (0, math.nan),
            (1, 0),
            (0, 0),
            (0, 0.5, 1),
            (None, 1),
            1,
            "01",
            (0,),
        )
        for door in (
            lambda b: checks.inputs(X, b),
            lambda b: perturb.gaussian(X, 0.1, generator=tensors.generator(0), bounds=b),
            lambda b: measured(bounds=b),
            lambda b: unlearn("GD", NET, (X[:2], Y[:2]), (X[2:], Y[2:]), bounds=b),
        )
    ),
    # models
    (
        lambda: checks.logits(Says([0.5, 0.5]), X, Y),
        "model returned probabilities (rows sum to 1): expected logits; remove the softmax",
    ),
    (lambda: checks.logits(Says([0.0, math.nan]), X, Y), "returned NaN or infinity"),
    (
        lambda: checks.logits(Says([0.5, 0.6], lambda z: z[:1]), X, Y),
        "returned (1, 2) for 4 samples",
    ),
    (lambda: checks.logits(Says([0.5, 0.6], lambda z: z[:, 0]), X, Y), "returned (4,)"),
    (lambda: checks.logits(Says([0.5, 0.6], lambda z: {"logits": z}), X, Y), "returned a dict"),
    (
        lambda: checks.logits(Says([0.5]), X, Y % 2),
        "one logit for each sample | torch.cat([0 * z, z], 1)",
    ),
    (
        lambda: checks.logits(nn.Linear(5, 2), X, Y),
        "model can't be applied to a batch of (1, 6, 6) inputs",
    ),
    (lambda: checks.logits(lambda v: v, X, Y), "model is a function: expected a torch.nn.Module"),
    # what a measurement asks
    (lambda: Measurement([]), "taus = []: expected a list of radii such as [0, 0.1, 0.2]"),
    (lambda: Measurement([0.1], "gausian"), "'gausian' | 'gaussian'"),
    (lambda: Measurement([0.1], draws=0), "draws = 0: expected | at least 1"),
    (lambda: Measurement([0.1], seed=-1), "seed = -1: expected | at least 0"),
    (lambda: Measurement([0.1], batch_size=0), "batch_size = 0"),
    (lambda: Measurement([0.1], precision="half"), "unknown precision 'half'"),
    # residual_knowledge, before anything is measured
    (
        lambda: measured(references=[]),
        "references is empty: expected at least one | controls={'held out': (x, y)}",
    ),
    (
        lambda: measured(references=REFERENCE),
        "references is one model: expected a list of them, e.g. [model]",
    ),
    (lambda: measured([NET]), "mapping of names to models"),
    (lambda: measured({}), "mapping of names to models"),
    (lambda: measured({"a": NET}, {"a": REFERENCE}), "used for a model and a reference: ['a']"),
    (
        lambda: measured(references=[nn.Sequential(NET, nn.Softmax(1))]),
        "reference-0 returned probabilities",
    ),
    (lambda: measured(references=[net(5)]), "differ in their number of classes"),
    (
        lambda: measured(Cut(), perturbation="pgd"),
        "model gives no gradient | use one that needs none",
    ),
    (lambda: measured(x=broken(X)), "hold NaN"),
    (lambda: measured(x=X * 255), "expected values in [0, 1]"),
    (lambda: measured(x=(X * 255).byte(), bounds=(0, 255)), "uint8, read as x / 255 | (0, 1)"),
    (lambda: measured(x=X[:0], y=Y[:0]), "expected a non-empty batch"),
    (lambda: measured(x=torch.rand(4, 2, 6, 6)), "model can't be applied"),
    (lambda: measured(y=Y[:2]), "one for each"),
    (lambda: measured(y=Y.float()), "y.long"),
    (lambda: measured(y=torch.tensor([0, 1, 2, 7])), "y spans 0 ... 7: expected labels in 0 ... 2"),
    # controls
    (lambda: measured(controls=[(X, Y)]), "controls is a list: expected a mapping of names"),
    (lambda: controlled(held_out=X), "control 'held out': expected a pair"),
    (lambda: controlled(held_out=(OTHER[:0], Y[:0])), "is empty"),
    (lambda: controlled(held_out=(OTHER * 255, Y)), "expected values in [0, 1]"),
    (lambda: controlled(held_out=(torch.rand(4, 36), Y)), "expected the same kind of sample"),
    (lambda: controlled(held_out=(OTHER.double(), Y)), "expected the same kind of sample"),
    (lambda: controlled(retained=(OTHER, Y + 1)), "spans 1 ... 3: expected labels in 0 ... 2"),
    (
        lambda: controlled(held_out=(torch.cat([OTHER, X[1:3]]), torch.zeros(6).long())),
        "2 of 6 control 'held out' samples are in the forget set too",
    ),
    (lambda: noisy_copies(X, Y, 0.2, copies=0), "copies = 0"),
    # the verdict and the exchangeability test
    (lambda: judged(test="margins"), "unknown test 'margins': did you mean 'margin'"),
    (lambda: judged(level=0), "level = 0: expected a finite number in"),
    (lambda: judged(level=5), "level = 5"),
    (lambda: measured().exchange("model"), "no held out samples | controls="),
    (
        lambda: exchange(MARGINS, MARGINS, 3 * SAME, SAME),
        "classes [3.0] | [1.0]: expected held-out samples of the same",
    ),
    *(
        (lambda bad=bad: exchange(MARGINS, MARGINS, SAME, SAME, level=bad), "level = | expected")
        for bad in (5, math.nan, -1)
    ),
    (lambda: exchange(MARGINS, MARGINS, SAME, SAME, seed=-1), "seed = -1"),
    (
        lambda: exchange(MARGINS, np.ones((2, 1, 4)), SAME, SAME),
        "1 models on forget and 2 on held-out samples",
    ),
    # perturbations
    (lambda: perturb.fgsm(NET, X, Y, -0.1), "tau = -0.1"),
    (lambda: perturb.fgsm(NET, X[:3], Y, 0.1), "3 samples"),
    (lambda: perturb.pgd(NET, X, Y, 0.1, 3, random_start=False), "p = 3: expected 1, 2 or"),
    (lambda: perturb.pgd(NET, X, Y, 0.1, steps=0, random_start=False), "steps = 0"),
    *(
        (lambda rule=rule, bad=bad: rule(bad, 0.1, generator=tensors.generator(0)), words)
        for rule in (perturb.gaussian, perturb.sphere, partial(perturb.uniform, p=2))
        for bad, words in ((255 * X, "spans [0, 255]"), (broken(X), "2 of 4 samples hold NaN"))
    ),
    (lambda: perturb.uniform(X, 0.1, 3, generator=tensors.generator(0)), "p = 3: expected 1, 2 or"),
    (lambda: perturb.uniform(X, -1, 2, generator=tensors.generator(0)), "tau = -1"),
    # metrics
    (lambda: metrics.lira(OWN, OTHERS[:1], OWN, OTHERS[:1]), "1 reference: expected two or more"),
    (lambda: metrics.lira(OWN, NAN, OWN, OTHERS), "NaN or infinity: leave such a model out"),
    (lambda: metrics.membership(np.array([]), OWN), "finite scores"),
    (lambda: metrics.membership(OWN, np.array([np.nan])), "finite scores"),
    (lambda: metrics.klom(OTHERS[:, 1:], OTHERS), "expected [models, samples] of the same"),
    (lambda: metrics.klom_normal(NAN, OTHERS), "NaN or infinity: leave such a model out"),
    (lambda: metrics.u_lira(OTHERS[[0, 0, 0]], OTHERS), "one model, loaded twice?"),
    (lambda: metrics.relearn_epochs(NET, NET, (X[:0], Y[:0])), "forget is empty"),
    (lambda: metrics.relearn_epochs(NET, NET, (X, Y), batch_size=0), "batch_size = 0"),
    (lambda: metrics.relearn_epochs(NET, NET, (X, Y), lr=-1.0), "lr = -1"),
    (lambda: metrics.relearn_epochs(NET, NET, (X, Y), eta=-0.1), "eta = -0.1"),
    (lambda: metrics.relearn_steps(NET, NET, (X, Y), cap=0), "cap = 0"),
    (lambda: metrics.few_shots(NET, (X[:0], Y[:0]), (X, Y)), "shots is empty"),
    (lambda: metrics.few_shots(NET, (X, Y), (X, Y), steps=-1), "steps = -1"),
]


@pytest.mark.parametrize(("call", "words"), ROWS, ids=[words for _, words in ROWS])
def test_what_can_not_be_used_is_refused_in_one_line(call, words):
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert [part for part in words.split(" | ") if part not in message] == [], message
