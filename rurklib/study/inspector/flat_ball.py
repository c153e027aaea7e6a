"""The ball around one forget sample in the plane: points in it, and who recognises them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import nn

from rurklib import checks
from rurklib.perturb.noise import uniform
from rurklib.residual.placement import by_range
from rurklib.rng import generator
from rurklib.study.inspector.flat import Flat, ask

NORMS = {"linf": math.inf, "l2": 2.0, "l1": 1.0}


@dataclass(frozen=True)
class Ball:
    """Points in the ball around one forget sample (x, y), and who recognises them as y.

    ``points`` [n, 2], ``outline`` [k, 2] the closed rim; ``by_model``, ``by_reference`` bool [n]:
    RURK at the chosen setting and the chosen reference. Shares of the points, 0 ... 1: ``path``
    [steps] of RURK after each number of steps, ``references`` [reference], ``original``, ``gd``.
    """

    points: np.ndarray
    outline: np.ndarray
    by_model: np.ndarray
    by_reference: np.ndarray
    path: np.ndarray
    references: np.ndarray
    original: float
    gd: float

    @property
    def share(self) -> float:
        return float(self.by_model.mean())

    @property
    def standing(self) -> str:
        """Where the model's share lies among the re-trained models' (the null band): above it,
        inside or below."""
        return by_range(self.share, self.references.min(), self.references.max())


def around(
    flat: Flat,
    sample: int,
    tau: float,
    norm: str,
    lam: float,
    steps: int,
    reference: int,
    *,
    draws: int = 300,
) -> Ball:
    """Draw ``draws`` points uniformly from the ball of radius tau around forget sample ``sample``.

    Each sample has a stream of its own, whatever the radius: as tau grows, the same points move
    outward. Points are clipped to [0, 1] as everywhere (:func:`rurklib.perturb.uniform`).
    """
    x, y = flat.case.forget
    p = NORMS[checks.one_of("norm", norm, NORMS)]
    copies = x[sample : sample + 1].expand(draws, -1)
    points = uniform(copies, tau, p, generator=generator(flat.case.seed, 20, sample))

    def right(net: nn.Module) -> np.ndarray:
        return (ask(net, points).argmax(1) == y[sample].cpu()).numpy()

    references = [right(net) for net in flat.case.references]
    path = {n: right(flat.path[lam, n]) for n in flat.steps}
    return Ball(
        points=points.numpy(),
        outline=x[sample].numpy() + tau * _rim(p),
        by_model=path[steps],
        by_reference=references[reference],
        path=np.array([hits.mean() for hits in path.values()]),
        references=np.array([hits.mean() for hits in references]),
        original=float(right(flat.case.original).mean()),
        gd=float(right(flat.gd_net).mean()),
    )


def shares(flat: Flat, tau: float, norm: str, lam: float, steps: int) -> pd.DataFrame:
    """The share of every forget sample's ball that each model recognises, a row a sample."""
    rows = []
    for k, label in enumerate(flat.case.forget[1].tolist()):
        ball = around(flat, k, tau, norm, lam, steps, 0)
        rows.append(
            {
                "sample": k,
                "class": flat.case.data.classes[label],
                "Original": ball.original,
                "GD": ball.gd,
                "RURK": ball.share,
                "Re-train (mean)": ball.references.mean(),
                "Re-train (least)": ball.references.min(),
                "Re-train (most)": ball.references.max(),
            }
        )
    return pd.DataFrame(rows)


def _rim(p: float) -> np.ndarray:
    """The rim of the unit ball {||d||_p <= 1} in the plane, [73, 2], closed."""
    angle = np.linspace(0, 2 * math.pi, 73)  # a multiple of 8 pieces: corners are met
    rim = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return rim / np.linalg.norm(rim, ord=p, axis=1, keepdims=True)
