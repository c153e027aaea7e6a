"""Is a model robust, or does it merely hide its gradients?

The checks of Athalye et al. (ICML 2018) and Carlini et al., "On Evaluating Adversarial Robustness"
(2019): a search by gradient that more steps don't help, that copies found on another model beat, or
that beats random search at nothing, has failed, and says nothing about robustness.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rurklib.attacks.search import random_search
from rurklib.model_state import evaluating
from rurklib.models.logits import logit_margin
from rurklib.perturb.gradient import ascent, pgd
from rurklib.rng import generator
from rurklib.samples import Bounds, as_float

STEPS = (0, 1, 2, 5, 10, 20)
# A field of Masking, in words, and the share above which it speaks for hidden gradients.
SIGNS = {
    "flat": ("no gradient", 0.1),
    "transfer": ("a transfer is better", 0.25),
    "blind": ("random search is better", 0.25),
    "far": ("recognised far away", 0.1),
}


class Masking(NamedTuple):
    """``margins`` [step]: mean logit margin of y after PGD away from it with so many steps. Shares
    of samples in [0, 1]: ``flat``, without any gradient; ``transfer``, on which copies found on
    another model are worse for the model than those found on itself; ``blind``, on which random
    search with scores alone is; ``far``, still recognised after a search in five times the radius.
    ``signs``: what speaks for hidden gradients, in words; empty: nothing does.
    """

    steps: tuple[int, ...]
    margins: tuple[float, ...]
    flat: float
    transfer: float
    blind: float
    far: float
    signs: tuple[str, ...]


def masking(
    model: nn.Module,
    others: Mapping[str, nn.Module],
    x: Tensor,
    y: Tensor,
    tau: float,
    *,
    steps: Sequence[int] = STEPS,
    queries: int = 100,
    seed: int = 0,
    bounds: Bounds = (0.0, 1.0),
) -> Masking:
    """Run the checks in the L-inf ball of radius ``tau``; ``others`` are models to transfer from.

    A sign is: the mean margin rises by more than a hundredth of its whole fall from one number of
    steps to a larger one; more than a tenth of the samples without gradient; more than a quarter on
    which a transfer or random search is better; more than a tenth still recognised far away.
    """
    x, counts = as_float(x), tuple(sorted(set(steps)))

    def margin(copies: Tensor) -> Tensor:
        with torch.inference_mode():
            return logit_margin(model(copies), y)

    def searched(on: nn.Module, radius: float, k: int) -> Tensor:
        # From the sample itself: chance would hide a small rise.
        return pgd(on, x, y, radius, steps=k, random_start=False, bounds=bounds) if k else x

    with evaluating(model):
        after = [margin(searched(model, tau, k)) for k in counts]
        own = torch.stack(after).amin(0)
        there = [margin(searched(m, tau, max(counts))) for m in others.values()]
        nearest = torch.stack(there).amin(0) if there else torch.full_like(own, math.inf)
        g = generator(seed, 40, device=x.device)
        guessed = random_search(model, x, y, tau, generator=g, queries=queries, bounds=bounds)[1]
        flat = (ascent(model, x, y, False) == 0).flatten(1).all(1)
        far = model(searched(model, 5 * tau, max(counts))).argmax(1) == y
    means = np.array([float(a.mean()) for a in after])
    worse = len(means) > 1 and np.diff(means).max() > 0.01 * max(means[0] - means.min(), 0.01)
    signs = ["more steps make the search worse"] if worse else []
    found = {"flat": flat, "transfer": nearest < own, "blind": guessed < own, "far": far}
    shares = {name: float(which.double().mean()) for name, which in found.items()}
    for name, (sign, limit) in SIGNS.items():
        signs += [f"{sign} on {100 * shares[name]:.0f} %"] if shares[name] > limit else []
    return Masking(counts, tuple(means.tolist()), **shares, signs=tuple(signs))
