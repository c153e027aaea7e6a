"""The inspector's figures: what is drawn is what was given."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from rurklib.study.figures.images import BAD, GOOD
from rurklib.study.figures.inspector import (
    Copy,
    Probabilities,
    RunningRatio,
    magnification,
)
from rurklib.study.inspector.running_ratio import RunningRatio as Ratio
from rurklib.study.inspector.view import View

METHODS = ("CR", "Fisher", "NTK", "GD", "NGD", "GA", "NegGrad+", "EU-k", "CF-k", "SCRUB", "SSD",
           "RURK")  # fmt: skip
REFERENCES = tuple(f"Re-train {1000 + k}" for k in range(12))
MODELS = ("Original", *REFERENCES, *METHODS)
DIGITS = tuple("0123456789")


def view(shape=(1, 8, 8), truth=9, seed=0, **more):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(10, 0.3), len(MODELS)).astype(np.float32)
    image, copy = rng.random((2, *shape), dtype=np.float32)
    facts = {"sample": 8, "perturbation": "pgd-l2-untargeted", "tau": 1.25, "draw": 42,
             "found_on": "SCRUB", "steps": 10}  # fmt: skip
    return View(**facts | more, truth=truth, image=image, copy=copy, models=MODELS,
                references=REFERENCES, probabilities=p, answers=p.argmax(1))  # fmt: skip


def test_bars_are_probabilities_and_lines_their_range():
    v = view(truth=4)
    figure = Probabilities(v, DIGITS)
    figure.update(v)
    foot = np.arange(1, 1 + len(v.names))[:, None, None]
    bars, lines = (
        (foot - np.stack(c.get_segments())[:, :, 1].reshape(len(v.names), 10, 2)) / 0.86
        for c in (figure._bars, figure._spread)
    )
    for k, name in enumerate(v.names):
        p = v.row(name)
        np.testing.assert_allclose(bars[k].T, [0 * p[0], p.mean(0)], atol=1e-6)
        np.testing.assert_allclose(lines[k].T, [p.min(0), p.max(0)], atol=1e-6)
    assert figure._truth.get_x() == pytest.approx(4 - 0.46)
    count = sum(r for m, r in zip(MODELS, v.recognised, strict=True) if m in REFERENCES)
    marks = dict(zip(v.names, [t.get_text() for t in figure._marks], strict=True))
    assert marks["Re-train"].startswith(f"{count}/12")
    assert f"{v.row('Original')[0, 4]:.2f}" in marks["Original"]


def test_marks_follow_the_answers_when_the_view_changes():
    first = view()
    figure = Probabilities(first, DIGITS)
    for seed in range(2):
        v = view(seed=seed)
        figure.update(v)
        marks = dict(zip(v.names, [t.get_text() for t in figure._marks], strict=True))
        for name in ("Original", *METHODS):
            right = v.answers[MODELS.index(name)] == 9
            assert marks[name].startswith("✓" if right else "✗")
            bar = figure._bars.get_color()[v.names.index(name) * len(DIGITS)]
            assert bar.tolist() == list(to_rgba(GOOD if right else BAD))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2,)])
def test_a_copy_and_its_difference(shape):
    """Magnified by the most that fits."""
    assert [magnification(v) for v in (0.0, 1.0, 0.5, 0.3, 0.03, 0.0021)] == [1, 1, 2, 2, 20, 200]
    v = view(shape=shape)
    figure = Copy(v, DIGITS)
    figure.update(v)
    times = magnification(float(np.abs(v.difference).max()))
    drawn = np.asarray(figure._difference.get_array()).squeeze()
    if shape == (1, 8, 8):
        np.testing.assert_allclose(drawn, v.difference[0] * times, rtol=1e-5)
    if shape[0] == 3:
        np.testing.assert_allclose(drawn, 0.5 + np.moveaxis(v.difference, 0, -1) / 2 * times,
                                   atol=1e-5)  # fmt: skip
        np.testing.assert_array_equal(np.moveaxis(v.copy, 0, -1), figure._copy.get_array())


def test_the_running_ratio_and_its_gaps():
    n = np.arange(1, 31)
    ratio = np.where(n > 4, 1 + 1 / n, np.nan)
    r = Ratio("NegGrad+", 12, n, n, n / 2, ratio, ratio - 0.1, ratio + 0.1, 100)
    figure = RunningRatio()
    figure.update(r)
    x, y = figure._line.get_data()
    np.testing.assert_array_equal(x, n[4:])
    np.testing.assert_array_equal(y, ratio[4:])
