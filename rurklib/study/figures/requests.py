"""Several forgetting requests side by side: each method's ratio, over that request's null band."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rurklib.study.figures.curves import PREDICT
from rurklib.study.figures.style import BAND, FURTHER, canvas, style


def request_dots(
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str,
    label: str = "residual knowledge",
    rows: str = "request",
    centre: float = 1.0,
) -> Figure:
    """A panel for each value of ``study`` (two side by side), a row for each request, a mark for
    each method.

    ``frame`` has the columns study, request, method, ratio_of_means, null_low, null_high, at one
    tau; ``label`` says what ratio_of_means is, if it is something else, ``rows`` what requests are,
    and ``centre`` where re-trained models are. Grey: the range of the re-trained references, each
    held out against the others. Where there are columns predict_low and predict_high too, light
    grey is where a further one would fall; it is cut off where it leaves what the marks and ranges
    need.
    """
    predicted = {"predict_low", "predict_high"} <= set(frame.columns)
    studies = list(frame.study.unique())
    requests = sorted(frame.request.unique())
    lines = -(-len(studies) // 2)
    figure, axes = canvas(
        lines, min(len(studies), 2), width=9.5, height=0.9 + lines * (0.6 + 0.36 * len(requests)),
        sharey=True, sharex=True, squeeze=False,
    )  # fmt: skip
    for axis, study in zip(axes.flat, studies, strict=False):
        part = frame[frame.study == study]
        for row, request in enumerate(requests):
            its = part[part.request == request]
            low, high = its.null_low.iloc[0], its.null_high.iloc[0]
            if predicted:
                wide = its.predict_low.iloc[0], its.predict_high.iloc[0]
                axis.fill_betweenx([row - 0.32, row + 0.32], *wide, color=FURTHER, lw=0)
            axis.fill_betweenx([row - 0.32, row + 0.32], low, high, color=BAND, lw=0.8)
            axis.plot(its.ratio_of_means, [row] * len(its), color="#bbbbbb", lw=0.8, zorder=1)
        for method in part.method.unique():
            own = part[part.method == method].set_index("request").loc[requests]
            axis.plot(own.ratio_of_means, range(len(requests)), ls="", ms=7.5, label=method,
                      **style(method))  # fmt: skip
        axis.axvline(centre, color="#555555", lw=0.8, ls=":")
        axis.set_title(study, loc="left", fontsize=10.5)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel(f"{label} ({unit})")
    for axis in axes[:, 0]:
        axis.set_ylabel(rows)
    for axis in axes.flat[len(studies) :]:
        axis.set_visible(False)
    if predicted:
        needed = frame[["ratio_of_means", "null_low", "null_high"]]
        low, high = needed.min(axis=None), needed.max(axis=None)
        more = 0.15 * (high - low)
        axes[0, 0].set_xlim(low - more, high + more)
    axes[0, 0].set_yticks(range(len(requests)), [str(r) for r in requests])
    axes[0, 0].set_ylim(len(requests) - 0.4, -0.6)
    handles, _ = axes[0, 0].get_legend_handles_labels()
    handles.append(Patch(fc=BAND, label="re-trained models among themselves"))
    handles += [Patch(fc=FURTHER, label=PREDICT)] if predicted else []
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False,
                  fontsize=9)  # fmt: skip
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
