"""Residual knowledge in the plane: nets on two features, whose every answer fits into a picture.

:func:`forget_and_retrain` makes Original and the re-trained references, :func:`trajectory` RURK at
every setting that a slider can take, and :func:`flatten` what they all answer on a grid, so that a
slider only indexes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.data.dataset import Dataset
from rurklib.model_state import evaluating
from rurklib.models import build
from rurklib.samples import Pair
from rurklib.study.inspector.few import forget_few
from rurklib.study.inspector.grid import answers_on_plane
from rurklib.train.fit import fit
from rurklib.unlearn.contract import unlearn

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
    checks.count("references", references)
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
            checks.count("steps", n, 0)
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
    gd_net: nn.Module = field(repr=False)
    path: Trajectory = field(repr=False)


def flatten(case: Case, gd: nn.Module, path: Trajectory, *, points: int = 101) -> Flat:
    """Ask every model of the case on a grid of ``points`` x ``points`` over [0, 1]^2."""
    x = case.forget[0]
    if x.shape[1:] != (2,):
        raise checks.InputError(
            f"inputs are {tuple(x.shape[1:])}: a picture has two axes; choose two features"
        )
    lambdas = tuple(dict.fromkeys(lam for lam, _ in path))
    steps = tuple(dict.fromkeys(n for _, n in path))
    nets = {"Original": case.original, "GD": gd}
    nets |= {f"RURK {lam} {n}": net for (lam, n), net in path.items()}
    nets |= {f"Re-train {k}": net for k, net in enumerate(case.references)}
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
        references=np.stack([said[f"Re-train {k}"] for k in range(len(case.references))]),
        rurk=np.stack([np.stack([said[f"RURK {lam} {n}"] for n in steps]) for lam in lambdas]),
        gd_net=gd,
        path=path,
    )


def answers(flat: Flat, lam: float, steps: int, reference: int) -> dict[str, np.ndarray]:
    """What the four models of the picture say about the forget samples, int64 [n] by name."""
    shown = {
        "Original": flat.case.original,
        "Re-train": flat.case.references[reference],
        "GD": flat.gd_net,
        "RURK": flat.path[lam, steps],
    }
    x, _ = flat.case.forget
    return {name: ask(net, x).argmax(1).numpy() for name, net in shown.items()}


def ask(model: nn.Module, x: Tensor) -> Tensor:
    """The model's logits [n, classes], on the CPU; the model is left as found."""
    with evaluating(model), torch.inference_mode():
        return model(x).cpu()
