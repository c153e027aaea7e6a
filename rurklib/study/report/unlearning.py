"""Figures of notebook 2: what becomes of a loss's terms, of every method, of a looser clip."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from rurklib.study.figures import dots, lines
from rurklib.study.report.saved import save_figure
from rurklib.study.run import Run

SHOWN = {"unlearn_accuracy": "unlearn accuracy (%)", "test_accuracy": "test accuracy (%)"}


def draw_terms(run: Run, history: Sequence[Mapping[str, float]]) -> Any:
    """The terms of RURK's loss, each over the steps: "02_terms"."""
    names = {"retain": "retained samples", "forget": "forgotten samples",
             "near": "their noisy copies"}  # fmt: skip
    terms = pd.DataFrame(history, index=range(1, len(history) + 1))[list(names)]
    few = max(1, len(terms) // 5)  # a step's terms are those of its batch: means of some
    ends = zip(names.values(), terms[:few].mean(), terms[-few:].mean(), strict=True)
    told = [f"{name} {first:.2g} to {last:.2g}" for name, first, last in ends]
    title = f"Mean loss: {told[0]}, {told[1]},\n{told[2]}"
    title += f" (first and last {few} of {len(terms)} steps)"
    terms = terms.rename_axis("step").reset_index()
    figure = lines(
        terms, "step", group=names, xlabel="step of RURK", ylabel="loss", log="y", title=title
    )
    figure.axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    alt = f"The three terms of RURK's loss over {len(terms)} steps, from the first to the last: "
    return save_figure(run, figure, "02_terms", data=terms, alt=alt + ", ".join(told))


def draw_methods(run: Run, summary: pd.DataFrame) -> Any:
    """Every method beside the re-trained models, by five numbers: "02_accuracy"."""
    mean = summary.groupby("method", sort=False).mean(numeric_only=True)
    auc, sd = mean.lira_auc, summary[summary.method == "Re-train"].lira_auc.std()
    far, limits = (auc - 0.5) / (2 * sd), [-math.inf, -1, 1, math.inf]
    side = pd.cut(far, limits, labels=["below", "inside", "above"])
    others = side.drop(["Original", "Re-train"])
    surer, less = (", ".join(others.index[others == s]) or "no method" for s in ("above", "below"))
    title = "Sample by sample (LiRA: colours), Original is surer than re-trained models "
    title += f"(AUC {auc['Original']:.2f}"
    if sd == sd:
        title += f" against {auc['Re-train']:.2f} ± {sd:.2f}).\nBeyond two of their sd still are: "
        title += f"{surer}; less sure than a model that never saw the samples: {less}"
    else:
        title += ");\ntwo references are too few to say by chance or not"
    columns = {**SHOWN, "mia": "MIA (% called unseen)", "lira_auc": "LiRA (AUC)",
               "relearn_steps": "re-learn time (steps)"}  # fmt: skip
    told = summary.assign(verdict=summary.method.map(side))
    figure = dots(told, columns, bars="range", columns=5, title=title)
    alt = (
        "Unlearn accuracy, test accuracy, MIA, LiRA and re-learn time of every method, each seed a "
    )
    alt += "dot. Unlearn accuracy and LiRA's AUC: " + ", ".join(
        f"{m} {r.unlearn_accuracy:.1f} %, {r.lira_auc:.2f}" for m, r in mean.iterrows()
    )
    return save_figure(run, figure, "02_accuracy", data=summary, alt=alt)


def draw_clip(run: Run, frame: pd.DataFrame, summary: pd.DataFrame) -> Any:
    """RURK under looser clips, by how BatchNorm is treated: "02_batchnorm". ``frame``: a row for
    each batchnorm ("frozen", "train"), clip (the second is the run's own) and seed."""
    references = summary[summary.method == "Re-train"]
    bands = {c: (references[c].min(), references[c].max()) for c in SHOWN}
    by = frame.groupby(["batchnorm", "clip"], sort=False)[list(SHOWN)].agg(["mean", "min", "max"])
    first, chosen, *_, last = frame["clip"].unique()
    unlearn, test = (
        by[c, "mean"].map(f"{{:.{n}f}}".format) for c, n in zip(SHOWN, (0, 1), strict=True)
    )
    title = (
        f"Clip {first:g} to {last:g} takes unlearn accuracy from {unlearn['frozen', first]} to "
        f"{unlearn['frozen', last]} % (BatchNorm frozen), {unlearn['train', first]} to "
        f"{unlearn['train', last]} % (train);\ntest accuracy, frozen and train: "
        f"{test['frozen', chosen]} and {test['train', chosen]} % at the chosen clip, "
        f"{test['frozen', last]} and {test['train', last]} % at the loosest"
    )
    told = [
        f"{b}, clip {c:g}: " + ", ".join(
            "{} {:.1f} % ({:.1f} to {:.1f})".format(k.split("_")[0], *row[k]) for k in SHOWN
        )
        for (b, c), row in by.iterrows()
    ]  # fmt: skip
    figure = lines(frame, "clip", SHOWN, group="batchnorm", grey=bands, xlabel="clip", log="x",
                   each=True, title=title)  # fmt: skip
    alt = (
        "Unlearn and test accuracy of RURK over the gradient's bound clip, with BatchNorm "
        "statistics frozen and in train mode, each seed a mark; grey: the range of the re-trained "
        f"models. Means (least to most over seeds): {'; '.join(told)}."
    )
    return save_figure(run, figure, "02_batchnorm", data=frame, alt=alt)
