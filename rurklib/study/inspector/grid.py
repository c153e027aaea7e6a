"""What models answer on a plane through a point: decision regions as a picture can show them."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks, samples
from rurklib.model_state import evaluating

BATCH = 4096  # points that a model is shown at once


def answers_on_plane(
    models: Mapping[str, Callable[[Tensor], Tensor]],
    origin: Tensor,
    across: Tensor,
    up: Tensor,
    reach: float,
    *,
    points: int = 101,
    bounds: samples.Bounds = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The class that each model answers on ``origin + a across + b up``.

    Shapes: origin, across, up [...] (one sample, no batch axis), in the input's units; a and b run
    from -reach to reach in ``points`` steps. Inputs are clamped to ``bounds`` if there are any: a
    map can't show what no input can be. Returns the steps [points] and, for each model, int64
    answers [b, a], ready for ``imshow`` with ``origin="lower"``.
    """
    checks.count("points", points, 2)
    for name, direction in (("across", across), ("up", up)):
        if direction.shape != origin.shape:
            raise checks.InputError(
                f"{name} has shape {tuple(direction.shape)}: expected that of the origin, "
                f"{tuple(origin.shape)}"
            )
    axis = np.linspace(-reach, reach, points)
    grid = torch.tensor(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), dtype=torch.float32)
    found: dict[str, list[np.ndarray]] = {name: [] for name in models}
    modules = [m for m in models.values() if isinstance(m, nn.Module)]
    with evaluating(*modules), torch.inference_mode():
        for part in grid.to(origin.device).split(BATCH):
            steps = part.view(-1, 2, *[1] * origin.ndim)
            x = origin + steps[:, 0] * across + steps[:, 1] * up
            x = x if bounds is None else x.clamp(*bounds)
            for name, model in models.items():
                found[name].append(model(x).argmax(1).cpu().numpy())
    return axis, {n: np.concatenate(f).reshape(points, points) for n, f in found.items()}
