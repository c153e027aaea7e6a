"""Where the margins of forget samples would be without them: targets for RURK-calibrated.

A target is a set of logit margins for each tau; a model is to have margins that are spread like
it. A model re-trained on the retain set isn't at hand, so they are estimated, in one of these ways:

    linked       forget samples under a net trained on the retain set for a few epochs, read on
                 Original's scale; see below
    references   the same, not read on another scale
    held-out     held-out samples of the forgotten classes under Original
    prior        the same plus log(n_retain / n_original) of the class: the shift of the log-odds of
                 a class that became rarer (Menon et al., "Long-Tail Learning via Logit
                 Adjustment", ICLR 2021)
    moving       held-out samples under the model that is being unlearned, measured anew each epoch

What is wrong with held-out samples of the class: Original saw more of it than a re-trained model
does, so it knows them too well, by more than the prior's shift; a model that is fine-tuned keeps
that knowledge, so the moving target has it too. And a few dozen samples are easier or harder than
the forget samples by more than re-trained models differ from each other. A short reference has
neither fault, but it is less sure of everything than a model that was trained to the end.

Linked: held-out samples of the *other* classes are new to Original and to the short reference, and
forgetting hardly changes what a model makes of them. So how margins on them differ between the two
is what training to the end does. The reference's margins on forget samples are moved and stretched
as makes means and standard deviations on those samples equal (linear equating; Kolen & Brennan,
"Test Equating, Scaling, and Linking", 2014).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks, samples
from rurklib.data.rows import taken
from rurklib.model_state import evaluating
from rurklib.models.logits import logit_margin
from rurklib.perturb.noise import gaussian
from rurklib.rng import generator, mixed_seed
from rurklib.samples import as_float
from rurklib.train.fit import fit
from rurklib.unlearn.contract import Pair
from rurklib.unlearn.last_layers import reset

Goal = Literal["linked", "references", "held-out", "prior", "moving"]


DRAWS = 2  # copies of a sample: a margin varies less over copies than over samples


PIECE = 500  # samples shown at once


class Copies(NamedTuple):
    """Perturbed copies at one tau: x [n, ...] float, y int64 [n]."""

    x: Tensor
    y: Tensor


def perturbed(
    pair: Pair, taus: Sequence[float], seed: int, bounds: samples.Bounds = (0.0, 1.0)
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
    scale = float(own.std(unbiased=False)) / spread if spread > 0 else 1.0
    return own.mean() + scale * (new - other.mean())


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
    bounds: samples.Bounds = (0.0, 1.0),
) -> list[Tensor]:
    """Margins that forget samples are to have, a float64 vector for each tau.

    ``model`` is Original (for "moving": the model as it is now). ``seed`` decides the copies and
    the ``references`` nets, which :func:`rurklib.train.fit` trains with ``training``. Raises
    InputError, before any work, if the goal needs held-out samples and there are none, or if the
    model can't be initialised again.
    """
    ours = None
    if goal != "references":
        own_classes = goal != "linked"
        ours = perturbed(_of(goal, held_out, forget[1], own_classes), taus, seed, bounds)
        own = margins(model, ours)
    if goal not in ("linked", "references"):
        assert ours is not None
        if goal == "prior":
            shifts = [prior_shift(c.y, retain[1], forget[1]) for c in ours]
            own = [m + shift for m, shift in zip(own, shifts, strict=True)]
        return own
    theirs = perturbed(forget, taus, seed, bounds)
    found = []
    for i in range(references):
        net = _reference(model, retain, mixed_seed(seed, 22, i), training)
        new = margins(net, theirs)
        if ours is not None:
            other = margins(net, ours)
            new = [equated(*three) for three in zip(own, other, new, strict=True)]
        found.append(new)
    return [torch.cat(each) for each in zip(*found, strict=True)]


def _of(goal: str, held_out: Pair | None, forgotten: Tensor, own: bool) -> Pair:
    """The held-out samples of the forgotten classes, or of all the others."""
    which = "the forgotten classes" if own else "classes that aren't forgotten"
    mend = 'give held_out=(x, y), or choose goal "references", which does without'
    if held_out is None:
        raise checks.InputError(
            f"held_out is missing: goal {goal!r} needs samples of {which} that nobody trained on; "
            + mend
        )
    at = torch.isin(held_out[1], forgotten.unique()) == own
    if not bool(at.any()):
        raise checks.InputError(
            f"held_out has no sample of {which}: goal {goal!r} needs some; {mend}"
        )
    return taken(held_out[0], at), held_out[1][at]


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
    bounds: samples.Bounds = (0.0, 1.0),
) -> list[Tensor]:
    """Margins that retained samples of the forgotten classes, ``kin``, are to have, a float64
    vector for each tau: Original's, less what their class's smaller share takes."""
    copies = perturbed(kin, taus, seed, bounds) if len(kin[0]) else []
    own = margins(model, copies)
    return [m + prior_shift(c.y, retain[1], forget[1]) for m, c in zip(own, copies, strict=True)]
