"""Figures of notebook 3: what was measured, and the finding that a picture's title tells."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from rurklib.residual.placement import in_most
from rurklib.study.figures import QUANTITIES, residual_curves
from rurklib.study.figures.scaffold import listed
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
        """Where Original's mean is above the limits, by perturbation and tau: by a hair more than
        rounding, for at tau 0 all may be right, and the limit is reached to the last digit."""
        own = rows[rows.method == "Original"].groupby(["perturbation", "tau"])
        mean = own[[self.quantity, self.limits[1]]].mean()
        return mean[self.quantity] > mean[self.limits[1]] + 1e-9


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


def draw_curves(of: Scale, curve: pd.DataFrame, verdicts: pd.DataFrame) -> Any:
    """Every method over tau, and the verdicts: "03_curves"."""
    columns = [of.quantity, of.limits[1]]
    rows = curve[curve.method != "Re-train"].groupby(["method", "tau"], sort=False)[columns].mean()
    above = of.beyond(curve)
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
    told = curve.assign(verdict=curve.method.map(said))
    figure = residual_curves(told, quantity=of.quantity, unit=unit, title=title)
    return save_figure(of.run, figure, "03_curves", data=curve, alt=alt)


def draw_margins(of: Scale, curve: pd.DataFrame, verdicts: pd.DataFrame) -> Any:
    """Logit margins over tau, in the verdicts' colours: "03_margins"."""
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
    said = verdicts.groupby("method").finding.agg(in_most)
    told = curve.assign(verdict=curve.method.map(said))
    figure = residual_curves(told, quantity=value, unit=unit, title=title)
    data = curve[["method", "seed", "tau", value, low, high]]
    return save_figure(of.run, figure, "03_margins", data=data, alt=alt)
