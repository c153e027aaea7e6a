"""Where the margins of forget samples would be without them: targets for RURK-calibrated.

A target is a set of logit margins for each tau; a model is to have margins that are spread like
it. A model re-trained on the retain set isn't at hand, so they are estimated, in one of these ways:

    references   forget samples under a few nets trained on the retain set for a few epochs
    held-out     held-out samples of the class under Original
    prior        the same plus log(n_retain / n_original) of the class: the shift of the log-odds of
                 a class that became rarer (Menon et al., "Long-Tail Learning via Logit
                 Adjustment", ICLR 2021)
    moving       held-out samples under the model that is being unlearned, measured anew each epoch

What is wrong with held-out samples: Original saw more of the class than a re-trained model does, so
it knows them too well, by more than the prior's shift; a model that is fine-tuned keeps that
knowledge, so the moving target has it too. And a few dozen samples are easier or harder than the
forget samples by more than re-trained models differ from each other. References have neither fault,
and cost ``references * epochs`` epochs of re-training; stopped early they are less sure than
re-trained models, so a target from few epochs is too low.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import check
from rurklib.check import as_float
from rurklib.guard import evaluating, generator, mixed
from rurklib.methods.contract import Pair
from rurklib.methods.last_layers import reset
from rurklib.models.margin import logit_margin
from rurklib.perturb import gaussian
from rurklib.train import fit

Goal = Literal["references", "held-out", "prior", "moving"]

DRAWS = 4  # copies of a sample: a margin varies less over copies than over samples
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


def matched(found: Tensor, target: Tensor) -> Tensor:
    """How far margins ``found`` [n] are from being spread like ``target`` [m]: a scalar.

    The i-th smallest is compared with the target's quantile (i - 1/2) / n, from both sides:
    absolute differences, squared (and halved) where below one logit, averaged. The k-th smallest of
    the target is its quantile (k - 1/2) / m (Hazen), so equal sets are at distance 0.
    """
    n, m = len(found), len(target)
    level = (torch.arange(n, device=found.device, dtype=target.dtype) + 0.5) / n
    place = (level * m - 0.5).clamp(0, m - 1)
    below, ordered = place.long(), target.sort().values
    above = (below + 1).clamp(max=m - 1)
    goal = torch.lerp(ordered[below], ordered[above], place - below)
    return F.smooth_l1_loss(found.sort().values, goal.to(found.dtype))


def estimated(
    goal: Goal,
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    held_out: Pair | None,
    *,
    taus: Sequence[float],
    seed: int,
    references: int,
    training: Mapping[str, Any],
    bounds: check.Bounds = (0.0, 1.0),
) -> list[Tensor]:
    """Margins that forget samples are to have, a float64 vector for each tau.

    ``model`` is Original (for "moving": the model as it is now). ``seed`` decides the copies and
    the ``references`` nets, which :func:`rurklib.train.fit` trains with ``training``. Raises
    InputError, before any work, if the goal needs held-out samples and there are none, or if the
    model can't be initialised again.
    """
    if goal == "references":
        theirs = perturbed(forget, taus, seed, bounds)
        seeds = [mixed(seed, 22, i) for i in range(references)]
        nets = [_reference(model, retain, s, training) for s in seeds]
        return [torch.cat(m) for m in zip(*(margins(net, theirs) for net in nets), strict=True)]
    if held_out is None:
        raise check.InputError(
            f"held_out is missing: goal {goal!r} needs samples of the forgotten classes that "
            'nobody trained on, held_out=(x, y); goal "references" does without'
        )
    ours = perturbed(held_out, taus, seed, bounds)
    own = margins(model, ours)
    if goal == "prior":
        own = [m + prior_shift(c.y, retain[1], forget[1]) for m, c in zip(own, ours, strict=True)]
    return own


def _reference(model: nn.Module, retain: Pair, seed: int, training: Mapping[str, Any]) -> nn.Module:
    """A net like ``model`` with weights drawn anew, trained on the retain set."""
    net = copy.deepcopy(model)
    reset([net], seed)
    return fit(net, *retain, seed=seed, **training)


def kin_margins(
    model: nn.Module,
    kin: Pair,
    retain: Pair,
    forget: Pair,
    *,
    taus: Sequence[float],
    seed: int,
    bounds: check.Bounds = (0.0, 1.0),
) -> list[Tensor]:
    """Margins that retained samples of the forgotten classes, ``kin``, are to have, a float64
    vector for each tau: Original's, less what their class's smaller share takes."""
    copies = perturbed(kin, taus, seed, bounds) if len(kin[0]) else []
    own = margins(model, copies)
    return [m + prior_shift(c.y, retain[1], forget[1]) for m, c in zip(own, copies, strict=True)]
