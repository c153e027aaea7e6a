"""What models are asked is one value, checked once; which counts that needs, whoever counts."""

import numpy as np
import pytest

from rurklib import InputError
from rurklib.residual.counts import count_hits
from rurklib.residual.measure import assemble
from rurklib.residual.spec import Measurement


def test_equal_questions_are_equal():
    asked = Measurement(np.linspace(0, 1, 3), "pgd", 7)
    assert asked == Measurement([0, 0.5, 1], draws=7, perturbation="pgd")
    assert asked.taus == (0.0, 0.5, 1.0)
    assert len({asked, Measurement((0.0, 0.5, 1.0), "pgd", 7)}) == 1
    assert asked.gradient_based
    assert not Measurement([0.1]).gradient_based


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"taus": []}, r"taus = \[\].*\[0, 0.1, 0.2\]"),
        ({"taus": 0.1}, "taus = 0.1: expected a list of radii"),
        ({"taus": [-1]}, "tau = -1"),
        ({"taus": [float("nan")]}, "tau = nan"),
        ({"perturbation": "gausian"}, "'gausian'.*'gaussian'"),
        ({"draws": 0}, "draws = 0.*at least 1"),
        ({"seed": -1}, "seed = -1.*at least 0"),
        ({"bounds": (1.0, 0.0)}, r"bounds = \(1.0, 0.0\).*\(0, 1\), or None"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
)
def test_a_value_that_can_not_be_used_is_refused(wrong, match):
    with pytest.raises(InputError, match=match):
        Measurement(**{"taus": [0.1], **wrong})


@pytest.mark.parametrize(
    ("perturbation", "wanted"),
    [
        ("gaussian", [(["m", "n", "r", "s"], None)]),
        ("fgsm", [(["m", "r", "s"], "m"), (["n", "r", "s"], "n"), (["r", "s"], "r"),
                         (["s", "r"], "s")]),
    ],
)  # fmt: skip
def test_what_has_to_be_counted(perturbation, wanted):
    """Shared copies once; else each model and reference on copies of its own, beside the others."""
    asked, seen = Measurement([0.1], perturbation), []

    def count(names, found_on):
        seen.append((list(names), found_on))
        return found_on or "shared"

    counts = assemble(("m", "n"), ("r", "s"), asked, count)
    assert seen == wanted
    assert counts == {n: n if len(wanted) > 1 else "shared" for n in ("m", "n", "r", "s")}


def test_counts_are_cut_and_joined(cnn, images):
    nets = {("GD", k): cnn(k) for k in range(3)}  # names are anything that can be a key
    whole = count_hits(nets, *images(5), Measurement([0.0, 0.3], draws=4))
    parts = [whole.only([name]) for name in reversed(nets)]
    joined = type(whole).joined(parts)
    assert joined.models == tuple(reversed(nets))
    for name in nets:
        assert np.array_equal(joined.of(name), whole.of(name))
    assert np.array_equal(joined.margins, whole.margins[::-1])
    assert np.array_equal(whole.only(joined.models).hits, joined.hits)
