"""GD, NGD, GA, NegGrad+, l1-sparse and RandomLabels: each against a plain loop, or by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib import unlearn
from rurklib.tensors import generator
from rurklib.unlearn import defaults, fine_tuning
from rurklib.unlearn.fine_tuning import ngd, noise_term, wrong_labels


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


def blank(inputs: int, seed: int = 0) -> tuple[nn.Module, tuple, tuple]:
    """A linear model on inputs that are all 0: its weight has no gradient but the noise."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 20))
    y = torch.arange(6)
    return net, (torch.zeros(6, inputs), y), (torch.ones(6, inputs), y)


def test_the_noise_term_has_the_gradient_sigma_xi() -> None:
    """Catches sigma squared or left out, one number for a whole tensor, and a reused draw."""
    weights = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(5))]
    xi = generator(7)
    drawn = [torch.randn(w.shape, generator=xi) for w in weights + weights]
    stream = generator(7)
    for step in range(2):
        grads = torch.autograd.grad(noise_term(weights, 0.3, stream), weights)
        for grad, draw in zip(grads, drawn[2 * step : 2 * step + 2], strict=True):
            torch.testing.assert_close(grad, 0.3 * draw)


def test_weights_without_a_gradient_walk_at_random_with_the_right_variance() -> None:
    """w_T - w_0 = sum over steps of -eta_t sigma xi_t: variance sigma^2 sum eta_t^2. Catches noise
    drawn once for all steps (variance sigma^2 (sum eta_t)^2), or not scaled by eta or sigma."""
    net, retain, forget = blank(500)
    sigma, lr, steps = 0.03, 0.1, 8
    after = ngd(net, retain, forget, sigma=sigma, lr=lr, epochs=steps, weight_decay=0.0)
    walk = (after[1].weight - net[1].weight).detach()  # 10,000 weights: the sd is known to 1%
    etas = [lr / 2 * (1 + math.cos(math.pi * t / steps)) for t in range(steps)]
    expected = sigma * math.sqrt(sum(eta**2 for eta in etas))
    assert abs(float(walk.std()) / expected - 1) < 0.04
    assert abs(float(walk.mean())) < 4 * expected / 100


def test_the_seed_decides_the_noise() -> None:
    """On inputs without a gradient, so that no order of batches plays a part."""
    net, retain, forget = blank(50)
    first, other = (ngd(net, retain, forget, seed=s, epochs=2)[1].weight for s in (5, 6))
    assert not torch.allclose(first, other, atol=1e-4)


def test_two_steps_by_hand(rng):
    """w <- w - eta (g + gamma_t sign(w)): gamma falls to half at the second of two steps, eta to
    half by the cosine. Fails if the penalty is a mean, squared, constant, or of one layer."""
    net = nn.Linear(3, 2).double()
    x = torch.rand(9, 3, generator=rng(0), dtype=torch.float64)
    y = torch.arange(9) % 2
    retain = (x[:5], y[:5])
    lr, gamma = 0.3, 0.07
    out = unlearn(
        "l1-sparse", net, retain, (x[5:], y[5:]),
        gamma=gamma, epochs=2, lr=lr, momentum=0.0, weight_decay=0.0,
    )  # fmt: skip
    w, b = net.weight.detach().clone(), net.bias.detach().clone()
    for t in (0, 1):
        eta = lr / 2 * (1 + math.cos(math.pi * t / 2))
        p = (torch.softmax(retain[0] @ w.T + b, 1) - F.one_hot(retain[1], 2)) / 5
        now = gamma * (1 - t / 2)
        w, b = (
            w - eta * (p.T @ retain[0] + now * w.sign()),
            b - eta * (p.sum(0) + now * b.sign()),
        )
    assert torch.allclose(out.weight, w, atol=1e-12)
    assert torch.allclose(out.bias, b, atol=1e-12)


def test_a_wrong_label_is_never_the_true_one_and_each_other_is_as_likely(rng):
    """12,000 draws for each of four labels: a share of 1/3 has a standard error of 0.0043.
    Fails if the true label is among them, one is left out, or the label's neighbour is likelier."""
    y = torch.arange(4).repeat(12_000)
    drawn = wrong_labels(y, 4, rng(0))
    table = torch.zeros(4, 4)
    table.index_put_((y, drawn), torch.ones(len(y)), accumulate=True)
    share = table / 12_000
    assert share.diagonal().tolist() == [0, 0, 0, 0]
    assert (share[~torch.eye(4, dtype=torch.bool)] - 1 / 3).abs().max() < 4 * 0.0043


def test_with_two_classes_the_wrong_label_is_known(rng):
    y = torch.tensor([0, 1, 1])
    assert wrong_labels(y, 2, rng(0)).tolist() == [1, 0, 0]


def test_it_is_gd_on_a_data_set_that_is_relabelled_once(task, images, monkeypatch, same):
    """To the bit, over several epochs. Fails if labels are drawn anew in each."""
    (model, retain, forget), seen = task, []
    original = fine_tuning.wrong_labels

    def spy(*args):
        seen.append(original(*args))
        return seen[-1]

    monkeypatch.setattr(fine_tuning, "wrong_labels", spy)
    options = {"epochs": 4, "lr": 0.05, "weight_decay": 5e-4, "batch_size": 4, "seed": 3}
    got = unlearn("RandomLabels", model, retain, forget, **options)
    (drawn,) = seen
    union = (torch.cat([retain[0], forget[0]]), torch.cat([retain[1], drawn]))
    assert same(got, unlearn("GD", model, union, images(4, seed=9), **options))
