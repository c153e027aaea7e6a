"""The plane of two features: nets on them, whose every answer fits into a picture.

:class:`PlaneCase` is a forgetting request with Original and the re-trained references,
:class:`Plane` adds what was unlearned from them, and :func:`view` is what there is to see of it in
one setting. Nothing is tabulated: nets of 100 hidden units answer 10,000 points in milliseconds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.data.dataset import Dataset
from rurklib.models import build
from rurklib.models.logits import logits
from rurklib.perturb.noise import uniform
from rurklib.residual.placement import by_range
from rurklib.rng import generator
from rurklib.samples import Pair
from rurklib.study.inspector.few import forget_few
from rurklib.train.fit import fit
from rurklib.train.spec import Recipe
from rurklib.unlearn.contract import unlearn

# No weight decay: where it is strong, nothing is learnt by heart and nothing is left to forget.
TRAINING = Recipe(epochs=400, lr=0.3, weight_decay=0.0)
NORMS = {"linf": math.inf, "l2": 2.0, "l1": 1.0}
POINTS, DRAWS = 101, 300  # a side of the map; points in the ball


@dataclass(frozen=True)
class PlaneCase:
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
    training: Recipe = TRAINING,
) -> PlaneCase:
    """Draw ``forget`` samples over all classes; train Original on all and references without them.

    ``data`` has flat float inputs [n, features]. ``seed`` decides the samples and Original's start;
    the references start from seeds 1000, 1001, ...
    """
    checks.count("references", references)
    (x, y), (kept, lost) = data.train, forget_few(data, forget, seed=seed)

    def trained(seed: int, index: Tensor) -> nn.Module:
        model = build("mlp", x.shape[1], len(data.classes), seed=seed)
        return fit(model, x[index], y[index], training, seed=seed)

    return PlaneCase(
        data=data,
        retain=(x[kept], y[kept]),
        forget=(x[lost], y[lost]),
        original=trained(seed, torch.arange(len(x))),
        references=tuple(trained(1000 + k, kept) for k in range(references)),
        seed=seed,
    )


def trajectory(
    case: PlaneCase, lambdas: Sequence[float], steps: Sequence[int], **settings: Any
) -> dict[tuple[float, int], nn.Module]:
    """RURK (Eq. 6: lambda_f = 0, lambda_a = lambda) after each number of steps; 0 is Original.

    A batch is the whole retain set, so a step is an epoch. Every number of steps is a run of its
    own: the cosine schedule ends with the run, so a short run isn't the beginning of a long one.
    ``settings`` are RURK's other hyper-parameters. Returns nets by (lambda, steps).
    """
    fixed = {"seed": case.seed, "lambda_f": 0.0, "batch_size": len(case.retain[0]), **settings}

    def after(lam: float, n: int) -> nn.Module:
        if checks.count("steps", n, 0) == 0:
            return case.original
        three = case.original, case.retain, case.forget
        return unlearn("RURK", *three, epochs=n, lambda_a=lam, **fixed)

    return {(lam, n): after(lam, n) for lam in lambdas for n in steps}


@dataclass(frozen=True)
class Plane:
    """A case, and what was unlearned from its Original: GD's net, and RURK's by (lambda, steps).

    InputError if inputs have another number of features than the two axes of a picture.
    """

    case: PlaneCase
    gd: nn.Module
    rurk: Mapping[tuple[float, int], nn.Module]

    def __post_init__(self) -> None:
        shape = tuple(self.case.forget[0].shape[1:])
        if shape != (2,):
            raise checks.InputError(
                f"inputs are {shape}: a picture has two axes; choose two features"
            )

    @property
    def choices(self) -> dict[str, dict[Any, str]]:
        """The values of each setting of :func:`view` but tau, with their labels."""
        species = [self.case.data.classes[c] for c in self.case.forget[1].tolist()]
        return {
            "sample": {k: f"{k + 1} ({name})" for k, name in enumerate(species)},
            "norm": {norm: norm for norm in NORMS},
            "lam": {lam: f"{lam:g}" for lam, _ in self.rurk},
            "steps": {n: str(n) for _, n in self.rurk},
            "reference": {k: str(k + 1) for k in range(len(self.case.references))},
        }

    def nets(self, lam: float) -> dict[str, list[nn.Module]]:
        """What there is to ask, in the order of the picture's maps: one Original, the re-trained
        models, one GD, RURK after each number of steps."""
        rurk = [net for (one, _), net in self.rurk.items() if one == lam]
        references = list(self.case.references)
        return {"Original": [self.case.original], "Re-train": references, "GD": [self.gd],
                "RURK": rurk}  # fmt: skip

    def recognised(
        self, sample: int, tau: float, norm: str, lam: float
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Points [n, 2] of the ball around a forget sample, and which of the ``nets`` say its class
        there, bool [net, n].

        Points are drawn uniformly and clipped to [0, 1] as everywhere. Each sample has a stream of
        its own, whatever the radius: as tau grows, the same points move outward.
        """
        (x, y), stream = self.case.forget, generator(self.case.seed, 20, sample)
        copies = x[sample : sample + 1].expand(DRAWS, -1)
        points = uniform(copies, tau, NORMS[norm], generator=stream)
        return points.numpy(), {
            name: np.stack([answers(net, points) for net in nets]) == int(y[sample])
            for name, nets in self.nets(lam).items()
        }


def shares(plane: Plane, tau: float, norm: str, lam: float, steps: int) -> pd.DataFrame:
    """The share of every forget sample's ball that each model recognises, a row a sample."""
    step, rows = list(plane.choices["steps"]).index(steps), []
    for k, label in enumerate(plane.case.forget[1].tolist()):
        share = {name: by.mean(-1) for name, by in plane.recognised(k, tau, norm, lam)[1].items()}
        theirs = share["Re-train"]
        models = share["Original"][0], share["GD"][0], share["RURK"][step]
        re_trained = theirs.mean(), theirs.min(), theirs.max()
        rows.append((k, plane.case.data.classes[label], *models, *re_trained))
    again = [f"Re-train ({what})" for what in ("mean", "least", "most")]
    return pd.DataFrame(rows, columns=["sample", "class", "Original", "GD", "RURK", *again])


@dataclass(frozen=True)
class PlaneView:
    """What there is to see of a plane: a forget sample of class ``species`` and the ball around it,
    RURK's setting, and which of the re-trained models stands for them.

    By model: ``regions``, the class answered on the unit square, int64 [up, across], ready for
    ``imshow`` with ``origin="lower"``; ``answers`` on the forget samples, int64 [n]. ``points``
    [m, 2] in the ball and who is ``right`` there, as :meth:`Plane.recognised` gives them;
    ``outline`` [k, 2] its closed rim; ``step`` the place of ``steps`` among RURK's; ``placement``
    of RURK's share of the ball: above, inside or below the range of the re-trained models'.
    """

    sample: int
    tau: float
    norm: str
    lam: float
    steps: int
    reference: int
    species: str
    regions: dict[str, np.ndarray]
    answers: dict[str, np.ndarray]
    points: np.ndarray
    right: dict[str, np.ndarray]
    outline: np.ndarray
    step: int
    placement: str


def view(
    plane: Plane, *, sample: int, tau: float, norm: str, lam: float, steps: int, reference: int
) -> PlaneView:
    """Ask the nets for what there is to see; each setting is one of the plane's ``choices``."""
    x, y = plane.case.forget
    points, right = plane.recognised(sample, tau, norm, lam)
    step = list(plane.choices["steps"]).index(steps)
    share, theirs = right["RURK"][step].mean(), right["Re-train"].mean(-1)
    at = {"Original": 0, "Re-train": reference, "GD": 0, "RURK": step}
    nets = {name: group[at[name]] for name, group in plane.nets(lam).items()}
    axis = np.linspace(0, 1, POINTS)
    square = torch.tensor(np.stack(np.meshgrid(axis, axis), -1), dtype=x.dtype).view(-1, 2)
    return PlaneView(
        sample, tau, norm, lam, steps, reference,
        species=plane.case.data.classes[int(y[sample])],
        regions={n: answers(net, square).reshape(POINTS, POINTS) for n, net in nets.items()},
        answers={name: answers(net, x) for name, net in nets.items()},
        points=points,
        right=right,
        outline=x[sample].numpy() + tau * _rim(NORMS[norm]),
        step=step,
        placement=by_range(share, theirs.min(), theirs.max()),
    )  # fmt: skip


def answers(model: nn.Module, x: Tensor) -> np.ndarray:
    """The model's classes, int64 [n]; the model is left as found."""
    return logits(model, x).argmax(1).numpy()


def _rim(p: float) -> np.ndarray:
    """The rim of the unit ball {||d||_p <= 1} in the plane, [73, 2], closed."""
    angle = np.linspace(0, 2 * math.pi, 73)  # a multiple of 8 pieces: corners are met
    rim = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return rim / np.linalg.norm(rim, ord=p, axis=1, keepdims=True)
