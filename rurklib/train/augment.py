"""Images changed at random while they are learned: flipped, shifted, zoomed; as tensor operations.

A batch is changed where it lies, all samples at once, bytes as bytes. What happens to each sample
is drawn for a whole pass beforehand, on the CPU from a generator of its own: so the numbers are the
same on every device, a batch can be divided among processes without drawing anything twice, and no
step waits for the host.

To add one: a function that draws [n, k] numbers, one that applies them, and a line in
``AUGMENTATIONS``.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rurklib import checks
from rurklib.tensors import as_float

AREA = (0.08, 1.0)  # of a zoomed crop, as a share of the image: torchvision's RandomResizedCrop
RATIO = (3 / 4, 4 / 3)  # of its width to its height, likewise


class Augmentation(NamedTuple):
    """``draw(n, shape, generator)`` gives the choices for n samples of ``shape`` (c, h, w), a
    tensor [n, k]; ``apply(x, choices)`` changes a batch x [n, c, h, w] accordingly."""

    draw: Callable[[int, tuple[int, ...], torch.Generator], Tensor]
    apply: Callable[[Tensor, Tensor], Tensor]


def padding(shape: tuple[int, ...]) -> tuple[int, int]:
    """How far a crop is shifted at most, down and across: an eighth of the size, 4 of 32 pixels."""
    return max(1, shape[-2] // 8), max(1, shape[-1] // 8)


def _draw_flip(n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(2, (n, 1), generator=generator)


def flip(x: Tensor, choices: Tensor) -> Tensor:
    """Mirror left and right the samples whose choice [n, 1] is 1."""
    return torch.where(choices[:, 0].bool()[:, None, None, None], x.flip(-1), x)


def _draw_crop(n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    ends = [2 * p + 1 for p in padding(shape)]
    return torch.stack([torch.randint(e, (n,), generator=generator) for e in (*ends, 2)], 1)


def flip_crop(x: Tensor, choices: Tensor) -> Tensor:
    """A window of each image, itself padded with black, mirrored or not.

    ``choices`` int64 [n, 3]: the window's first row and column in the padded image, and whether it
    is mirrored. One gather: its columns are read backwards where it is. (torchvision's
    RandomCrop(32, padding=4) and RandomHorizontalFlip.)
    """
    n, c, h, w = x.shape
    down, across = padding(x.shape)
    wide = F.pad(x, (across, across, down, down)).flatten(2)
    forth = torch.arange(w, device=x.device)
    rows = choices[:, 0, None] + torch.arange(h, device=x.device)
    columns = choices[:, 1, None] + torch.where(choices[:, 2, None] == 1, w - 1 - forth, forth)
    at = rows[:, :, None] * (w + 2 * across) + columns[:, None, :]
    return wide.gather(2, at.view(n, 1, h * w).expand(n, c, h * w)).view(n, c, h, w)


def _draw_zoom(n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)

    h, w = shape[-2:]
    area, ratio = uniform(*AREA) * h * w, uniform(*torch.tensor(RATIO).log().tolist()).exp()
    height = ((area / ratio).sqrt() / h).clamp(max=1)
    width = ((area * ratio).sqrt() / w).clamp(max=1)
    top, left = (1 - height) * uniform(0, 1), (1 - width) * uniform(0, 1)
    mirrored = torch.randint(2, (n,), generator=generator)
    return torch.stack([top, left, height, width, mirrored], 1).float()


def flip_crop_large(x: Tensor, choices: Tensor) -> Tensor:
    """A window of each image, enlarged to the image's own size, mirrored or not; floats in [0, 1].

    ``choices`` float [n, 5]: the window's top, left, height and width as shares of the image, and
    whether it is mirrored. Sampled bilinearly, the edge repeated beyond the image. It is
    torchvision's RandomResizedCrop and RandomHorizontalFlip but for three things: windows needn't
    begin at a whole pixel, one that would stick out is narrowed rather than drawn again, and the
    image has its working size already, so a small window shows no more detail.
    """
    top, left, height, width, mirrored = choices.unbind(1)
    zero = torch.zeros_like(top)
    across = torch.stack([width * (1 - 2 * mirrored), zero, 2 * left + width - 1], 1)
    down = torch.stack([zero, height, 2 * top + height - 1], 1)
    x = as_float(x)
    affine = torch.stack([across, down], 1).to(x.dtype)
    grid = F.affine_grid(affine, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    "flip": Augmentation(_draw_flip, flip),
    "flip-crop": Augmentation(_draw_crop, flip_crop),
    "flip-crop-large": Augmentation(_draw_zoom, flip_crop_large),
}


def augmentation(name: str, shape: tuple[int, ...]) -> Augmentation | None:
    """The augmentation ``name`` for samples of ``shape``; None for "none".

    Raises InputError for an unknown name or for samples that aren't images (c, h, w).
    """
    found = AUGMENTATIONS[checks.one_of("augment", name, AUGMENTATIONS)]
    if found is not None and len(shape) != 3:
        raise checks.InputError(
            f"augment = {name!r}: expected images (c, h, w), but samples have shape "
            f"{tuple(shape)}; use augment = 'none'"
        )
    return found
