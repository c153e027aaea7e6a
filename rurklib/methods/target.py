"""Where the margins of forget samples would be without them: targets for RURK-calibrated.

A target is a set of logit margins for each tau; a model is to have margins that are spread like
it. A model re-trained on the retain set isn't at hand, so they are estimated, in one of these ways:

    held-out     margins of held-out samples of the class under Original
    prior        the same plus log(n_retain / n_original) of the class: the shift of the logit of a
                 class that became rarer (Menon et al., "Long-Tail Learning via Logit Adjustment",
                 ICLR 2021)
    moving       held-out samples under the model that is being unlearned, measured anew each epoch
    equated      held-out samples, corrected by a stand-in; see below
    references   forget samples under models trained on the retain set for a few epochs each

What is wrong with ``held-out``: Original saw more of the class, so it knows held-out samples too
well, by more than the prior; and a few dozen held-out samples are easier or harder than the forget
samples by more than re-trained models differ.

``equated`` corrects for both. One stand-in (:mod:`rurklib.methods.stand_in`) is fitted to retain +
forget, as Original was, and one to the retain set. Held-out samples are new to Original and to the
first, so their margins under both tell how one scale reads on the other: equal means and standard
deviations (linear equating; Kolen & Brennan, "Test Equating, Scaling, and Linking", 2014). The
target is the second's margins on the forget samples, read on Original's scale. Regression instead
of equating would shrink every step, the more the worse the stand-in is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import check
from rurklib.check import as_float
from rurklib.guard import evaluating, generator, mixed
from rurklib.methods.contract import Pair
from rurklib.methods.last_layers import reset
from rurklib.methods.stand_in import Scores, drawn_anew, features, fitted
from rurklib.models.margin import logit_margin
from rurklib.perturb import gaussian
from rurklib.train import fit

Goal = Literal["equated", "held-out", "prior", "moving", "references"]

DRAWS = 8  # copies of a sample: a margin varies less over copies than over samples
MOST = 2000  # samples that a stand-in is fitted to: its time grows with the third power
PIECE = 500  # samples shown at once


class Copies(NamedTuple):
    """Perturbed copies at one tau: x [n, ...] float, y int64 [n]."""

    x: Tensor
    y: Tensor


def perturbed(
    pair: Pair, taus: Sequence[float], seed: int, bounds: check.Bounds = (0.0, 1.0)
) -> list[Copies]:
    """DRAWS Gaussian copies of each sample at each tau, one where tau is 0."""
    x, y = as_float(pair[0]), pair[1]
    found = []
    for tau in taus:
        streams = [generator(seed, 20, i, device=x.device) for i in range(DRAWS if tau > 0 else 1)]
        copies = [gaussian(x, tau, generator=g, bounds=bounds) for g in streams]
        found.append(Copies(torch.cat(copies), y.repeat(len(copies))))
    return found


def margins(model: nn.Module, copies: Sequence[Copies]) -> list[Tensor]:
    """Logit margins of the copies in eval mode, a float64 vector for each tau."""
    with torch.no_grad(), evaluating(model):
        return [
            logit_margin(torch.cat([model(piece) for piece in c.x.split(PIECE)]), c.y)
            for c in copies
        ]


def prior_shift(y: Tensor, retain: Tensor, forget: Tensor) -> Tensor:
    """log of the share of y's class that is retained, for each y. Half a sample is added to both
    counts, so that a class of which nothing is retained has a number.

    >>> kept, lost = torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0])
    >>> prior_shift(torch.tensor([0, 1]), kept, lost).exp()  # 2.5 / 5.5 and 1.5 / 1.5
    tensor([0.4545, 1.0000])
    """
    n = int(torch.cat([y, retain, forget]).max()) + 1
    kept, lost = (torch.bincount(labels, minlength=n) for labels in (retain, forget))
    return ((kept + 0.5) / (kept + lost + 0.5)).log()[y]


def equated(own: Tensor, other: Tensor, new: Tensor) -> Tensor:
    """``new`` on the scale of ``own``: the same samples have margins ``own`` under one model and
    ``other`` under a second, which gives further samples the margins ``new``.

    >>> equated(torch.tensor([2.0, 6.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5, -0.5]))
    tensor([4., 0.])
    """
    spread = float(other.std(unbiased=False))
    scale = float(own.std(unbiased=False)) / spread if spread > 0 else 0.0
    return own.mean() + scale * (new - other.mean())


def matched(found: Tensor, target: Tensor) -> Tensor:
    """How far margins ``found`` [n] are from being spread like ``target`` [m]: a scalar.

    The i-th smallest is compared with the target's quantile (i + 1/2) / n, from both sides:
    absolute differences, squared (and halved) where below one logit, averaged.
    """
    n = len(found)
    levels = (torch.arange(n, device=found.device, dtype=target.dtype) + 0.5) / n
    return F.smooth_l1_loss(found.sort().values, torch.quantile(target, levels).to(found.dtype))


def targets(
    goal: Goal,
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    held_out: Pair,
    *,
    taus: Sequence[float],
    seed: int,
    bounds: check.Bounds,
    nets: int,
    ridge: float,
    training: dict,
    references: int,
) -> list[Tensor]:
    """Margins that forget samples are to have, a float64 vector for each tau.

    ``model`` is Original (for "moving": the model as it is now). The random state of ``seed``
    decides the copies, the stand-in and the references, which are ``references`` nets trained by
    :func:`rurklib.train.fit` with ``training``.
    """
    ours, theirs = (perturbed(p, taus, seed, bounds) for p in (held_out, forget))
    if goal == "references":
        nets_ = [_reference(model, retain, mixed(seed, 22, i), training) for i in range(references)]
        return [torch.cat(m) for m in zip(*(margins(net, theirs) for net in nets_), strict=True)]
    own = margins(model, ours)
    if goal == "prior":
        return [m + prior_shift(c.y, retain[1], forget[1]) for m, c in zip(own, ours, strict=True)]
    if goal == "equated":
        before, after, anew = _stand_ins(model, retain, forget, nets=nets, ridge=ridge, seed=seed)
        return [
            equated(m, _margins(before, anew, a), _margins(after, anew, b))
            for m, a, b in zip(own, ours, theirs, strict=True)
        ]
    return own


def _reference(model: nn.Module, retain: Pair, seed: int, training: dict) -> nn.Module:
    """A net like ``model`` with weights drawn anew, trained on the retain set."""
    net = copy.deepcopy(model)
    reset([net], seed)
    return fit(net, *retain, seed=seed, **training)


def _stand_ins(
    model: nn.Module, retain: Pair, forget: Pair, *, nets: int, ridge: float, seed: int
) -> tuple[Scores, Scores, list[nn.Module]]:
    """What stands in for Original and for a re-trained model, and the nets under both."""
    x, y = (torch.cat(both) for both in zip(retain, forget, strict=True))
    order = torch.randperm(len(x), generator=generator(seed, 23)).to(x.device)[:MOST]
    kept = order[order < len(retain[0])]
    classes = check.logits(model, x, y)
    anew = drawn_anew(model, as_float(x[kept]), nets=nets, seed=seed)
    before, after = (fitted(anew, x[i], y[i], classes, ridge) for i in (order, kept))
    return before, after, anew


def _margins(scores: Scores, nets: Sequence[nn.Module], copies: Copies) -> Tensor:
    """Score of y less the highest other score, [n]: a ridge's scores are no logits."""
    given = scores(features(nets, copies.x))
    own = given.gather(1, copies.y[:, None])
    return (own - given.scatter(1, copies.y[:, None], -torch.inf).amax(1, keepdim=True))[:, 0]
