"""GD, GA, NegGrad+ and their kin: one step is a formula, and without its own term each is GD."""

import pytest
import torch
import torch.nn.functional as F

from rurklib import unlearn
from rurklib.unlearn import defaults


def loss_on(net, pair) -> float:
    with torch.no_grad():
        return F.cross_entropy(net(pair[0]), pair[1]).item()


def by_hand(w, x, y):
    """Gradient of the mean cross-entropy of z = W x: (softmax - onehot)^T x / n."""
    p = torch.softmax(x @ w.T, 1) - F.one_hot(y, len(w))
    return p.T @ x / len(x)


@pytest.mark.parametrize(
    "name", ["GD", "GA", "NegGrad+", "BoundaryShrink", "DELETE", "RandomLabels"]
)
def test_one_step_is_the_formula(name, flat_task):
    """A bias-free linear net, one batch, one epoch, no decay, no clip: w - lr * gradient, where
    the gradient is retain's (GD), minus forget's (GA), or their difference (NegGrad+). With two
    classes the wrong label is known: it is taught for the forget set alone (BoundaryShrink; DELETE,
    which has no class left but it) or beside retain, each sample alike (RandomLabels). Fails if a
    sign is flipped, a mean is a sum, or a method looks at the wrong set."""
    net, (xr, yr), (xf, yf) = flat_task
    w, lr, beta = net.weight.detach().clone(), 0.3, 0.4
    retained, forgotten, wrong = (by_hand(w, x, y) for x, y in ((xr, yr), (xf, yf), (xf, 1 - yf)))
    gradient = {
        "GD": retained,
        "GA": -forgotten,
        "NegGrad+": retained - beta * forgotten,
        "BoundaryShrink": wrong,
        "DELETE": wrong,
        "RandomLabels": (5 * retained + 4 * wrong) / 9,
    }[name]
    options = {"epochs": 1, "lr": lr, "weight_decay": 0.0}
    options |= {"clip": None} if "clip" in defaults(name) else {}
    options |= {"beta": beta} if name == "NegGrad+" else {}
    out = unlearn(name, net, (xr, yr), (xf, yf), **options)
    assert torch.allclose(out.weight, w - lr * gradient, atol=1e-12)


def test_ga_raises_the_forget_loss_step_by_step(task):
    losses = [
        loss_on(unlearn("GA", *task, lr=0.01, epochs=n, batchnorm="frozen"), task[2])
        for n in (1, 2, 4)
    ]
    assert loss_on(task[0], task[2]) < losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize("batchnorm", ["frozen", "train"])
@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("l1-sparse", {"gamma": 0.0}),
        ("NGD", {"sigma": 0.0}),
        ("CF-k", {"k": 2}),  # all layers
        ("NegGrad+", {"beta": 0.0, "clip": None}),
        ("RURK", {"lambda_f": 0.0, "lambda_a": 0.0, "clip": None}),
    ],
)
def test_without_what_sets_it_apart_it_is_gd_to_the_bit(name, without, batchnorm, task, same):
    """Fails with another loss, order of batches, BatchNorm mode or optimiser than GD's, or if a
    setting doesn't arrive."""
    if name in ("NegGrad+", "RURK") and batchnorm == "train":
        return  # the forget batches still pass through the net, and move its statistics
    options = {"epochs": 3, "lr": 0.05, "momentum": 0.5, "weight_decay": 0.01, "batch_size": 4}
    options |= {"seed": 7, "batchnorm": batchnorm}
    gd = unlearn("GD", *task, **options)
    assert same(unlearn(name, *task, **without, **options), gd)
    assert not same(gd, task[0])


FORGET_ALONE = ("BoundaryShrink", "DELETE", "GA", "JiT")
RETAIN_ALONE = ("CF-k", "EU-k", "Fisher", "GD", "NGD", "Retrain-quarter", "l1-sparse")


@pytest.mark.parametrize("name", [*FORGET_ALONE, *RETAIN_ALONE])
def test_the_other_set_is_never_seen(name, task, images, same):
    model, retain, forget = task
    options = {"lr": 0.1, "batch_size": 3, "epochs": 2} if "lr" in defaults(name) else {}
    before = unlearn(name, model, retain, forget, **options)
    if name in FORGET_ALONE:
        retain = images(10, seed=9)
    else:
        forget = images(4, seed=9)
    assert same(before, unlearn(name, model, retain, forget, **options))
    assert not same(before, model)


def test_clip_is_connected(task):
    for name in ("GA", "NegGrad+"):
        options = {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, "batchnorm": "frozen"}
        out = unlearn(name, *task, clip=1e-3, **options)
        pairs = zip(out.parameters(), task[0].parameters(), strict=True)
        length = torch.cat([(a - b).flatten() for a, b in pairs]).norm().item()
        assert 0 < length <= 0.1 * 1e-3 * 1.001, name
