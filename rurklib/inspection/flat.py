"""Residual knowledge in the plane: nets on two features, whose every answer fits into a picture.

:func:`forget_and_retrain` makes Original and the re-trained references, :func:`trajectory` RURK at
every setting that a slider can take, and :func:`flatten` what they all answer on a grid, so that a
slider only indexes. :func:`around` looks into the ball around one forget sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib import check
from rurklib.data import Dataset, Pair, forget_few
from rurklib.guard import evaluating, generator
from rurklib.inspection.plane import answers_on_plane
from rurklib.methods import unlearn
from rurklib.models import build
from rurklib.perturb import uniform
from rurklib.train import fit

NORMS = {"linf": math.inf, "l2": 2.0, "l1": 1.0}
# No weight decay: where it is strong, nothing is learnt by heart and nothing is left to forget.
TRAINING = {"epochs": 400, "lr": 0.3, "weight_decay": 0.0}
Trajectory = Mapping[tuple[float, int], nn.Module]  # by (lambda, steps)


@dataclass(frozen=True)
class Case:
    """One forgetting request, with Original and the re-trained references."""

    data: Dataset
    retain: Pair
    forget: Pair
    original: nn.Module
    references: tuple[nn.Module, ...]
    seed: int


def forget_and_retrain(
    data: Dataset,
    *,
    seed: int,
    forget: int = 7,
    references: int = 8,
    training: Mapping[str, Any] = TRAINING,
) -> Case:
    """Draw ``forget`` samples over all classes; train Original on all and references without them.

    ``data`` has flat float inputs [n, features]. ``seed`` decides the samples and Original's start;
    the references start from seeds 1000, 1001, ...
    """
    check.count("references", references)
    (x, y), (kept, lost) = data.train, forget_few(data, forget, seed=seed)

    def trained(seed: int, index: Tensor) -> nn.Module:
        model = build("mlp", x.shape[1], len(data.classes), seed=seed)
        return fit(model, x[index], y[index], seed=seed, **training)

    return Case(
        data=data,
        retain=(x[kept], y[kept]),
        forget=(x[lost], y[lost]),
        original=trained(seed, torch.arange(len(x))),
        references=tuple(trained(1000 + k, kept) for k in range(references)),
        seed=seed,
    )


def trajectory(
    case: Case, lambdas: Sequence[float], steps: Sequence[int], **settings: Any
) -> dict[tuple[float, int], nn.Module]:
    """RURK (Eq. 6: lambda_f = 0, lambda_a = lambda) after each number of steps; 0 is Original.

    A batch is the whole retain set, so a step is an epoch. Every number of steps is a run of its
    own: the cosine schedule ends with the run, so a short run isn't the beginning of a long one.
    ``settings`` are RURK's other hyper-parameters.
    """
    fixed = {"seed": case.seed, "lambda_f": 0.0, "batch_size": len(case.retain[0]), **settings}
    made: dict[tuple[float, int], nn.Module] = {}
    for lam in lambdas:
        for n in steps:
            check.count("steps", n, 0)
            made[lam, n] = case.original if n == 0 else unlearn(
                "RURK", case.original, case.retain, case.forget, epochs=n, lambda_a=lam, **fixed
            )  # fmt: skip
    return made


@dataclass(frozen=True)
class Flat:
    """What the models of a case answer on a grid over the two features, and the models themselves.

    ``axis`` [points] is both features' grid; regions are int64 classes, [..., up, across], ready
    for ``imshow`` with ``origin="lower"``: ``original`` and ``gd`` [points, points], ``references``
    [reference, points, points], ``rurk`` [lambda, steps, points, points].
    """

    case: Case
    axis: np.ndarray
    lambdas: tuple[float, ...]
    steps: tuple[int, ...]
    original: np.ndarray
    gd: np.ndarray
    references: np.ndarray
    rurk: np.ndarray
    nets: Mapping[Any, nn.Module] = field(repr=False)

    def net(self, lam: float, steps: int) -> nn.Module:
        return self.nets[lam, steps]


def flatten(case: Case, gd: nn.Module, path: Trajectory, *, points: int = 101) -> Flat:
    """Ask every model of the case on a grid of ``points`` x ``points`` over [0, 1]^2."""
    x = case.forget[0]
    if x.shape[1:] != (2,):
        raise check.InputError(
            f"inputs are {tuple(x.shape[1:])}: a picture has two axes; choose two features"
        )
    lambdas = tuple(dict.fromkeys(lam for lam, _ in path))
    steps = tuple(dict.fromkeys(n for _, n in path))
    nets: dict[Any, nn.Module] = {"Original": case.original, "GD": gd, **path}
    nets |= {("Re-train", k): net for k, net in enumerate(case.references)}
    right, up = torch.eye(2, device=x.device)
    axis, _, said = answers_on_plane(
        nets, torch.zeros_like(right), right, up, ((0.0, 1.0), (0.0, 1.0)), points=points
    )
    return Flat(
        case=case,
        axis=axis,
        lambdas=lambdas,
        steps=steps,
        original=said["Original"],
        gd=said["GD"],
        references=np.stack([said["Re-train", k] for k in range(len(case.references))]),
        rurk=np.stack([np.stack([said[lam, n] for n in steps]) for lam in lambdas]),
        nets=nets,
    )


def answers(flat: Flat, lam: float, steps: int, reference: int) -> dict[str, np.ndarray]:
    """What the four models of the picture say about the forget samples, int64 [n] by name."""
    shown = {"Original": "Original", "Re-train": ("Re-train", reference)}
    shown |= {"GD": "GD", "RURK": (lam, steps)}
    x, _ = flat.case.forget
    return {name: _ask(flat.nets[key], x).argmax(1).numpy() for name, key in shown.items()}


@dataclass(frozen=True)
class Ball:
    """Points in the ball around one forget sample (x, y), and who recognises them as y.

    ``points`` [n, 2], ``outline`` [k, 2] its closed rim; ``by_model``, ``by_reference`` bool [n]: the model at the chosen setting and
    the chosen reference. Shares of the points, 0 ... 1: ``path`` [steps] of the model after each
    number of steps, ``references`` [reference], ``original``, ``gd``.
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
        if self.share > self.references.max():
            return "above"
        return "below" if self.share < self.references.min() else "inside"


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
    p = NORMS[check.one_of("norm", norm, NORMS)]
    copies = x[sample : sample + 1].expand(draws, -1)
    points = uniform(copies, tau, p, generator=generator(flat.case.seed, 20, sample))

    def right(key: Any) -> np.ndarray:
        return (_ask(flat.nets[key], points).argmax(1) == y[sample]).numpy()

    references = [right(("Re-train", k)) for k in range(len(flat.references))]
    path = {n: right((lam, n)) for n in flat.steps}
    return Ball(
        points=points.numpy(),
        outline=x[sample].numpy() + tau * _rim(p),
        by_model=path[steps],
        by_reference=references[reference],
        path=np.array([hits.mean() for hits in path.values()]),
        references=np.array([hits.mean() for hits in references]),
        original=float(right("Original").mean()),
        gd=float(right("GD").mean()),
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


def _ask(model: nn.Module, x: Tensor) -> Tensor:
    with evaluating(model), torch.inference_mode():
        return model(x).cpu()
