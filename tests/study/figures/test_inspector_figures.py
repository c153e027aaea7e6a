"""The inspector's figures: what is drawn is what was given, and no text is cut off or covered."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.text import Text

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
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def view(classes=DIGITS, shape=(1, 8, 8), truth=9, seed=0, **more):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(classes), 0.3), len(MODELS)).astype(np.float32)
    image, copy = rng.random((2, *shape), dtype=np.float32)
    facts = {"sample": 8, "perturbation": "pgd-l2-untargeted", "tau": 1.25, "draw": 42,
             "found_on": "SCRUB", "steps": 10}  # fmt: skip
    return View(**facts | more, truth=truth, image=image, copy=copy, models=MODELS,
                references=REFERENCES, probabilities=p, answers=p.argmax(1))  # fmt: skip


def legible(figure):
    """Draw; fail if a text leaves the figure or lies over another one."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    unseen = set()  # labels of ticks beyond the limits, or of an axis that is off
    for axis in [a for axes in figure.axes for a in (axes.xaxis, axes.yaxis)]:
        drawn = axis._update_ticks() if axis.axes.axison else []
        every = {t.label1 for t in (*axis.majorTicks, *axis.minorTicks)}
        unseen |= every - {t.label1 for t in drawn}
    seen = (t for t in set(figure.findobj(Text)) - unseen if t.get_visible())
    boxes = [(t.get_text(), t.get_window_extent()) for t in seen if t.get_text().strip()]
    width, height = canvas.get_width_height()
    for said, box in boxes:
        inside = (box.x0 >= -1, box.x1 <= width + 1, box.y0 >= -1, box.y1 <= height + 1)
        assert all(inside), f"{said!r} cut off: left, right, below, above {inside}"
    for (a, first), (b, second) in itertools.combinations(boxes, 2):
        x = min(first.x1, second.x1) - max(first.x0, second.x0)
        y = min(first.y1, second.y1) - max(first.y0, second.y0)
        upright = not {a[:9].strip("."), b[:9].strip(".")} <= {c[:9] for c in CIFAR}  # else slanted
        assert not (upright and x > 1 and y > 2), f"{a!r} lies over {b!r}"


@pytest.mark.parametrize("classes", [DIGITS, CIFAR])
def test_bars_are_probabilities_and_lines_their_range(classes):
    v = view(classes, truth=4)
    figure = Probabilities(v, classes)
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
    legible(figure.figure)


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
        legible(figure.figure)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2,)])
def test_a_copy_and_its_difference(shape):
    """Magnified by the most that fits."""
    assert [magnification(v) for v in (0.0, 1.0, 0.5, 0.3, 0.03, 0.0021)] == [1, 1, 2, 2, 20, 200]
    v = view(shape=shape)
    figure = Copy(v, DIGITS)
    figure.update(v)
    assert figure.figure.get_suptitle().startswith("Class 9; pgd-l2-untargeted, tau 1.25")
    times = magnification(float(np.abs(v.difference).max()))
    drawn = np.asarray(figure._difference.get_array()).squeeze()
    if shape == (1, 8, 8):
        np.testing.assert_allclose(drawn, v.difference[0] * times, rtol=1e-5)
    if shape[0] == 3:
        np.testing.assert_allclose(drawn, 0.5 + np.moveaxis(v.difference, 0, -1) / 2 * times,
                                   atol=1e-5)  # fmt: skip
        np.testing.assert_array_equal(np.moveaxis(v.copy, 0, -1), figure._copy.get_array())
    legible(figure.figure)


def test_the_running_ratio_and_its_gaps():
    n = np.arange(1, 31)
    ratio = np.where(n > 4, 1 + 1 / n, np.nan)
    r = Ratio("NegGrad+", 12, n, n, n / 2, ratio, ratio - 0.1, ratio + 0.1, 100)
    figure = RunningRatio()
    figure.update(r)
    x, y = figure._line.get_data()
    np.testing.assert_array_equal(x, n[4:])
    np.testing.assert_array_equal(y, ratio[4:])
    assert figure.figure.get_suptitle().endswith("after 30 of 100 draws: 1.03 (0.93 to 1.13)")
    legible(figure.figure)
    empty = Ratio("GD", 12, n, n, 0.0 * n, 0 * ratio * np.nan, ratio, ratio, 100)
    figure.update(empty)
    assert figure.figure.get_suptitle().endswith("undefined")
    legible(figure.figure)


def test_the_test_sees_what_is_cut_off_or_covered():
    figure = RunningRatio()
    figure._title.set_text("a title that is much too long for a figure as narrow as a phone is, so")
    with pytest.raises(AssertionError, match="cut off"):
        legible(figure.figure)
    figure._title.set_text("short")
    figure.figure.text(0.01, 0.97, "over", va="top")
    with pytest.raises(AssertionError, match="lies over"):
        legible(figure.figure)
