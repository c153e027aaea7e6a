"""FGSM, PGD and Gaussian noise against torchattacks, written by others from the same papers."""

import pytest
import torch

from rurklib.perturb.gradient import fgsm, pgd
from rurklib.perturb.noise import gaussian

torchattacks = pytest.importorskip(
    "torchattacks", reason="make test installs it: pip install --no-deps torchattacks"
)

TAU = 0.05


def theirs(attack, x, y, targeted):
    """Copies by torchattacks; it is given the labels as targets if it shall go towards them."""
    if targeted:
        attack.set_mode_targeted_by_label(quiet=True)
    return attack(x, y)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_fgsm(seed, targeted, cnn, images):
    """Fails if FGSM's step has the wrong sign or size, or ``targeted`` is flipped."""
    net, (x, y) = cnn(seed), images(8, seed)
    expected = theirs(torchattacks.FGSM(net, eps=TAU), x, y, targeted)
    assert torch.allclose(fgsm(net, x, y, TAU, targeted=targeted), expected, atol=1e-6)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("steps", "alpha"), [(1, 0.02), (10, 2 / 255)])
def test_pgd(steps, alpha, targeted, cnn, images):
    """Same steps, same step size, no random start. Fails if the best iterate instead of the last
    is returned, or a step is projected onto the wrong set."""
    net, (x, y) = cnn(), images(8)
    attack = torchattacks.PGD(net, eps=TAU, alpha=alpha, steps=steps, random_start=False)
    ours = pgd(net, x, y, TAU, steps=steps, step_size=alpha, targeted=targeted, random_start=False)
    assert torch.allclose(ours, theirs(attack, x, y, targeted), atol=1e-6)


def test_gaussian_noise(cnn, images):
    """The same stream of normal numbers gives the same copies: tau is torchattacks' std."""
    net, (x, y) = cnn(), images(8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = torchattacks.GN(net, std=0.3)(x, y)
    ours = gaussian(x, 0.3, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("targeted", [False, True])
def test_pgd_l2(targeted, cnn, images):
    """PGD in L2, where the box is out of reach (theirs clips after projecting, ours projects onto
    both at once). Fails if steps are not of L2 length ``step_size``."""
    net, (x, y) = cnn(), images(8)
    x = 0.4 + 0.2 * x
    attack = torchattacks.PGDL2(net, eps=0.3, alpha=0.08, steps=10, random_start=False)
    ours = pgd(net, x, y, 0.3, 2, step_size=0.08, targeted=targeted, random_start=False)
    assert torch.allclose(ours, theirs(attack, x, y, targeted), atol=1e-5)
