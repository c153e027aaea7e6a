"""Augmentation: what each choice does, how often it is taken, and that it is torchvision's."""

import pytest
import torch
from torchvision.transforms import functional as tv

from rurklib.train import batches, draw_crops, fit, flip_crop, padding


def photos(n: int, h: int = 16, w: int = 24, dtype=torch.uint8) -> torch.Tensor:
    gen = torch.Generator().manual_seed(h)
    return torch.randint(1, 256, (n, 3, h, w), generator=gen).to(dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_each_crop_is_torchvisions_window_of_the_padded_image(dtype, rng):
    """Exactly, for every choice there is. Fails if rows and columns are swapped, if a choice is
    applied to another sample, if what is padded isn't black, or if bytes become floats."""
    assert padding((3, 16, 24)) == (2, 3)
    choices = torch.cartesian_prod(torch.arange(5), torch.arange(7), torch.arange(2))
    x = photos(len(choices), dtype=dtype)
    made = flip_crop(x, choices)
    assert made.dtype == dtype
    for image, (top, left, mirrored), got in zip(x, choices.tolist(), made, strict=True):
        wanted = tv.crop(tv.pad(image, [3, 2]), top, left, 16, 24)
        assert torch.equal(got, tv.hflip(wanted) if mirrored else wanted)


def test_every_choice_is_taken_equally_often(rng):
    """Counts of 20,000 draws within five standard deviations of a uniform law's. Fails if an end
    of the range is never drawn, or if samples share a choice."""
    n = 20_000
    ends, choices = [9, 7, 2], draw_crops(n, (3, 32, 24), rng(0))
    assert choices.shape == (n, 3)
    for column, end in zip(choices.unbind(1), ends, strict=True):
        share, counts = 1 / end, torch.bincount(column, minlength=end)
        assert len(counts) == end
        assert (counts - n * share).abs().max() < 5 * (n * share * (1 - share)) ** 0.5


def stream(seed: int | None) -> list:
    x = photos(21, 16, 16)
    order, choices = (None if s is None else torch.Generator().manual_seed(s) for s in (5, seed))
    return list(batches(x, torch.arange(21), size=6, epochs=3, generator=order, choices=choices))


def test_a_seed_decides_and_passes_differ(same_random_state):
    """Fails if the augmentation draws from the order's generator or from the global one, or if
    all passes show the same windows."""
    with same_random_state():
        one, same, other = stream(0), stream(0), stream(1)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(one, other, strict=True))
    plain = stream(None)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(one, plain, strict=True))  # same order
    passes = [
        {int(i): x for xb, yb in one[4 * e : 4 * e + 4] for x, i in zip(xb, yb, strict=True)}
        for e in (0, 1)
    ]
    assert not all(torch.equal(passes[0][i], passes[1][i]) for i in range(21))
    assert one[0][0].dtype == torch.float32


def test_fit_shows_the_model_changed_images(linear):
    """Fails if fit ignores the name."""
    x, y, how = photos(8, 4, 4), torch.arange(8) % 2, {"seed": 0, "epochs": 1, "lr": 0.1}
    nets = [
        fit(linear(48, dtype=torch.float32), x, y, augment=name, **how)
        for name in ("none", "flip-crop")
    ]
    assert not torch.equal(nets[0][1].weight, nets[1][1].weight)
