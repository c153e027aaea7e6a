"""Small shifts and turns: perturbations that no ball of the paper's holds.

A picture that is moved by a pixel is the same to the eye and far away in every Lp norm. RURK is
trained on noise; whether what it removed comes back when the picture is moved is asked here.
Shapes: x [n, c, h, w] float -> the same.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def translate(x: Tensor, down: float, right: float) -> Tensor:
    """Images moved by so many pixels, bilinear between pixels; what comes in is 0.

    Whole pixels move exactly.
    """
    h, w = x.shape[2:]
    if not (float(down).is_integer() and float(right).is_integer()):
        return _warped(x, [[1.0, 0.0, -2 * right / w], [0.0, 1.0, -2 * down / h]])
    a, b = int(down), int(right)
    # What leaves is padded away by negative numbers.
    return F.pad(x, (b, -b, a, -a)) if abs(a) < h and abs(b) < w else torch.zeros_like(x)


def rotate(x: Tensor, degrees: float) -> Tensor:
    """Images turned counterclockwise about their centre, bilinear; what comes in is 0."""
    h, w = x.shape[2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # grid_sample's coordinates run from -1 to 1 on both axes, whatever the picture's shape.
    return _warped(x, [[cos, -sin * h / w, 0.0], [sin * w / h, cos, 0.0]])


def shifts(x: Tensor, share: float = 1 / 16) -> list[Tensor]:
    """The eight copies moved by a share of the picture's height in the four directions and along
    the diagonals: two pixels of 32, half a pixel of 8."""
    by = share * x.shape[2]
    return [translate(x, a, b) for a in (-by, 0, by) for b in (-by, 0, by) if (a, b) != (0, 0)]


def turns(x: Tensor, degrees: Sequence[float] = (-15, -8, 8, 15)) -> list[Tensor]:
    """Copies turned by each of ``degrees``."""
    return [rotate(x, d) for d in degrees]


def _warped(x: Tensor, theta: list[list[float]]) -> Tensor:
    """The image read at an affine map's places [2, 3]."""
    maps = torch.tensor(theta).to(x)[None].expand(len(x), 2, 3)
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
