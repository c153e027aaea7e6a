"""RURK: robust unlearning that suppresses residual knowledge.

Reference: Hsu et al., "The Unseen Threat: Residual Knowledge in Machine Unlearning under Perturbed
Samples", NeurIPS 2025 (arXiv 2601.22359), Eq. 6 and Algorithm 1.

Residual knowledge (Eq. 4): near a forget sample (x, y) the unlearned model still answers y more
often than a re-trained model does. RURK starts from Original, trains on the retain set, and raises
the loss of y on the forget samples and on perturbed copies x' of them.

Algorithm 1, with l the cross-entropy and L its mean over a batch::

    3      w <- Original
    4, 5   in each of N epochs, for each batch S_r of the retain set:
    8          take the next batch S_f of the forget set
    11-14      V <- v perturbed copies x' of each sample (x, y) of S_f, within tau
    17         Loss <- L(w, S_r) - lambda_f * L(w, S_f) - lambda_a * mean of l(w, (x', y)) over V
    18         w <- a step of SGD that lowers Loss

:func:`rurk_loss` is lines 6 to 17, :func:`rurk` the loop. The paper's variants, and the values that
give them::

    Algorithm 1: two lambdas                      lambda_f, lambda_a
    Eq. 6: one lambda, no clean forget term       lambda_f=0, lambda_a=lambda
    V = B(x, tau): the whole ball (B.2)           recognised_only=False
    V = {x' in B(x, tau) : m(x') = y}             recognised_only=True
    v Gaussian copies (B.2)                       perturbation="gaussian", v
    copies that minimise l(w, (x', y)) (sec. 4)   perturbation="fgsm" or "pgd"
    copies taught a wrong label y' (B.4)          perturbation="fgsm" or "pgd", target="random"

Notes on this implementation: Algorithm 1 prints ``w + grad Loss``; descent is meant. With the label
condition v copies are drawn, and those that the net being updated (in eval mode) doesn't recognise
are dropped. As in Eq. 6 the mean is over the members of each sample's V first, then over samples: a
sample with none contributes 0.

B.4 says, in short: pick a random y' != y, solve max_z l(w, (z, y')), and flip the regulariser's
sign, to encourage the label y' near forget samples. Here each copy at each step draws its own y';
FGSM or PGD moves x' away from y'; the last term of line 17 becomes  + lambda_a * mean of
l(w, (x', y')) over V. The clean forget term keeps its sign. m(x') = y stays a condition on the true
label.

What the paper doesn't say is how BatchNorm is treated: in train mode a batch of forget samples
alone is normalised by its own statistics, not those that the model is used with. The default here
is ``batchnorm="frozen"``; on digits, with settings tuned for it, "train" over-forgets (notebooks 2
and 95). B.2's cap of 200 iterations, which would end within its first epoch, isn't followed.

The defaults are the paper's, but for lambda_a, which is 0.00045 on CIFAR-10. tau is in units of the
input (Gaussian copies have it as their standard deviation and fill no ball). The subtracted losses
have no bound: few epochs, and ``clip``, the largest norm of a step's gradient, keep them from
running away.
"""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import AfterValidator
from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb import PERTURBATIONS
from rurklib.tensors import Bounds, Pair, evaluating, generator
from rurklib.train import SGD, Batch, Count, NotNegative
from rurklib.unlearn.contract import EVERY_METHODS, METHODS, SEARCH, Method, check, method, unlearn
from rurklib.unlearn.distillation import scrub
from rurklib.unlearn.fine_tuning import descend_in_pairs, gd, ngd, wrong_labels
from rurklib.unlearn.fisher import ssd

Target = Literal["true", "random"]
Name = Annotated[str, AfterValidator(partial(checks.one_of, "perturbation", allowed=PERTURBATIONS))]


class RurkLoss(NamedTuple):
    """The terms of the RURK loss, each a scalar; ``total`` is what is minimised."""

    total: Tensor
    retain: Tensor
    forget: Tensor
    perturbed: Tensor


def rurk_loss(
    model: nn.Module,
    retain: Batch,
    forget: Batch,
    *,
    tau: float = 0.03,
    lambda_f: float = 0.03,
    lambda_a: float = 0.03,
    v: int = 1,
    perturbation: str = "gaussian",
    recognised_only: bool = False,
    target: Target = "true",
    generator: torch.Generator,
    bounds: Bounds = (0.0, 1.0),
) -> RurkLoss:
    """total = retain - lambda_f * forget - lambda_a * perturbed (Algorithm 1, line 17).

    ``retain`` and ``forget`` are batches (x [n, ...] float inside ``bounds``, y int64 [n]); losses
    are mean cross-entropies, ``perturbed`` the mean over samples of kappa in Eq. 6. With
    ``target="random"`` it is that of wrong labels and enters with + lambda_a (B.4). The terms use
    the model in its mode, copies are found in eval mode. Raises InputError for other values.
    """
    check("RURK", {"tau": tau, "lambda_f": lambda_f, "lambda_a": lambda_a, "v": v})
    check("RURK", {"perturbation": perturbation, "target": target})
    (x_r, y_r), (x_f, y_f) = retain, forget
    if target == "random" and PERTURBATIONS[perturbation].gradient_based:
        perturbation += "-untargeted"  # away from a wrong label (B.4)
        checks.one_of("perturbation for target 'random'", perturbation, PERTURBATIONS)
    copies, taught, members = [], [], []
    with torch.no_grad(), evaluating(model):  # x' is data: no gradient through how it was found
        for _ in range(v):  # lines 11 to 14
            y = y_f
            if target == "random":
                y = wrong_labels(y_f, model(x_f[:1]).shape[1], generator)
            x = PERTURBATIONS[perturbation].sample(model, x_f, y, tau, [generator], bounds)
            copies.append(x)
            taught.append(y)
            members.append(model(x).argmax(1) == y_f if recognised_only else y_f >= 0)
    loss_r = F.cross_entropy(model(x_r), y_r)
    loss_f = F.cross_entropy(model(x_f), y_f)
    each = F.cross_entropy(model(torch.cat(copies)), torch.cat(taught), reduction="none")
    member = torch.stack(members).to(each.dtype)  # [v, n]: 1 where x' is in V, else 0
    kappa = (member * each.view_as(member)).sum(0) / member.sum(0).clamp(min=1)  # Eq. 6, [n]
    loss_a = kappa.mean()
    sign = -1 if target == "random" else 1  # B.4 flips it
    total = loss_r - lambda_f * loss_f - sign * lambda_a * loss_a  # line 17
    return RurkLoss(total, loss_r, loss_f, loss_a)


@method(
    "RURK",
    sgd=SGD(epochs=2, weight_decay=5e-4, clip=1.0, batchnorm="frozen"),
    search={
        "tau": (0.02, 0.2),
        "lambda_f": (0.03, 0.3),
        "lambda_a": (0.03, 0.3),
        "lr": (0.01, 0.1),
        "clip": (0.05, 0.5),
        "momentum": [0.0],  # with 0.9 the outcome depends on Original's seed
        "epochs": (2, 5),
    },
)
def rurk(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    tau: NotNegative = 0.03,
    lambda_f: NotNegative = 0.03,
    lambda_a: NotNegative = 0.03,
    v: Count = 1,
    perturbation: Name = "gaussian",
    recognised_only: bool = False,
    target: Target = "true",
    sgd: SGD,
    bounds: Bounds = (0.0, 1.0),
) -> nn.Module:
    """Fine-tune ``model``, which ``@method`` has copied, with :func:`rurk_loss` (Algorithm 1)."""
    noise = generator(seed, 3, device=retain[0].device)
    options: dict[str, Any] = {"tau": tau, "lambda_f": lambda_f, "lambda_a": lambda_a, "v": v}
    options |= {"perturbation": perturbation, "target": target, "bounds": bounds}
    options |= {"recognised_only": recognised_only, "generator": noise}

    def loss(retained: Batch, forgotten: Batch) -> Tensor:
        return rurk_loss(model, retained, forgotten, **options).total

    return descend_in_pairs(model, loss, retain, forget, seed=seed, sgd=sgd)


def then_rurk(
    model: nn.Module,
    method: str,
    retain: Pair,
    forget: Pair,
    *,
    first: Mapping[str, Any] | None = None,
    **values: Any,
) -> nn.Module:
    """Unlearn by ``method``, a name in ``METHODS``, then by RURK: is residual knowledge that
    another method left taken away too? ``first`` are the first method's hyper-parameters, such as
    ``{"lr": 0.1}``; all others are RURK's. Nothing of the first but its weights (and running
    statistics) goes on to RURK. Raises InputError as both methods do."""
    check("RURK", values)  # before any work
    shared = {key: values[key] for key in EVERY_METHODS if key in values}
    start = unlearn(method, model, retain, forget, **shared, **(first or {}))
    return rurk(start, retain, forget, **values)


def _row(name: str) -> None:
    """NAME+RURK in ``METHODS``, a row of the studies' tables."""

    def both(model: nn.Module, retain: Pair, forget: Pair, **values: Any) -> nn.Module:
        return then_rurk(model, name, retain, forget, **values)

    own = inspect.signature(then_rurk).parameters["first"]
    parameters = [*inspect.signature(rurk).parameters.values(), own]
    both.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    both.__doc__ = f"{name}, then RURK: :func:`then_rurk`."
    METHODS[f"{name}+RURK"], SEARCH[f"{name}+RURK"] = both, SEARCH["RURK"]


# Imported, not looked up: the keys of stored models follow imports.
FIRST: dict[str, Method] = {"GD": gd, "NGD": ngd, "SCRUB": scrub, "SSD": ssd}
for _name in FIRST:
    _row(_name)
