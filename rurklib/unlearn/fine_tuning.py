"""Fine-tuning from Original by SGD: GD, NGD, GA, NegGrad+, l1-sparse and RandomLabels.

``epochs`` are passes over the retain set; GA's are over the forget set, which is all that it sees.
Defaults are those of Hsu et al. (tables of B.2 and B.3), where a method doesn't say otherwise.
"""

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.train import SGD, Batch, NotNegative, cycled
from rurklib.unlearn.contract import method

Loss = Callable[..., Tensor]


def descend(model: nn.Module, loss: Loss, data: Pair, *, seed: int, sgd: SGD) -> nn.Module:
    """Minimise ``loss(x, y)`` over batches of ``data`` by SGD, in place."""
    batches = sgd.batches(data, generator(seed, 1))
    return sgd.minimise(model, loss, batches, steps=sgd.steps(len(data[0])))


def descend_in_pairs(
    model: nn.Module, loss: Loss, retain: Pair, forget: Pair, *, seed: int, sgd: SGD
) -> nn.Module:
    """Minimise ``loss(retained, forgotten)`` by SGD, in place: for each batch of the retain set the
    next one of the forget set, which starts over (reshuffled) when used up."""
    retained = sgd.batches(retain, generator(seed, 1))
    forgotten = cycled(*forget, size=sgd.batch_size, generator=generator(seed, 2))
    data = zip(retained, forgotten, strict=False)
    return sgd.minimise(model, loss, data, steps=sgd.steps(len(retain[0])))


def wrong_labels(y: Tensor, classes: int, generator: torch.Generator) -> Tensor:
    """A label other than ``y`` in 0 ... ``classes`` - 1 for each sample, all wrong labels equally
    likely. ``y`` is int64 [n]; ``generator`` is on its device. Raises InputError for one class."""
    if classes < 2:
        raise checks.InputError(f"{classes} output: expected two classes at least, to be wrong in")
    shift = torch.randint(1, classes, y.shape, generator=generator, device=y.device)
    return (y + shift) % classes


@method("GD", sgd=SGD(), search={"lr": (1e-3, 0.1), "epochs": (1, 20)})
def gd(model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sgd: SGD) -> nn.Module:
    """GD: keep training on the retain set and hope that the rest fades.

    Reference: Neel, Roth & Sharifi-Malvajerdi, "Descent-to-Delete", ALT 2021.

    Algorithm: minimise  L(w, S_r)  by SGD.
    """
    return sgd.fine_tune(model, retain, seed=seed)


@method(
    "NGD",
    sgd=SGD(lr=0.1, momentum=0.0),
    search={"lr": (1e-2, 0.5), "sigma": (1e-3, 0.3), "epochs": (1, 20)},
)
def ngd(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sigma: NotNegative = 0.03, sgd: SGD
) -> nn.Module:
    """NGD: keep training on the retain set with Gaussian noise in every gradient.

    Reference: Chourasia & Shah, "Forget Unlearning: Towards True Data-Deletion in Machine
    Learning", ICML 2023; Chien et al., "Langevin Unlearning", NeurIPS 2024.

    Algorithm:
        1. at every step draw xi ~ N(0, sigma^2 I), one number for each weight
        2. w <- w - eta (g + xi)  with g the gradient of L(w, S_r)

    Notes on this implementation: momentum is 0, as the update is printed. Hsu et al. and this scale
    the noise as eta sigma xi, the Langevin code as sqrt(2 eta) sigma xi.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    noise = generator(seed, 3, device=weights[0].device)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        """The loss + sigma <xi, w>, whose gradient is the loss's + sigma xi."""
        total = torch.zeros((), device=x.device)
        for w in weights:
            xi = torch.randn(w.shape, generator=noise, device=w.device, dtype=w.dtype)
            total = total + sigma * (xi * w).sum()
        return F.cross_entropy(model(x), y) + total

    return descend(model, loss, retain, seed=seed, sgd=sgd)


@method("GA", sgd=SGD(epochs=1, lr=1e-5, clip=1.0), search={"lr": (1e-5, 1e-2), "epochs": (1, 10)})
def ga(model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sgd: SGD) -> nn.Module:
    """GA: climb the loss of the forget set.

    Reference: Graves, Nagisetty & Ganesh, "Amnesiac Machine Learning", AAAI 2021; Jang et al.,
    "Knowledge Unlearning", ACL 2023.

    Algorithm: minimise  -L(w, S_f)  by SGD.

    Notes on this implementation: so cited by Hsu et al. (Graves et al. subtract logged updates).
    Nothing holds the retain set, so a few steps too many destroy the model. With
    ``batchnorm="train"`` running statistics drift to those of one class, and at Hsu et al.'s rate
    that is all that happens on CIFAR-10.
    """
    return descend(model, lambda x, y: -F.cross_entropy(model(x), y), forget, seed=seed, sgd=sgd)


@method(
    "NegGrad+",
    sgd=SGD(epochs=1, clip=1.0),
    search={"lr": (1e-3, 0.1), "beta": (1e-3, 0.3), "clip": (0.1, 1.0), "epochs": (1, 10)},
)
def neggrad_plus(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, beta: NotNegative = 0.001, sgd: SGD
) -> nn.Module:
    """NegGrad+: descend on the retain set while climbing on the forget set.

    Reference: Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023 (sec. 5).

    Algorithm: minimise  L(w, S_r) - beta * L(w, S_f)  by SGD with a clipped gradient.

    Notes on this implementation: Hsu et al.'s form, RURK without its perturbed term. Kurmanji et
    al.'s beta weighs the retain term: (1 - beta) / beta of theirs is this beta, beta * lr this lr.
    """

    def loss(retained: Batch, forgotten: Batch) -> Tensor:
        (xr, yr), (xf, yf) = retained, forgotten
        return F.cross_entropy(model(xr), yr) - beta * F.cross_entropy(model(xf), yf)

    return descend_in_pairs(model, loss, retain, forget, seed=seed, sgd=sgd)


@method(
    "l1-sparse",
    sgd=SGD(weight_decay=5e-4),
    search={"gamma": (1e-5, 1e-2), "lr": (1e-3, 0.1), "epochs": (1, 20)},
)
def l1_sparse(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, gamma: NotNegative = 5e-4, sgd: SGD
) -> nn.Module:
    """l1-sparse: keep training on the retain set while small weights are driven to zero.

    Reference: Jia et al., "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023 (Eq. 3).

    Algorithm: minimise  L(w, S_r) + gamma_t * ||w||_1  by SGD, where gamma_t falls in a straight
    line from gamma at the first step to 0 after the last.

    Notes on this implementation: in the official code gamma falls by epochs. The norm is over every
    weight that learns, as there. Tune gamma (0.2 there).
    """
    steps, step = sgd.steps(len(retain[0])), itertools.count()

    def loss(x: Tensor, y: Tensor) -> Tensor:
        penalty = torch.stack([p.abs().sum() for p in model.parameters()]).sum()
        return F.cross_entropy(model(x), y) + gamma * (1 - next(step) / steps) * penalty

    return descend(model, loss, retain, seed=seed, sgd=sgd)


@method("RandomLabels", sgd=SGD(weight_decay=5e-4), search={"lr": (1e-4, 0.1), "epochs": (1, 20)})
def random_labels(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sgd: SGD
) -> nn.Module:
    """RandomLabels: keep training on everything, with wrong labels on the forget set.

    Reference: Golatkar, Achille & Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020 (a
    baseline); Graves, Nagisetty & Ganesh, "Amnesiac Machine Learning", AAAI 2021 ("unlearning").

    Algorithm:
        1. each forget sample is given one of the wrong labels, all alike, and keeps it
        2. minimise the loss of retain and relabelled forget set together by SGD

    Notes on this implementation: a label is drawn once, as Graves et al. relabel their data set;
    SalUn draws anew in each pass. The defaults are those of later papers' baselines.
    """
    classes = checks.logits(model, *retain)
    drawn = wrong_labels(forget[1], classes, generator(seed, 3, device=forget[1].device))
    data = torch.cat([retain[0], forget[0]]), torch.cat([retain[1], drawn])
    return sgd.fine_tune(model, data, seed=seed)
