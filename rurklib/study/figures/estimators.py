"""Two averages of the same counts, side by side, with what one of them leaves out."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.style import canvas

AVERAGES = {
    "ratio_of_means": ("#0173b2", "o", "ratio of means (what the paper plots)"),
    "mean_of_ratios": ("#d55e00", "D", "mean of ratios (what the paper defines)"),
}


def estimator_gap(frame: pd.DataFrame, *, title: str) -> Figure:
    """Ratio of means and mean of ratios over tau (line: mean over seeds, band: their range), and
    below them the share of samples without a ratio."""
    figure, (above, below) = canvas(
        2, 1, height=4.8, sharex=True, gridspec_kw={"height_ratios": [3, 1]}
    )
    grouped = frame.groupby("tau")
    for column, (color, marker, label) in AVERAGES.items():
        low, mean, high = (getattr(grouped[column], f)() for f in ("min", "mean", "max"))
        above.fill_between(mean.index, low, high, color=color, alpha=0.15, lw=0)
        above.plot(mean.index, mean, color=color, marker=marker, ms=6, lw=1.8, label=label)
    above.axhline(1, color="#555555", lw=0.8, ls=":")
    above.set_ylabel("residual knowledge")
    above.set_title(title, loc="left")
    above.legend(frameon=False, fontsize=9)
    share = 100 * grouped.undefined_share.mean()
    below.plot(share.index, share, color="#222222", marker="s", ms=5, lw=1.4)
    below.set(xlabel="tau (sd of the noise, pixels in [0, 1])", ylabel="undefined\nsamples (%)")
    below.set_ylim(bottom=0, top=max(1.0, 1.3 * share.max()))
    for axis in (above, below):
        axis.spines[["top", "right"]].set_visible(False)
    return figure
