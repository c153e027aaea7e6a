"""Augmentation: what each choice does, how often it is taken, and that it is torchvision's."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import functional as tv

from rurklib.train import AUGMENTATIONS, batches, fit, flip_crop, padding


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
    for name, ends in [("flip", [2]), ("flip-crop", [9, 7, 2])]:
        choices = AUGMENTATIONS[name].draw(n, (3, 32, 24), rng(0))
        assert choices.shape == (n, len(ends))
        for column, end in zip(choices.unbind(1), ends, strict=True):
            share, counts = 1 / end, torch.bincount(column, minlength=end)
            assert len(counts) == end
            assert (counts - n * share).abs().max() < 5 * (n * share * (1 - share)) ** 0.5


def stream(augment: str, seed: int, start: int = 0) -> list:
    x = photos(21, 16, 16)
    gens = [torch.Generator().manual_seed(s) for s in (5, seed)]
    options = {"size": 6, "epochs": 3, "augment": augment, "start": start}
    return list(batches(x, torch.arange(21), generator=gens[0], choices=gens[1], **options))


@pytest.mark.parametrize("name", [n for n in AUGMENTATIONS if n != "none"])
def test_a_seed_decides_and_passes_differ(name, same_random_state):
    """Fails if the augmentation draws from the order's generator or from the global one, or if
    all passes show the same windows."""
    with same_random_state():
        one, same, other = stream(name, 0), stream(name, 0), stream(name, 1)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(one, other, strict=True))
    plain = stream("none", 0)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(one, plain, strict=True))  # same order
    passes = [
        {int(i): x for xb, yb in one[4 * e : 4 * e + 4] for x, i in zip(xb, yb, strict=True)}
        for e in (0, 1)
    ]
    assert not all(torch.equal(passes[0][i], passes[1][i]) for i in range(21))
    assert one[0][0].dtype == torch.float32


def test_fit_shows_the_model_changed_images(linear):
    """Flipped images alone: a net that is trained on images whose right side says the class can't
    tell any more, since half of them are mirrored. Fails if fit ignores the name."""
    x = torch.zeros(64, 1, 4, 4)
    y = torch.arange(64) % 2
    x[:, 0, :, 3], x[:, 0, :, 0] = y[:, None].float(), 1 - y[:, None].float()
    right = {}
    for name in ("none", "flip"):
        net = fit(linear(16, dtype=torch.float32), x, y, seed=0, epochs=60, lr=0.1, augment=name)
        right[name] = F.softmax(net(x), 1)[range(64), y].mean()
    assert right["none"] > 0.9
    assert abs(right["flip"] - 0.5) < 0.1
