"""Small shifts and turns: perturbations that no ball of the paper's holds.

A picture that is moved by a pixel is the same to the eye and far away in every Lp norm. RURK is
trained on noise; whether what it removed comes back when the picture is moved is asked here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rurklib import checks


def translate(x: Tensor, down: float, right: float) -> Tensor:
    """Images moved by so many pixels, bilinear between pixels; what comes in is 0.

    Shapes: x [n, c, h, w] float -> the same. Whole pixels move exactly.
    """
    _images(x)
    if float(down).is_integer() and float(right).is_integer():
        return _rolled(x, int(down), int(right))
    h, w = x.shape[2:]
    theta = torch.tensor([[1.0, 0.0, -2 * right / w], [0.0, 1.0, -2 * down / h]])
    return _warped(x, theta)


def rotate(x: Tensor, degrees: float) -> Tensor:
    """Images turned counterclockwise about their centre, bilinear; what comes in is 0.

    Shapes: x [n, c, h, w] float -> the same.
    """
    _images(x)
    h, w = x.shape[2:]
    a = math.radians(checks.number("degrees", degrees))
    # grid_sample's coordinates run from -1 to 1 on both axes, whatever the picture's shape.
    theta = torch.tensor(
        [[math.cos(a), -math.sin(a) * h / w, 0.0], [math.sin(a) * w / h, math.cos(a), 0.0]]
    )
    return _warped(x, theta)


def shifts(x: Tensor, share: float = 1 / 16) -> list[Tensor]:
    """The eight copies moved by a share of the picture's height in the four directions and along
    the diagonals: two pixels of 32, half a pixel of 8."""
    by = checks.number("share", share, 0.0, 1.0) * x.shape[2]
    return [translate(x, a, b) for a in (-by, 0, by) for b in (-by, 0, by) if (a, b) != (0, 0)]


def turns(x: Tensor, degrees: Sequence[float] = (-15, -8, 8, 15)) -> list[Tensor]:
    """Copies turned by each of ``degrees``."""
    return [rotate(x, d) for d in degrees]


def _rolled(x: Tensor, down: int, right: int) -> Tensor:
    moved = torch.zeros_like(x)
    h, w = x.shape[2:]
    if abs(down) < h and abs(right) < w:
        moved[:, :, max(down, 0) : h + min(down, 0), max(right, 0) : w + min(right, 0)] = x[
            :, :, max(-down, 0) : h - max(down, 0), max(-right, 0) : w - max(right, 0)
        ]
    return moved


def _warped(x: Tensor, theta: Tensor) -> Tensor:
    grid = F.affine_grid(theta.to(x)[None].expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def _images(x: Tensor) -> None:
    if x.ndim != 4 or not x.is_floating_point():
        raise checks.InputError(
            f"x is {x.dtype} {tuple(x.shape)}: expected float images [n, channels, height, width]"
        )
