"""Counting hits: the same integers whatever is measured beside, and in whatever pieces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from rurklib import InputError
from rurklib.residual import count_hits

TAUS = (0.0, 0.1, 0.4)


def test_hits_of_a_linear_net_follow_the_normal_law(linear):
    """z_1 - z_0 is linear, so under Gaussian noise it is normal with standard deviation
    tau * ||w||: Pr[recognised] = Phi(margin / (tau * ||w||)), within 4 binomial standard errors.
    Fails if tau is a variance, or a fixed norm of the displacement; if copies are clipped in spite
    of bounds=None; or if all draws share one copy."""
    net = linear([[0.0, 0.0], [3.0, -4.0]], bias=[0.0, 0.5], dtype=torch.float32)
    x = torch.tensor([[0.1, 0.2], [0.5, 0.5], [0.9, 0.1], [0.3, 0.35]])
    y = torch.tensor([1, 0, 1, 0])
    draws = 2000
    counts = count_hits({"m": net}, x, y, taus=(0.05, 0.2, 1.0), draws=draws, bounds=None)
    margin = (3 * x[:, 0] - 4 * x[:, 1] + 0.5) * (2 * y - 1)
    for t, tau in enumerate(counts.taus):
        expected = stats.norm.cdf(margin.numpy() / (tau * 5))
        error = np.sqrt(expected * (1 - expected) / draws) + 1e-9
        assert (np.abs(counts.hits[0, t] / draws - expected) <= 4 * error + 1e-6).all()


def test_copies_are_clipped_to_the_bounds(linear):
    """A black pixel is only ever made brighter. Fails if bounds don't reach the law."""
    net = linear([[0.0], [1.0]], bias=[0.0, 0.0], dtype=torch.float32)
    x, y = torch.zeros(1, 1), torch.tensor([1])
    free = count_hits({"m": net}, x, y, taus=[0.1], draws=400, bounds=None).hits.item()
    zeros_are_class_0 = count_hits({"m": net}, x, y, taus=[0.1], draws=400).hits.item()
    assert free == zeros_are_class_0  # the same noise; where it is negative, z_1 = 0 = z_0
    not_below = linear([[0.0], [1.0]], bias=[0.0, 1e-9], dtype=torch.float32)
    assert count_hits({"m": not_below}, x, y, taus=[0.1], draws=400).hits.item() == 400


@pytest.mark.parametrize("law", ["gaussian", "pgd"])
def test_the_batch_size_changes_nothing(law, cnn, images):
    """Fails if copies are drawn batch by batch from one stream."""
    (x, y), net = images(7), cnn()
    options = {"taus": TAUS, "draws": 5, "perturbation": law, "found_on": "m"}
    whole = count_hits({"m": net}, x, y, **options).hits
    for size in (1, 3, 10, 16, 10_000):
        assert np.array_equal(whole, count_hits({"m": net}, x, y, batch_size=size, **options).hits)


def test_models_measured_together_count_as_each_alone(cnn, images):
    """Same copies for all, in any order. Fails if every model draws its own."""
    x, y = images(6)
    nets = {f"m{i}": cnn(i) for i in range(3)}
    together = count_hits(nets, x, y, taus=TAUS, draws=20)
    backwards = count_hits(dict(reversed(nets.items())), x, y, taus=TAUS, draws=20)
    assert backwards.models == ("m2", "m1", "m0")
    for name, net in nets.items():
        alone = count_hits({name: net}, x, y, taus=TAUS, draws=20)
        assert np.array_equal(alone.of(name), together.of(name))
        assert np.array_equal(backwards.of(name), together.of(name))
    assert not np.array_equal(together.of("m0"), together.of("m1"))
    assert np.array_equal(together.of_all(["m1", "m0"]), together.hits[[1, 0]])


def test_a_seed_decides_the_counts(cnn, images):
    (x, y), nets = images(6), {"m": cnn()}
    hits = [count_hits(nets, x, y, taus=[0.3], draws=30, seed=s).hits for s in (1, 1, 2, 0)]
    assert np.array_equal(hits[0], hits[1])
    assert not np.array_equal(hits[0], hits[2])
    assert not np.array_equal(hits[0], hits[3])  # 0 is a seed like any other


def test_a_curve_uses_common_random_numbers(linear):
    """The stream of draw i doesn't depend on tau or on the other taus. Fails if the streams of
    different taus differ: on a threshold at 0 the sign of the noise, not its size, decides."""
    net = linear([[0.0], [1.0]], bias=[0.0, 0.0], dtype=torch.float32)
    x, y = torch.zeros(5, 1), torch.ones(5, dtype=torch.int64)
    hits = count_hits({"m": net}, x, y, taus=(0.1, 0.2, 3.0), draws=40, bounds=None).hits[0]
    assert (hits == hits[0]).all()
    assert 0 < hits.sum() < hits.size * 40
    alone = count_hits({"m": net}, x, y, taus=(0.2,), draws=40, bounds=None).hits[0]
    assert np.array_equal(alone[0], hits[1])


def test_draws_are_nested(cnn, images):
    """Draw i is the same however many are made: more draws never lose a hit."""
    (x, y), nets = images(6), {"m": cnn()}
    few, many = (count_hits(nets, x, y, taus=[0.3], draws=n).hits for n in (10, 25))
    assert (few <= many).all()
    assert (many - few <= 15).all()


def test_without_chance_all_draws_agree(cnn, images):
    """tau = 0 and FGSM: 0 or all. Fails if the one copy isn't counted for all draws."""
    (x, y), net = images(6), cnn()
    right = (net(x).argmax(1) == y).numpy()
    assert 0 < right.sum() < 6
    hits = count_hits({"m": net}, x, y, taus=[0.0], draws=9).hits[0, 0]
    assert np.array_equal(hits, 9 * right)
    hits = count_hits(
        {"m": net}, x, y, taus=[0.02], draws=9, perturbation="fgsm", found_on="m"
    ).hits
    assert set(np.unique(hits)) <= {0, 9}
    assert (hits[0, 0] >= 9 * right).all()  # targeted at y: what was recognised still is


def test_more_samples_than_a_block(linear):
    """Samples behind the first 256 are counted in their own place, on noise of their own."""
    net = linear([[0.0], [1.0]], bias=[0.0, -0.5], dtype=torch.float32)
    x = torch.full((520, 1), 0.5)
    y = torch.arange(520) % 2
    hits = count_hits({"m": net}, x, y, taus=[0.1], draws=8).hits[0, 0]
    assert not np.array_equal(hits[:256], hits[256:512])
    certain = count_hits({"m": net}, y[:, None].float(), y, taus=[0.0, 0.01], draws=8)
    assert (certain.hits == 8).all()


def test_bytes_and_floats_agree(cnn, rng):
    net, y = cnn(), torch.arange(5) % 3
    x = torch.randint(0, 256, (5, 1, 6, 6), generator=rng(0), dtype=torch.uint8)
    for law in ("gaussian", "fgsm"):
        options = {"taus": TAUS, "draws": 10, "perturbation": law, "found_on": "m"}
        a, b = (count_hits({"m": net}, v, y, **options) for v in (x, x.float() / 255))
        assert np.array_equal(a.hits, b.hits)


def test_found_on_is_recorded_only_where_it_matters(cnn, images):
    (x, y), nets = images(3), {"a": cnn(0), "b": cnn(1)}
    options = {"taus": [0.1], "draws": 2}
    assert count_hits(nets, x, y, **options).found_on is None
    found = count_hits(nets, x, y, perturbation="fgsm", found_on="b", **options)
    assert found.found_on == "b"
    with pytest.raises(InputError, match=r"unknown found_on 'c'.*known: a, b"):
        count_hits(nets, x, y, perturbation="fgsm", found_on="c", **options)


def test_models_are_left_as_found(cnn, images, left_as_found, same_random_state):
    (x, y), nets = images(4), {"a": cnn(0), "b": cnn(1)}
    nets["a"].train()
    nets["a"][2].eval()
    with left_as_found(*nets.values()), same_random_state():
        for law in ("gaussian", "fgsm", "pgd"):
            count_hits(nets, x, y, taus=TAUS, draws=2, perturbation=law, found_on="a")


def test_hits_are_integers_within_the_draws(cnn, images):
    x, y = images(4)
    hits = count_hits({"m": cnn()}, x, y, taus=TAUS, draws=7).hits
    assert hits.dtype == np.int64
    assert hits.shape == (1, 3, 4)
    assert hits.min() >= 0
    assert hits.max() <= 7
    assert not math.isnan(hits.mean())
