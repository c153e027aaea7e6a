"""Figures of notebook 3: what was measured, and the finding that a picture's title tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rurklib.residual.placement import in_most
from rurklib.study.figures import (
    QUANTITIES,
    band_growth,
    estimator_gap,
    image_rows,
    residual_curves,
    sample_histogram,
)
from rurklib.study.report.saved import save_figure
from rurklib.study.run import Run


@dataclass(frozen=True)
class Scale:
    """What is drawn of a run's measurement: see :func:`scale_of`."""

    run: Run
    law: str
    unit: str  # of tau
    quantity: str  # a name in QUANTITIES
    limits: tuple[str, str]  # the columns that bound what a re-trained model may show
    limit: str  # what these are, in words
    largest: float  # tau

    def beyond(self, rows: pd.DataFrame) -> pd.Series:
        """Where Original's mean is above the limits, by perturbation and tau."""
        own = rows[rows.method == "Original"].groupby(["perturbation", "tau"])
        mean = own[[self.quantity, self.limits[1]]].mean()
        return mean[self.quantity] > mean[self.limits[1]]


def scale_of(run: Run, law: str, references: int) -> Scale:
    """The scale of a measurement under ``law`` against so many references: where a whole class is
    forgotten, a re-trained model never says it, and differences are drawn for ratios. Two
    references have a range, but give no idea of what a further one would show."""
    quantity = "difference" if run.whole_class else "ratio_of_means"
    _, span, predict, _ = QUANTITIES[quantity]
    assert span is not None
    limits, limit = span, "the range of the re-trained models"
    if predict is not None and references > 2:
        limits, limit = predict, "what a further re-trained model would show"
    unit = "sd of the noise" if law == "gaussian" else law
    return Scale(run, law, unit, quantity, limits, limit, run.scenario.taus[-1])


def listed(values: pd.Series, form: str = "{} {:.2f}") -> str:
    """Numbers with their names, in words."""
    return ", ".join(form.format(name, value) for name, value in values.items())


def draw_curves(of: Scale, curve: pd.DataFrame, verdicts: pd.DataFrame) -> Any:
    """Every method over tau, and the verdicts: "03_curves"."""
    columns = [of.quantity, of.limits[1]]
    rows = curve[curve.method != "Re-train"].groupby(["method", "tau"], sort=False)[columns].mean()
    # A hair more, for at tau 0 all may be right, and the limit is reached to the last digit.
    above = (rows[of.quantity] > rows[of.limits[1]] + 1e-9)["Original"]
    ends = rows.xs(of.largest, level="tau")
    own, ceiling = ends.loc["Original"]

    said = verdicts.groupby("method", sort=False).finding.agg(in_most)
    kinds = ("residual knowledge", "over-forgotten")
    found = [f"{kind}: {', '.join(said.index[said == kind]) or 'none'}" for kind in kinds]
    title = (
        f"Original is above {of.limit} at {above.sum()} of {len(above)} taus; "
        f"at tau {of.largest:g}: {own:.3f} against {ceiling:.3f}.\n"
        f"Verdict in most seeds: {'; '.join(found)}"
    )
    alt = (
        "Residual knowledge over tau for each method, mean over seeds with their range, and the "
        "bands of the re-trained models (light: 95 % at each tau). At the largest tau: "
        f"{listed(ends[of.quantity])}; {of.limit} ends at {ceiling:.2f}."
    )
    unit = f"{of.unit}, pixels in [0, 1]"
    figure = residual_curves(curve, quantity=of.quantity, unit=unit, title=title)
    return save_figure(of.run, figure, "03_curves", data=curve, alt=alt)


def draw_one_reference(of: Scale, alone: pd.DataFrame, fewer: pd.DataFrame) -> Any:
    """Against each reference alone, and against more and more: "03_references". Frames as
    :func:`rurklib.study.figures.band_growth` takes them."""
    at = alone[alone.tau == of.largest].groupby("method")[of.quantity]
    own, others = (f"{at.min()[m]:.2f} to {at.max()[m]:.2f}" for m in ("Original", "Re-train"))
    title = (
        f"By the choice of one reference, Original has {own} at tau {of.largest:g}, "
        f"a re-trained model {others}"
    )
    alt = (
        "Left: curves against each single reference; at the largest tau Original ranges from "
        f"{own}, re-trained models against one another from {others}. Right: the bands for 2 to "
        f"{fewer['size'].max()} references."
    )
    look = {"quantity": of.quantity, "unit": of.unit, "title": title}
    figure = band_growth(alone, fewer, method="Original", **look)
    return save_figure(of.run, figure, "03_references", data=fewer, alt=alt)


def draw_margins(of: Scale, curve: pd.DataFrame) -> Any:
    """Logit margins over tau: "03_margins"."""
    value, low, high = "margin_difference", "margin_predict_low", "margin_predict_high"
    own = curve[curve.method == "Original"].groupby("tau")[[value, high]].mean()
    title = "Logit margins: no prediction for a further re-trained model from fewer than three"
    if own[high].notna().all():
        title = (
            "By logit margin, Original is beyond a further re-trained model at "
            f"{(own[value] > own[high]).sum()} of {len(own)} taus"
        )
    last = curve[(curve.tau == of.largest) & (curve.method != "Re-train")]
    alt = (
        "Logit margin of each method above the mean of the re-trained models over tau, and where a "
        "further re-trained model would fall. At the largest tau: "
        + listed(last.groupby("method", sort=False)[value].mean(), "{} {:+.1f}")
    )
    unit = f"{of.unit}, pixels in [0, 1]"
    figure = residual_curves(curve, quantity=value, unit=unit, title=title)
    data = curve[["method", "seed", "tau", value, low, high]]
    return save_figure(of.run, figure, "03_margins", data=data, alt=alt)


def draw_two_averages(of: Scale, curve: pd.DataFrame) -> Any:
    """Ratio of means and mean of ratios of Original: "03_estimators"."""
    own = curve[curve.method == "Original"]
    gap = (own.mean_of_ratios - own.ratio_of_means).abs().max()
    title = f"For Original the two averages differ by up to {gap:.2f}"
    if of.run.whole_class:
        title = "No ratio is defined: no re-trained model ever says the forgotten class"
    title += f" ({100 * own.undefined_share.max():.0f} % undefined)"
    alt = "Ratio of means and mean of ratios of Original over tau, and the share of undefined "
    figure = estimator_gap(own, title=title, unit=of.unit)
    return save_figure(of.run, figure, "03_estimators", data=own, alt=alt + "samples.")


def draw_per_sample(of: Scale, groups: Mapping[str, np.ndarray], lead: np.ndarray) -> Any:
    """Each sample's own ratio: "03_per_sample". ``groups``: [models, samples] by method;
    ``lead`` [samples]: how many more of its copies Original recognises."""
    most, gained = max(1, round(len(lead) / 10)), np.sort(np.clip(lead, 0, None))[::-1]
    share = 100 * gained[:most].sum() / max(gained.sum(), 1e-9)
    title = (
        f"A tenth of the forget set ({most} of {len(lead)}) carries {share:.0f} % of what Original "
    )
    what = "share of copies recognised" if of.run.whole_class else "residual knowledge of a sample"
    xlabel = f"{what} at tau {of.largest:g}"
    figure = sample_histogram(groups, xlabel=xlabel, title=title + "recognises more")
    data = pd.DataFrame({m: v.mean(0) for m, v in groups.items()}).rename_axis("sample")
    alt = "Histograms of residual knowledge over the forget samples for " + ", ".join(
        f"{m} (median {np.nanmedian(v):.2f}, largest {np.nanmax(v):.2f})" for m, v in groups.items()
    )
    return save_figure(of.run, figure, "03_per_sample", data=data.reset_index(), alt=alt)


def draw_ranked(of: Scale, images: np.ndarray, value: np.ndarray) -> Any:
    """The ten samples of highest and of lowest ratio: "03_ranked"."""
    order = np.argsort(-value, kind="stable")
    ends = {"most": order[:10], "least": order[-10:][::-1]}
    words = {k: [f"{value[j]:.2f}" for j in i] for k, i in ends.items()}
    first, last = words["most"][0], words["least"][0]
    title = f"Residual knowledge under Original from {first} down to {last}, by image"
    figure = image_rows({k: images[i] for k, i in ends.items()}, captions=words, title=title)
    data = pd.DataFrame({"sample": order, "value": value[order]})
    alt = (
        f"The ten forget images with the highest ratio under Original ({first} and less) and the "
        f"ten with the lowest ({last} and more)."
    )
    return save_figure(of.run, figure, "03_ranked", data=data, alt=alt)
