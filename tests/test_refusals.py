"""What the core refuses: one line that names the value, what was expected and the mend.

A row of ``ROWS`` is a call and the words that must occur in its message, parts of it set apart by
" | ". A new refusal is a new row, beside those of its door.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from rurklib import (
    METHODS,
    InputError,
    checks,
    metrics,
    perturb,
    residual_knowledge,
    tensors,
    unlearn,
)
from rurklib.data import (
    Dataset,
    Split,
    forget_part_of_a_class,
    head_of_each_class,
    hold_out_validation,
    iris,
    subsample,
)
from rurklib.evasive import noise_brittle
from rurklib.metrics import registry
from rurklib.models import build
from rurklib.perturb import PERTURBATIONS
from rurklib.residual.counts import Counts, Measurement
from rurklib.residual.exchange import exchange
from rurklib.residual.result import ResidualKnowledge
from rurklib.train import fit

LAWS = ("gaussian", "fgsm", "pgd")
X, Y = torch.linspace(0, 1, 144).view(4, 1, 6, 6), torch.tensor([0, 1, 2, 0])
GONE, KEPT = (X[:2], Y[:2]), (X[2:], Y[2:])
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


def unlearned(name="GD", model=NET, retain=KEPT, forget=GONE, **options):
    return unlearn(name, model, retain, forget, **options)


def trained(x=X, y=Y, **options):
    return fit(net(), x, y, seed=0, **{"epochs": 2, "lr": 0.1, **options})


def data(n: int = 40, x=None, y=None, test=None, **more) -> Dataset:
    """n samples of four classes on each side; only a change that says so differs."""
    own = torch.arange(n)[:, None] / 100, torch.arange(n) % 4
    train = own[0] if x is None else x, own[1] if y is None else y
    return Dataset("toy", train, test or own, tuple("abcd"), "counted", **more)


def request(**options) -> Split:
    return forget_part_of_a_class(data(), **{"forget_class": 1, **options})


SPLIT = request()


def linear(*more: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), *more, nn.Linear(8, 3)).eval()


def owner() -> nn.Module:
    model = linear()
    model.scale = nn.Parameter(torch.ones(()))
    return model


def frozen_head() -> nn.Module:
    model = linear()
    model[-1].weight.requires_grad_(False)
    return model


class Scale(nn.Module):
    """Weights that nobody can draw anew."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x):
        return x * self.weight


VALUES = [
    ("GD", "batchnorm", "frosen"), ("GD", "batch_size", 0), ("GD", "lr", -0.1),
    ("GD", "precision", "float16"), ("GD", "seed", -1), ("GD", "seed", 0.5),
    ("AMUN", "epsilon", 0.0), ("AMUN", "steps", 0), ("AMUN", "true_labels", 1),
    ("BadTeacher", "temperature", 0.0), ("BadTeacher", "retain_share", 1.2),
    ("CF-k", "k", 3), ("EU-k", "k", 0), ("JiT", "tau", 0.0), ("JiT", "v", 0),
    ("LFSSD", "alpha", -1.0), ("LFSSD", "dampening", -0.1), ("NTK", "residual", "logit"),
    ("Retrain-quarter", "share", 1.5), ("Retrain-quarter", "recipe", "fast"),
    ("RURK", "target", "rndom"), ("RURK", "recognised_only", 1), ("RURK", "perturbation", "fgms"),
    ("RURK", "tau", -1.0), ("RURK", "lambda_f", -1.0), ("RURK", "lambda_a", -1.0), ("RURK", "v", 0),
    ("GD+RURK", "first", 3), ("SalUn", "share", 1.5), ("SCRUB", "max_epochs", 4),
    ("SSD", "alpha", math.nan), ("SSD", "dampening", -0.1), ("WoodFisher", "alpha", -1.0),
    ("WoodFisher", "damping", 0.0), ("WoodFisher", "samples", 0),
]  # fmt: skip


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
    *(
        (lambda rule=rule, bad=bad: rule(bad, 0.1, generator=tensors.generator(0)), words)
        for rule in (perturb.gaussian, partial(perturb.uniform, p=2))
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
    (
        lambda: registry.metric(a=("A", 1))(lambda model, retian: 0),
        "'retian' | did you mean 'retain'",
    ),
    # comparisons
    (lambda: noise_brittle(NET, KEPT, GONE, [REFERENCE], Measurement((0.0,))), "one above 0"),
    # edits of texts, by what a measurement asks before it draws
    *(
        (
            lambda name=name: PERTURBATIONS[name].check(X, 0.1, None),
            "(4, 1, 6, 6) | [n, dim, length] | gaussian",
        )
        for name in ("delete", "swap", "typo")
    ),
    (lambda: PERTURBATIONS["delete"].check(X[:, 0], 1.1, None), "tau = 1.1: expected"),
    # unlearning, whatever the method
    *((lambda m=m: unlearned(m, forget=KEPT), "2 of 2 forget samples are in") for m in METHODS),
    *((lambda m=m: unlearned(m, batch_siz=1), "'batch_siz'") for m in METHODS),
    *((lambda m=m, k=k, v=v: unlearned(m, **{k: v}), k) for m, k, v in VALUES),
    (lambda: unlearned("rukr"), "unknown method 'rukr': did you mean 'RURK' | GD"),
    (lambda: unlearned("GD+RURK", first={"tau": 0.1}), "hyper-parameter of GD | 'tau'"),
    (lambda: unlearned(retain=(X[:0], Y[:0])), "retain is empty"),
    (lambda: unlearned(forget=(X[:0], Y[:0])), "forget is empty"),
    (lambda: unlearned(forget=(broken(X)[:2], Y[:2])), "forget x: 1 of 2 samples hold NaN"),
    (lambda: unlearned(retain=(X * 255, Y)), "retain x spans | expected values in [0, 1]"),
    (lambda: unlearned("RURK", retain=(X * 255, Y)), "retain x spans"),
    (lambda: unlearned(retain=(torch.tensor(0.5), Y[:1])), "retain x has shape"),
    (lambda: unlearned(forget=(X[:2], Y[:2] + 3)), "expected labels in 0 ... 2"),
    (lambda: unlearned(forget=(X[:2], Y[:1])), "1 labels for 2 samples"),
    (lambda: unlearned(forget=(X[:2, :, :5], Y[:2])), "expected the same kind of sample"),
    (lambda: unlearned(forget=X), "expected a pair"),
    (
        lambda: unlearned(retain=(X[2:, ..., 1:], Y[2:]), forget=(X[:2, ..., 1:], Y[:2])),
        "can't be applied to a batch",
    ),
    (lambda: unlearned(model=NET.forward), "expected a torch.nn.Module"),
    (lambda: unlearned(model=nn.Sequential(NET, nn.Softmax(1))), "remove the softmax"),
    (lambda: unlearned("CF-k", owner()), "Sequential owns scale beside several layers"),
    (lambda: unlearned("EU-k", linear(Scale()), k=2), "Scale has no reset_parameters"),
    (lambda: unlearned("CR", frozen_head()), "the head is frozen"),
    (lambda: unlearned("CR", nn.Sequential(NET, nn.ReLU())), "output isn't that of its last"),
    (
        lambda: unlearned("GA", linear(nn.BatchNorm1d(8)), forget=(X[:1], Y[:1])),
        'batchnorm="frozen" one will do',
    ),
    # training and nets
    (lambda: trained(X[:0], Y[:0]), "expected a non-empty batch"),
    (lambda: trained(y=torch.arange(9)), "holds 9 labels for"),
    (lambda: trained(broken(X)), "hold NaN or infinity"),
    (lambda: trained(2 * X, adversarial=0.1), "x spans"),
    *(
        (lambda options=options: trained(**options), words)
        for words, options in (
            ("adversarial = -1", {"adversarial": -1.0}),
            ("warmup = -1", {"warmup": -1.0}),
            ("label_smoothing = 1.5", {"label_smoothing": 1.5}),
            ("unknown augment 'crop'", {"augment": "crop"}),
            ("schedule = 'linear'", {"schedule": "linear"}),
            ("epochs = 0", {"epochs": 0}),
            ("clip = -1", {"clip": -1.0}),
        )
    ),
    (
        lambda: trained(X.flatten(1), augment="flip"),
        "expected images (c, h, w), but samples have shape",
    ),
    (lambda: build("resnet-18", 3, 10, seed=0), "'resnet-18': did you mean 'resnet18'"),
    # data
    (lambda: iris(seed=-1), "seed = -1"),
    (lambda: iris(features=(0, 0)), "feature"),
    (lambda: iris(features=(4,)), "feature"),
    (lambda: data(x=torch.full((40, 1), 9.0)), "toy train x spans"),
    (lambda: data(test=(X, Y + 2)), "toy test y spans 2 ... 4"),
    (lambda: data(validation_size=40), "all 40 test samples"),
    (lambda: replace(SPLIT, forget=SPLIT.retain), "35 samples are in retain and in forget"),
    (lambda: replace(SPLIT, validation=SPLIT.test), "samples are in validation and in test"),
    (lambda: replace(SPLIT, held_out=SPLIT.validation), "held_out must be test samples"),
    (lambda: replace(SPLIT, retain=()), "retain is empty"),
    (lambda: request(forget_share=0.0), "forget is empty"),
    (lambda: request(forget_share=math.nan), "forget_share = nan"),
    (lambda: request(validation_share=1.0), "validation_share = 1"),
    (lambda: request(forget_class=4), "forget_class = 4: toy has classes 0 ... 3 (a, b, c, d)"),
    (lambda: request(forget_class=-2), "forget_class = -2"),
    (lambda: request(forget_order="odd"), "forget_order"),
    (lambda: hold_out_validation(data(), 0.0), "takes 0"),
    (lambda: hold_out_validation(data(), 1.5), "validation_of_train = 1.5"),
    (
        lambda: hold_out_validation(hold_out_validation(data(), 0.2), 0.2),
        "holds 8 samples out already",
    ),
    (lambda: subsample(data(), train=100), "train_images = 100: that is 25 samples of class 0 (a)"),
    (lambda: subsample(data(), test=3), "test_images = 3: that is 0 samples of class 3 (d)"),
    (lambda: subsample(data(), test=2.5), "test_images = 2.5"),
    (lambda: head_of_each_class(data(), name="p", train=11, test=1), "which has 10 there"),
]


@pytest.mark.parametrize(("call", "words"), ROWS, ids=[words for _, words in ROWS])
def test_what_can_not_be_used_is_refused_in_one_line(call, words):
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert [part for part in words.split(" | ") if part not in message] == [], message
