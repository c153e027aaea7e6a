"""A cut through a sample: the plane of the gradient's direction and a random one.

Across runs the direction in which the leading model's loss of y falls fastest (its L2 gradient), up
a random direction at right angles to it: the first shows where a search would go, the second what
noise meets. Both have length 1, so the axes are L2 distances from the sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rurklib import checks, samples
from rurklib.model_state import evaluating
from rurklib.perturb.gradient import ascent
from rurklib.rng import generator
from rurklib.study.inspector.view import Inspector

POINTS = 61


@dataclass(frozen=True)
class Cut:
    """``says[name]`` bool [up, across]: whether a model says ``truth`` (the class y) there;
    ``share`` [up, across] of the references that do. ``model`` is the one to compare with them.
    ``across`` and ``up`` [points] are L2 distances. Only the models that were asked so far are in
    it: see ``done``."""

    model: str
    truth: str
    across: np.ndarray
    up: np.ndarray
    says: dict[str, np.ndarray]
    references: tuple[str, ...]
    done: int
    total: int

    @property
    def share(self) -> np.ndarray:
        asked = [self.says[r] for r in self.references if r in self.says]
        return np.mean(asked, axis=0) if asked else np.zeros((len(self.up), len(self.across)))


def directions(inspector: Inspector, sample: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two directions of length 1 at right angles, each shaped like the sample.

    Where the leading model has no gradient, the first is a random one too.
    """
    x = samples.as_float(inspector.x[sample : sample + 1])
    model = inspector.models[inspector.lead]
    with evaluating(model):
        first = ascent(model, x, inspector.y[sample : sample + 1], True)[0]
    stream = generator(seed, sample, device=x.device)
    first, second = (_or_random(d, stream) for d in (first, torch.zeros_like(first)))
    second = second - (first * second).sum() * first
    return first, second / second.norm()


def _or_random(d: Tensor, stream: torch.Generator) -> Tensor:
    """``d`` at length 1; where it is 0, a random direction."""
    if not bool((d != 0).any()):
        d = torch.randn(d.shape, generator=stream, device=d.device, dtype=d.dtype)
    d = d / d.abs().max()  # first, or squares of tiny gradients underflow
    return d / d.norm()


def cut(
    inspector: Inspector,
    sample: int,
    reach: float,
    *,
    model: str = "Original",
    seed: int = 0,
    points: int = POINTS,
) -> Iterator[Cut]:
    """What the leading model, the references and ``model`` say on the plane, told one by one.

    ``reach`` is the L2 distance to the edge of the picture, ``points`` the number along it; points
    outside the input's bounds are clamped to them, so far from the sample the plane is bent.
    """
    checks.one_of("model", model, inspector.models)
    checks.number("reach", reach, 0.0)
    checks.count("points", points, 2)
    across, up = directions(inspector, sample, seed)
    x, y = samples.as_float(inspector.x[sample]), int(inspector.y[sample])
    axis = np.linspace(-reach, reach, points)
    steps = torch.tensor(np.stack(np.meshgrid(axis, axis), -1), dtype=x.dtype, device=x.device)
    a, b = steps.view(-1, 2, *[1] * x.ndim).unbind(1)
    plane, bounds = x + a * across + b * up, inspector.run.data.bounds
    plane = plane if bounds is None else plane.clamp(*bounds)
    asked = list(dict.fromkeys([inspector.lead, model, *inspector.references]))
    says: dict[str, np.ndarray] = {}
    for name in asked:
        answers = inspector.logits(plane, [name])[0].argmax(-1).cpu().numpy()
        says = {**says, name: (answers == y).reshape(points, points)}
        truth, references = inspector.classes[y], inspector.references
        yield Cut(model, truth, axis, axis, says, references, len(says), len(asked))
