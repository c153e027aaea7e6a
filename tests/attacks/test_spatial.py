"""Shifts and turns: by whole pixels and right angles the answer is exact."""

import pytest
import torch

from rurklib.attacks.spatial import rotate, shifts, translate, turns


def rolled(x, down, right):
    """torch.roll with what came in from the other side set to 0."""
    z = torch.roll(x, (down, right), (2, 3))
    if down:
        z[:, :, (slice(0, down) if down > 0 else slice(down, None))] = 0
    if right:
        z[:, :, :, (slice(0, right) if right > 0 else slice(right, None))] = 0
    return z


@pytest.mark.parametrize("step", [(0, 0), (1, 0), (0, 2), (-2, 1), (3, -1), (7, 0)])
def test_whole_pixels_are_a_roll_with_zeros(step, rng):
    """Fractions go another way: a hair off whole pixels it must come to the same."""
    x = torch.rand(2, 3, 6, 9, generator=rng(0))
    wanted = rolled(x, *step)
    assert torch.equal(translate(x, *step), wanted)
    near = translate(x, step[0] + 1e-5, step[1] + 1e-5)
    torch.testing.assert_close(near, wanted, atol=1e-3, rtol=0)


def test_half_a_pixel_is_the_mean_of_two():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 1] = 1.0
    z = translate(x, 0.5, 0.0)
    assert z[0, 0, 1, 1] == pytest.approx(0.5, abs=1e-5)
    assert z[0, 0, 2, 1] == pytest.approx(0.5, abs=1e-5)
    assert z.sum() == pytest.approx(1.0, abs=1e-5)


def test_right_angles_turn_squares_exactly_counterclockwise(rng):
    x = torch.rand(2, 1, 5, 5, generator=rng(0))
    for quarter in (1, 2, 3):
        wanted = torch.rot90(x, quarter, (2, 3))
        torch.testing.assert_close(rotate(x, 90.0 * quarter), wanted, atol=1e-5, rtol=0)
    assert torch.equal(rotate(x, 0.0), x) or torch.allclose(rotate(x, 0.0), x, atol=1e-6)


def test_a_turn_keeps_shapes_in_pictures_that_are_not_square(rng):
    """A turn by 180 degrees is a flip of both axes whatever the aspect; one by 90 moves a mark
    right of the centre to as many pixels above it."""
    x = torch.rand(1, 1, 5, 9, generator=rng(0))
    torch.testing.assert_close(rotate(x, 180.0), x.flip(2, 3), atol=1e-5, rtol=0)
    mark = torch.zeros(1, 1, 5, 9)
    mark[0, 0, 2, 6] = 1.0
    assert rotate(mark, 90.0)[0, 0, 0, 4] == pytest.approx(1.0, abs=1e-4)


def test_sets_of_copies(rng):
    x = torch.rand(2, 1, 32, 32, generator=rng(0))
    moved = shifts(x)
    assert len(moved) == 8
    wanted = [rolled(x, a, b) for a in (-2, 0, 2) for b in (-2, 0, 2) if a or b]
    assert all(torch.equal(m, w) for m, w in zip(moved, wanted, strict=True))
    assert len(turns(x)) == 4
    assert min(z.min() for z in (*moved, *turns(x))) >= 0
    assert max(z.max() for z in (*moved, *turns(x))) <= 1 + 1e-5
