"""BoundaryShrink: the label across the nearest boundary, known on linear models."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import unlearn
from rurklib.unlearn.boundary_shrink import nearest_labels


def geometric(net: nn.Sequential, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The class across the nearest boundary in the L-inf norm and its distance, in closed form:
    (z_y - z_k) / ||w_y - w_k||_1, the least over k != y."""
    z, w = net(x).detach(), net[1].weight.detach()
    gap = z.gather(1, y[:, None]) - z
    size = (w[y][:, None] - w[None]).abs().sum(2)
    distance = (gap / size).masked_fill(F.one_hot(y, z.shape[1]).bool(), torch.inf)
    return distance.argmin(1), distance.min(1).values


def test_the_label_is_the_geometrically_nearest_on_a_linear_model(linear, rng):
    """Three classes in the plane, at points near one boundary and far from the other, which a step
    of FGSM crosses. Fails if the step goes the other way (then the far class can be as likely),
    the label is the second of the clean sample, or the true one."""
    net = linear([[3.0, 0.5], [-1.0, 2.5], [-2.0, -3.0]], [0.0, 0.2, -0.1])
    x = 4 * torch.rand(4000, 2, generator=rng(0), dtype=torch.float64) - 2
    y = net(x).argmax(1)
    nearest, distance = geometric(net, x, y)
    tau = 0.2
    near = distance < 0.9 * tau
    got = nearest_labels(net, x, y, tau=tau, bounds=None)
    third = 3 - y - nearest
    # Away from the corner where all three meet, there is one nearest boundary to speak of.
    z = net(x)
    away = (z.gather(1, y[:, None]) - z.gather(1, third[:, None]))[:, 0] > 5
    chosen = near & away
    assert int(chosen.sum()) > 150
    assert len(torch.stack([y, nearest], 1)[chosen].unique(dim=0)) >= 4
    assert torch.equal(got[chosen], nearest[chosen])


def test_the_label_is_that_across_the_boundary_not_the_runner_up(linear):
    """At x = 0 class 1 is second (z = 2, 1.5, 1), but the boundary to class 2 is nearer: it is a
    steep one. A step of 0.1 against class 0 gives z = (1.9, 1.5 - 0.1, 1 + 1)."""
    net = linear([[1.0], [1.0], [-10.0]], [2.0, 1.5, 1.0])
    x, y = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([0])
    assert geometric(net, x, y)[0].tolist() == [2]
    assert nearest_labels(net, x, y, tau=0.1, bounds=None).tolist() == [2]
    assert nearest_labels(net, x, y, tau=0.0, bounds=None).tolist() == [1]


@pytest.mark.parametrize("tau", [0.0, 0.01, 0.3])
def test_the_label_is_never_the_samples_own(tau, cnn, images):
    model, (x, y) = cnn().train(), images(60)
    own = model.eval()(x).argmax(1)
    model.train()
    for labels in (y, own):
        assert bool((nearest_labels(model, x, labels, tau=tau) != labels).all())
    assert model.training


def test_the_label_is_that_of_eval_mode(cnn, images):
    """Fails if the statistics of a batch decide a sample's label."""
    model, (x, y) = cnn(), images(60)
    got = [nearest_labels(m, x, y, tau=0.1) for m in (model.eval(), model.train())]
    alone = torch.cat([nearest_labels(model, x[i, None], y[i, None], tau=0.1) for i in range(60)])
    assert torch.equal(*got)
    assert torch.equal(got[0], alone)


def test_labels_are_originals_throughout_and_the_retain_set_is_never_seen(task, images, same):
    """To the bit GD on the relabelled forget set. Fails if labels are sought at the net as it
    changes, or the retain set is descended on."""
    model, retain, (x, y) = task
    options = {"epochs": 8, "lr": 0.1, "weight_decay": 0.0, "batch_size": 3, "seed": 2}
    out = unlearn("BoundaryShrink", model, retain, (x, y), tau=0.3, **options)
    relabelled = (x, nearest_labels(model, x, y, tau=0.3))
    assert same(out, unlearn("GD", model, relabelled, images(4, seed=9), **options))


def test_tau_is_connected(task):
    model, _, forget = task
    near, far = (nearest_labels(model, *forget, tau=t) for t in (0.0, 1.0))
    assert not torch.equal(near, far)
    a, b = (unlearn("BoundaryShrink", *task, tau=t, lr=0.1)[5].weight for t in (0.0, 1.0))
    assert not torch.equal(a, b)
