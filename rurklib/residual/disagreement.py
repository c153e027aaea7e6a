"""Adversarial disagreement, E[k_tau] = Pr[m(x') != a(x')], beside its bounds (paper, Lemma A.4).

The bounds hold for copies drawn independently for m and a; residual knowledge is measured on copies
that both are shown. Both are measured here, so that the difference is seen.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.perturb import PERTURBATIONS
from rurklib.residual import statistics
from rurklib.residual.counts import Measurement
from rurklib.tensors import evaluating, generator


def disagreement(
    model: nn.Module,
    references: Mapping[str, nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    taus: Sequence[float],
    perturbation: str = "gaussian",
    draws: int = 100,
    seed: int = 0,
    bounds: tensors.Bounds = (0.0, 1.0),
) -> pd.DataFrame:
    """How often ``model`` and a re-trained model answer differently on copies of (x, y).

    One row per tau, columns ``lower``, ``upper`` (the bounds), ``independent`` (copies of its own
    for each) and ``shared`` (the same copies for both): means over samples, draws and references,
    in [0, 1]. For perturbations that search no model. Shapes: x [n, ...], y int64 [n].
    """
    asked = Measurement(taus, perturbation, draws, seed, bounds)
    rule = PERTURBATIONS[perturbation]
    if rule.gradient_based:
        blind = ", ".join(n for n, p in PERTURBATIONS.items() if not p.gradient_based)
        raise checks.InputError(
            f"perturbation = {perturbation!r} searches on a model: copies can't be independent of "
            f"it; take one of {blind}"
        )
    rule.check(x, max(asked.taus), bounds)
    checks.labels(y, len(x))
    x, rows = tensors.as_float(x), []
    others = list(references.values())
    for tau in asked.taus:

        def said(stream: int, models: Sequence[nn.Module], tau: float = tau) -> list[np.ndarray]:
            """What each model says of the copies of a stream, int64 [draw, sample]."""
            answers: list[list[np.ndarray]] = [[] for _ in models]
            for i in range(draws):
                chance = generator(seed, stream, i, device=x.device)
                copies = rule.sample(model, x, y, tau, chance, bounds)
                for its, shown in zip(answers, models, strict=True):
                    its.append(_answer(shown, copies))
            return [np.stack(its) for its in answers]

        # Two streams: the model is shown the first, each reference both.
        own, *all_shared = said(0, [model, *others])
        for shared, apart in zip(all_shared, said(1, others), strict=True):
            # Every copy of the one against every copy of the other: all pairs are independent.
            classes = range(int(max(own.max(), apart.max())) + 1)
            a, b = (np.stack([(v == c).sum(0) for c in classes], -1) for v in (own, apart))
            hits = [(v == y.cpu().numpy()).sum(0)[None] for v in (own, apart)]
            lower, upper = statistics.disagreement_bounds(hits[0], hits[1][None], draws)
            rows.append(
                {
                    "tau": tau,
                    "lower": lower.mean(),
                    "upper": upper.mean(),
                    "independent": statistics.disagreement(a, b).mean(),
                    "shared": (own != shared).mean(),
                }
            )
    return pd.DataFrame(rows).groupby("tau", as_index=False).mean()


def _answer(model: nn.Module, copies: Tensor) -> np.ndarray:
    """The class that the model says, int64 [sample]."""
    with evaluating(model), torch.inference_mode():
        return model(copies).argmax(1).cpu().numpy()
