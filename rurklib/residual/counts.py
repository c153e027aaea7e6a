"""How often each model recognises perturbed copies of each sample: integers, nothing else.

``hits[model, tau, sample]`` out of ``draws`` is all that the statistics need. Everything slow
happens here, once: each batch of copies is made one time and shown to all models (M + K forward
passes a draw for M models and K references, where a loop over pairs needs 2 M K).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import check
from rurklib.guard import evaluating, generator
from rurklib.perturb import LAWS

BLOCK = 256  # samples that share a random stream; fixed, so that results don't hang on batch_size


@dataclass(frozen=True)
class Counts:
    """Hits of several models on the same perturbed copies.

    ``hits`` int64 [model, tau, sample], each 0 ... draws; ``models`` names the first axis and
    ``taus`` the second. ``found_on`` names the model that a gradient law searched on (None for a
    random law). ``margins`` float64, shaped like ``hits``: the logit margin of y, mean over draws
    (None where only hits were kept).
    """

    hits: np.ndarray
    models: tuple[str, ...]
    taus: tuple[float, ...]
    draws: int
    perturbation: str
    seed: int
    found_on: str | None = None
    margins: np.ndarray | None = None

    def of(self, model: str) -> np.ndarray:
        """Hits of one model, [tau, sample]."""
        return self.hits[self.models.index(model)]

    def of_all(self, models: Sequence[str]) -> np.ndarray:
        """Hits of several models, [model, tau, sample]."""
        return self.hits[[self.models.index(m) for m in models]]


def count_hits(
    models: Mapping[str, nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    taus: Sequence[float],
    perturbation: str = "gaussian",
    draws: int = 100,
    seed: int = 0,
    found_on: str | None = None,
    bounds: check.Bounds = (0.0, 1.0),
    batch_size: int = 512,
) -> Counts:
    """Count, for every model, tau and sample, how many of ``draws`` copies are recognised as y.

    All models see the same copies. The stream of draw i is seeded by (seed, i) whatever tau is, so
    a curve over tau uses common random numbers and is smooth. Neither batch_size nor the models
    that are measured together change a copy. ``found_on`` names the model (a key of ``models``)
    that a gradient law searches on.

    Shapes: x [n, ...] inside ``bounds``, y int64 [n] -> hits [model, tau, n].
    """
    law = LAWS[check.one_of("perturbation", perturbation, LAWS)]
    names = tuple(models)
    if law.uses_model:
        found_on = check.one_of("found_on", found_on, names)
    searched = models[found_on or names[0]]
    hits = np.zeros((len(names), len(taus), len(x)), np.int64)
    margins = np.zeros(hits.shape)
    with evaluating(*models.values()):
        for first in range(0, len(x), BLOCK):
            block = slice(first, first + BLOCK)
            xb, yb = check.as_float(x[block]), y[block]
            for t, tau in enumerate(taus):
                # At tau = 0 and for a law without chance, one copy stands for all draws.
                alike = tau == 0 or not law.random
                todo = list(range(1 if alike else draws))
                per_batch = max(1, batch_size // len(xb))
                for at in range(0, len(todo), per_batch):
                    copies = torch.cat(
                        [
                            xb
                            if tau == 0
                            else law.draw(
                                searched,
                                xb,
                                yb,
                                tau,
                                generator(seed, first // BLOCK, i, device=x.device),
                                bounds,
                            )
                            for i in todo[at : at + per_batch]
                        ]
                    )
                    with torch.inference_mode():
                        for m, model in enumerate(models.values()):
                            logits = model(copies)
                            top = logits.argmax(1).view(-1, len(xb))
                            found = (top == yb).sum(0).cpu().numpy()
                            hits[m, t, block] += found * (draws if alike else 1)
                            margin = logit_margin(logits, yb).sum(0).cpu().numpy()
                            margins[m, t, block] += margin / len(todo)
    return Counts(
        hits,
        names,
        tuple(float(t) for t in taus),
        draws,
        perturbation,
        seed,
        found_on if law.uses_model else None,
        margins,
    )


def logit_margin(logits: Tensor, y: Tensor) -> Tensor:
    """Logit of y minus the log-sum-exp of the other logits, i.e. the log-odds of y, in float64.

    Not squashed at probability 1, where log-softmax rounds to 0. Shapes: logits [c * n, classes]
    of c batches of copies, y [n] -> [c, n].
    """
    z = logits.double().unflatten(0, (-1, len(y)))
    at_y = y.view(1, -1, 1).expand(len(z), -1, 1)
    others = z.scatter(2, at_y, -torch.inf).logsumexp(2)
    return z.gather(2, at_y).squeeze(2) - others
