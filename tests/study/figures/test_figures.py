"""Every figure draws, with title, uncertainty and finite limits, and its numbers in their place."""

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from rurklib.study.attack import compare_runs, share_outside
from rurklib.study.figures import charts, curves, images
from rurklib.study.figures.style import STYLE, VERDICTS, WIDEST, found, panels, png, style
from rurklib.unlearn.contract import METHODS

TAUS = [0.0, 0.1, 0.2]
FEW = {"Original": 1.1, "GD": 1.08, "RURK": 1.0}
MANY = {**FEW, "GA": 0.9, "SSD": 0.2, "CR": 1.0, "NTK": 1.02, "EU-k": 0.97}


def frame(levels: dict[str, float] = FEW, **columns) -> pd.DataFrame:
    """Two seeds that reach a level and 0.01 more; a reference's own prediction is another one."""
    rows = [
        {"method": method, "seed": seed, "tau": tau,
         "ratio_of_means": 1 + (level - 1) * tau / TAUS[-1] + 0.01 * seed,
         "null_low": 0.95, "null_high": 1.05,
         "predict_low": 0.1 if method == "Re-train" else 0.94,
         "predict_high": 9.0 if method == "Re-train" else 1.06, **columns}
        for method, level in {"Re-train": 1.0, **levels}.items() for seed in (0, 1) for tau in TAUS
    ]  # fmt: skip
    table = pd.DataFrame(rows).assign(null_difference_low=-0.05, null_difference_high=0.05)
    return table.assign(difference=table.ratio_of_means - 1)


def undefined(rows: pd.DataFrame) -> pd.DataFrame:
    """A net of one epoch may never say the class: no ratio and no band is defined."""
    numbers = ["ratio_of_means", "null_low", "null_high", "predict_low", "predict_high"]
    return rows.assign(**dict.fromkeys(numbers, np.nan))


def audited(ratio: float, **columns) -> pd.DataFrame:
    values = {
        "tau": TAUS, "ratio_of_means": ratio, "ratio_low": ratio - 0.02, "ratio_high": ratio + 0.03,
        "predict_low": 0.9, "predict_high": 1.05, "difference": -0.1, "null_difference_low": -0.2,
        "null_difference_high": 0.2, "margin_difference": 2 * ratio, "margin_predict_low": -0.7,
        "margin_predict_high": 0.8, "method": "GD", **columns,
    }  # fmt: skip
    return pd.DataFrame(values)


def growth(change: Callable = lambda rows: rows) -> Figure:
    """Original against two single references, and against two subsets of two and of three."""
    alone = pd.DataFrame(
        {"method": "Original", "model": "m", "subset": [0, 0, 1, 1], "tau": [0.0, 0.2] * 2,
         "ratio_of_means": [1.0, 1.1, 1.0, 1.3]}
    )  # fmt: skip
    fewer = pd.DataFrame(
        {"size": [2, 2, 3, 3], "subset": [0, 1, 0, 1], "tau": 0.2,
         "ratio_of_means": [1.1, 1.3, 1.2, 1.2], "null_low": 0.9, "null_high": [1.0, 1.2, 1.1, 1.1],
         "predict_low": [np.nan, np.nan, 0.8, 0.8], "predict_high": [np.nan, np.nan, 1.3, 1.3]}
    )  # fmt: skip
    return curves.band_growth(change(alone), change(fewer), method="Original", title="t", unit="u")


def marks(**columns) -> pd.DataFrame:
    one = {"low": 0.6, "high": 1.0, "predict_low": 0.3, "predict_high": 1.2, **columns}
    rows = [
        {"method": m, "seed": s, "attack": a, "value": 0.9 - 0.1 * s, **one}
        for m in ("Original", "RURK") for s in (0, 1) for a in ("noise", "distance")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def attacked() -> pd.DataFrame:
    """By noise Original is above and RURK below; by distance neither is outside."""
    rows = [
        {"attack": a, "method": m, "seed": s, "t": t, "statistic": statistic,
         "finding": finding if a == "noise" else "inside", "value": 0.9, "low": 0.7, "high": 1.0,
         "reference": 0.5, "predict_low": 0.3, "predict_high": 0.7}
        for a in ("noise", "distance") for s in (0, 1) for statistic in ("level", "auc")
        for m, t, finding in (("Original", 5.0, "above"), ("RURK", -3.0, "below"))
    ]  # fmt: skip
    return compare_runs({"digits": pd.DataFrame(rows)})


def strip(*shape: int) -> np.ndarray:
    x = np.random.default_rng(0).random((3, *shape))
    return x if len(shape) == 3 else 2 * x - 1


RIGHT = {"m": np.array([[True, False, True]] * 2), "w": np.array(["1", "2", "3"])}
SETTINGS = pd.DataFrame({"clip": [1.0, 1, 3, 3] * 2, "seed": [0, 1] * 4, "u": range(8),
                         "norm": ["frozen"] * 4 + ["train"] * 4, "t": range(10, 18)})  # fmt: skip
FIGURES: dict[str, Callable[[], Figure]] = {
    "curves of a few": lambda: curves.residual_curves(frame(), title="t"),
    "curves of many": lambda: curves.residual_curves(
        frame(MANY).assign(verdict="over-forgotten"), title="t"
    ),
    "curves of one seed": lambda: curves.residual_curves(
        frame(ratio_low=0.9, ratio_high=1.2)[lambda f: f.seed == 0], title="t"
    ),
    "curves by law": lambda: curves.residual_curves(
        pd.concat([frame(law="a"), frame(law="b")]), by="law", unit={"a": "u", "b": "v"}, title="t"
    ),
    "differences without a band's width": lambda: curves.residual_curves(
        frame(MANY).assign(null_difference_low=0.0, null_difference_high=0.0),
        quantity="difference", title="t",
    ),
    "curves, undefined": lambda: curves.residual_curves(undefined(frame()), title="t"),
    "many curves, undefined": lambda: curves.residual_curves(undefined(frame(MANY)), title="t"),
    "an audit": lambda: curves.against_references(audited(1.3), title="t"),
    "an audit without ratios": lambda: curves.against_references(
        audited(np.nan, margin_difference=1.0), title="t"
    ),
    "growth": growth,
    "growth, undefined": lambda: growth(undefined),
    "front page": lambda: curves.front_page(
        strip(1, 4, 4), strip(1, 4, 4), RIGHT, frame(), title="t", word="w", unit="u"
    ),
    "dots and ranges": lambda: charts.dots(
        marks()[["method", "low"]], {"low": "V"}, bars="range", title="t"
    ),
    "dots and quartiles": lambda: charts.dots(marks(), "value", bars="quartiles", title="t"),
    "dots and intervals": lambda: charts.dots(
        marks(verdict="above"), "value", by="attack", bars=("low", "high"), centre=0.5, title="t"
    ),
    "dots of requests": lambda: charts.dots(marks(), "value", rows="attack", title="t"),
    "lines": lambda: charts.lines(frame(), "tau", "ratio_of_means", title="t"),
    "lines of settings": lambda: charts.lines(
        SETTINGS, "clip", {"u": "U", "t": "T"}, group="norm", each=True, log="x",
        grey={"u": (0.5, 2.0), "t": (11.0, 12.0)}, title="t",
    ),
    "columns as lines": lambda: charts.lines(
        audited(1.1), "tau", group={"ratio_low": "low", "difference": "d"},
        grey=("predict_low", "predict_high", "between"), title="t",
    ),
    "heat of attacks": lambda: charts.attack_heat(
        attacked(), "statistic", {"level": "left", "auc": "right"}, title="t"
    ),
    "bars": lambda: charts.outside_bars(share_outside(attacked()), {"level": "L"}, title="t"),
    "histogram": lambda: charts.sample_histogram(
        {"Original": np.array([[1.0, 1.0, 2.0, np.nan]] * 2)}, title="t", xlabel="x"
    ),
    "histogram, undefined": lambda: charts.sample_histogram(
        {"Original": np.full((2, 3), np.nan)}, title="t", xlabel="x"
    ),
    "images": lambda: images.image_rows(
        {"a (b)": strip(1, 4, 4), "c": strip(1, 4, 4)[:2]}, title="t"
    ),
    "texts": lambda: images.image_rows({"a": strip(8, 5)}, title="t"),
    "numbers": lambda: images.image_rows({"a": strip(4)}, title="t"),
    "who knows": lambda: images.who(
        strip(1, 4, 4), strip(1, 4, 4), RIGHT, title="t", word="w"
    ),
}  # fmt: skip
CERTAIN = {"images", "texts", "numbers", "who knows", "heat of attacks", "bars"}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_its_uncertainty_within_finite_limits(name):
    figure = FIGURES[name]()
    assert figure.get_suptitle()
    assert figure.get_figwidth() <= WIDEST
    content = png(figure, "what is drawn")
    assert Image.open(io.BytesIO(content)).text["Description"] == "what is drawn"
    limits = [(*axis.get_xlim(), *axis.get_ylim()) for axis in figure.axes]
    assert np.isfinite(limits).all()
    plain = [axis for axis in figure.axes if not axis.images and axis.get_label() != "<colorbar>"]
    bands = [band for axis in plain for band in axis.collections]
    assert bool(bands) != (name in CERTAIN)


def curve(axis, method: str) -> list[float]:
    """The line with markers in a method's colour."""
    (line,) = [
        li for li in axis.get_lines()
        if li.get_color() == style(method)["color"] and li.get_marker() not in ("None", "")
    ]  # fmt: skip
    return list(line.get_ydata())


def by_title(figure: Figure) -> dict:
    return {a.get_title(loc="left"): a for a in figure.axes if a.get_title(loc="left")}


def greys(axis) -> list[tuple[float, float]]:
    """(lowest, highest) of each band, the wide light one first."""
    heights = [c.get_paths()[0].vertices[:, 1] for c in axis.collections if c.get_zorder() < 0.5]
    return [(h.min(), h.max()) for h in heights]


def test_curves_are_means_over_seeds_on_the_bands_of_a_model():
    """A reference's own row predicts from one fewer. Fails if the first row of all is taken."""
    (axis,) = FIGURES["curves of a few"]().axes
    for method, level in FEW.items():
        assert curve(axis, method)[-1] == pytest.approx(level + 0.005)
    assert greys(axis) == [(0.94, 1.06), (0.95, 1.05)]
    assert curves.bands(frame(), "difference").predict_low.isna().all()
    low = curves.bands(frame().assign(predict_low=-0.8), "ratio_of_means").predict_low
    assert (low == 0).all()  # a t prediction from three references may be below 0; no ratio is


def test_many_methods_have_a_panel_each_in_the_colour_of_their_verdict():
    """Fails if a panel shows another method's line, or the axis is stretched for one outlier."""
    figure = FIGURES["curves of many"]()
    assert set(by_title(figure)) == set(MANY)
    for method, axis in by_title(figure).items():
        (own,) = [li for li in axis.get_lines() if li.get_marker() not in ("None", "")]
        assert own.get_ydata()[-1] == pytest.approx(MANY[method] + 0.005)
        assert own.get_color() == found("over-forgotten")["color"]
    low, high = figure.axes[0].get_ylim()
    assert 0.4 < low < 0.9 < 1.1 < high < 1.5


def test_each_set_of_an_audit_has_its_row_and_band():
    """Fails if a control is drawn over the forget set's band, or ratio and margin are swapped."""
    others = [audited(1.01, control="held", predict_high=1.2), audited(0.99, control="retained")]
    figure = curves.against_references(audited(1.3), pd.concat(others), title="t")
    axes = np.array(figure.axes).reshape(3, 2)
    for row, ratio in zip(axes, (1.3, 1.01, 0.99), strict=True):
        assert curve(row[0], "model") == pytest.approx([ratio] * 3)
        assert curve(row[1], "model") == pytest.approx([2 * ratio] * 3)
        assert greys(row[1]) == [pytest.approx((-0.7, 0.8))]
    assert greys(axes[0, 0]) == [pytest.approx((0.9, 1.05))]
    assert greys(axes[1, 0]) == [pytest.approx((0.9, 1.2))]
    (bars,) = [c for c in axes[0, 0].collections if hasattr(c, "get_segments")]
    assert bars.get_segments()[0][:, 1] == pytest.approx([1.28, 1.33])


def test_dots_and_lines_are_means_with_their_range():
    rows = pd.DataFrame({"method": ["Original"] * 2 + ["Re-train"] * 3, "a": [1.0, 3, 5, 6, 10]})
    (axis,) = charts.dots(rows, "a", bars="range", title="t").axes
    marked = {li.get_marker(): list(li.get_xdata()) for li in axis.get_lines()}
    assert marked[style("Original")["marker"]] == [2.0]
    assert marked[style("Re-train")["marker"]] == [7.0]
    (bar,) = next(c for c in axis.collections if hasattr(c, "get_segments")).get_segments()
    assert bar[:, 0].tolist() == [1, 3]
    assert [(p.get_x(), p.get_width()) for p in axis.patches] == [(5, 5)]
    first, second = FIGURES["lines of settings"]().axes
    drawn = [
        {li.get_label(): list(li.get_ydata()) for li in a.get_lines()} for a in (first, second)
    ]
    assert drawn[0]["norm frozen"] == [0.5, 2.5]
    assert drawn[1]["norm train"] == [14.5, 16.5]


def test_images_are_shown_as_they_are_words_as_columns_and_numbers_as_a_row():
    """Fails if channels are mixed up, a text is turned, or negative numbers are black."""
    three, text = np.random.rand(3, 2, 5), np.sign(np.random.randn(2, 8, 5)) * 2
    assert np.array_equal(images.shown(three[:1]), three[0])
    assert np.array_equal(images.shown(three), three.transpose(1, 2, 0))
    assert np.array_equal(images.shown(text[0]), text[0])
    assert images.shown(np.arange(4.0)).shape == (1, 4)
    assert (images.grey(text)["vmin"], images.grey(three[None])["vmin"]) == (-2, 0)
    words = [t.get_text() for t in FIGURES["who knows"]().axes[0].texts]
    assert words[2:] == ["m", "✓✓", "✗✗", "✓✓", "w", "1", "2", "3"]


def test_methods_and_verdicts_are_told_apart():
    drawn = [*STYLE, *(m for m in METHODS if m not in STYLE)]
    assert len({tuple(style(m).values()) for m in drawn}) == len(drawn)
    assert len({found(v)["marker"] for v in VERDICTS}) == len(VERDICTS)
    assert found("above")["marker"] == found("residual knowledge")["marker"]
    assert found(np.nan) == found("cannot be judged")


def test_a_saved_picture_is_the_same_each_time_and_keeps_the_colour_of_small_marks():
    """Fails with a median cut: a mark among many shades gets the colour of a larger neighbour."""
    with panels({"": "one"}, title="t") as (figure, axes):
        for i, method in enumerate(STYLE):
            color = style(method)["color"]
            axes[""].fill_between([0, 1], [i, i], [i + 0.4, i + 0.2], alpha=0.15, color=color)
            axes[""].plot(0.5, i, ls="", ms=8, **style(method))
    content = png(figure)
    assert png(figure) == content
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).reshape(-1, 3).astype(int)
    for method in STYLE:
        wanted = [int(style(method)["color"][k : k + 2], 16) for k in (1, 3, 5)]
        assert abs(pixels - wanted).max(1).min() <= 6, method
