"""The figures of notebooks 1 to 4, and how a notebook saves and shows one.

What is shown is the saved file, so a figure in a notebook, in ``figures/`` and in the report are
the same picture, with the same alternative text and the data that it was drawn from beside it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from rurklib.study import store
from rurklib.study.figures.charts import dots, lines, sample_histogram
from rurklib.study.figures.curves import QUANTITIES, band_growth, residual_curves
from rurklib.study.figures.images import image_rows, who
from rurklib.study.figures.style import png
from rurklib.study.measurement import in_most
from rurklib.study.run import Run
from rurklib.tensors import as_float

ACCURACIES = {"unlearn_accuracy": "unlearn accuracy (%)", "test_accuracy": "test accuracy (%)"}


def save_figure(
    run: Run | Path, figure: Figure, name: str, *, data: pd.DataFrame, alt: str = ""
) -> Any:
    """Write ``figures/NAME.png``, its data as ``NAME.csv`` and its alt text as ``NAME.json``.

    ``run`` is the run whose folder they go to, or a folder, for what is drawn without a run.
    ``name`` begins with the notebook's number ("03_curves"). The alternative text is by default the
    figure's title and the name of the CSV. Returns an IPython image to display.
    """
    from IPython.display import Image

    alt = alt or f"{' '.join(figure.get_suptitle().split())} (data: {name}.csv)"
    content, folder = png(figure, alt), _figures(run)
    store.write(folder / f"{name}.png", content)
    store.write_frame(folder / f"{name}.csv", data)
    store.write_json(folder / f"{name}.json", {"alt": alt})
    return Image(content, alt=alt, width=round(figure.get_figwidth() * 100))


def saved_figures(run: Run | Path) -> list[tuple[Path, str]]:
    """(picture, alt text) of every figure that the run's notebooks have saved."""
    pictures = sorted(_figures(run).glob("*.png"))
    return [(path, store.read_json(path.with_suffix(".json"))["alt"]) for path in pictures]


def _figures(run: Run | Path) -> Path:
    return (run if isinstance(run, Path) else run.folder) / "figures"


def shown(table: pd.DataFrame, precision: int = 3) -> Any:
    """A table as a notebook shows it: without its index, numbers to ``precision`` decimals."""
    return table.style.hide(axis="index").format(precision=precision)


# --- notebook 1 ---------------------------------------------------------------


def draw_samples(run: Run) -> Any:
    """Ten forget samples over ten held-out ones: "01_samples"."""
    parts = {"forget (to be forgotten)": "forget", "held out (never seen)": "held_out"}
    rows = {label: as_float(run.pair(p)[0][:10]).cpu().numpy() for label, p in parts.items()}
    data = pd.DataFrame(
        {"part": parts.values(), "samples": [len(run.pair(p)[0]) for p in parts.values()]}
    )
    figure = image_rows(rows, title=f"Forget and held-out samples, {run.scenario.name}")
    return save_figure(run, figure, "01_samples", data=data)


def draw_accuracies(run: Run, frame: pd.DataFrame) -> Any:
    """Original beside re-trained models: "01_accuracy". ``frame``: a row a model, with method, seed
    and its accuracies, in percent, on retain, forget, held_out and test."""
    parts = {"forget": "forget", "held_out": "held-out", "test": "test"}
    labels = {part: f"{name} accuracy (%)" for part, name in parts.items()}
    title = f"Accuracy of Original and re-trained models, {run.scenario.name}"
    figure = dots(frame, labels, bars="range", title=title)
    return save_figure(run, figure, "01_accuracy", data=frame)


def draw_who(
    run: Run,
    name: str,
    chosen: Any,
    answers: Mapping[Any, Tensor],
    below: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """A few forget samples, a noisy copy of each, and who recognises it: notebooks 1 to 3, saved as
    ``name``.

    ``chosen``: a :class:`rurklib.study.measurement.Telling`. ``answers``: the class that each
    model, (method, seed), says of each copy, int64 [n]. ``below``: further lines of words [n].
    """
    labels = chosen.labels.cpu().numpy()
    right: dict[str, Any] = {"re-trained models": []}
    for (method, _), answer in answers.items():
        line = "re-trained models" if method == "Re-train" else method
        right.setdefault(line, []).append(answer.cpu().numpy() == labels)
    right = {line: np.stack(r) for line, r in right.items()}
    first = f"Original (seed {run.seeds[0]})"
    counts = {f"re-trained, of {chosen.draws}": chosen.retrained, first: chosen.original}
    words = {line: np.array([f"{k:.0f}" for k in row]) for line, row in counts.items()}
    words |= {line: np.array(row) for line, row in (below or {}).items()}
    data = {"sample": chosen.places, **{m: r.sum(0) for m, r in right.items()}, **words}
    one_class = len(set(labels)) == 1  # or samples of any class are to be forgotten
    word = run.data.classes[int(labels[0])] if one_class else "its class"
    images, copies = (part.cpu().numpy() for part in (chosen.images, chosen.copies))
    title = f"Who recognises noisy copies (tau {chosen.tau:g}), {run.scenario.name}"
    figure = who(images, copies, {**right, **words}, title=title, word=word)
    return save_figure(run, figure, name, data=pd.DataFrame(data))


# --- notebook 2 ---------------------------------------------------------------


def draw_terms(run: Run, history: Sequence[Mapping[str, float]]) -> Any:
    """The terms of RURK's loss, each over the steps: "02_terms"."""
    names = {"retain": "retain samples", "forget": "forget samples", "near": "noisy copies"}
    terms = pd.DataFrame(history, index=range(1, len(history) + 1))[list(names)]
    terms = terms.rename_axis("step").reset_index()
    title = f"The terms of RURK's loss over its steps, {run.scenario.name}"
    figure = lines(
        terms, "step", group=names, xlabel="step of RURK", ylabel="loss", log="y", title=title
    )
    figure.axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    return save_figure(run, figure, "02_terms", data=terms)


def draw_methods(run: Run, summary: pd.DataFrame) -> Any:
    """Every method beside the re-trained models, by five numbers: "02_accuracy". Colour and mark
    say whether its mean LiRA AUC is more than two sd of re-trained models from 0.5."""
    auc = summary.groupby("method", sort=False).lira_auc.mean()
    sd = summary[summary.method == "Re-train"].lira_auc.std()
    limits = [-math.inf, -1, 1, math.inf]
    side = pd.cut((auc - 0.5) / (2 * sd), limits, labels=["below", "inside", "above"])
    columns = {**ACCURACIES, "mia": "MIA (% called unseen)", "lira_auc": "LiRA (AUC)",
               "relearn_steps": "re-learn time (steps)"}  # fmt: skip
    title = f"Five measures of every method, {run.scenario.name}; colour: LiRA's AUC"
    by_side = summary.assign(verdict=summary.method.map(side))
    figure = dots(by_side, columns, bars="range", columns=5, title=title)
    return save_figure(run, figure, "02_accuracy", data=summary)


def draw_clip(run: Run, frame: pd.DataFrame, summary: pd.DataFrame) -> Any:
    """RURK under looser clips, by how BatchNorm is treated: "02_batchnorm". ``frame``: a row for
    each batchnorm ("frozen", "train"), clip and seed."""
    references = summary[summary.method == "Re-train"]
    bands = {c: (references[c].min(), references[c].max()) for c in ACCURACIES}
    title = f"RURK over its clip, by the mode of BatchNorm, {run.scenario.name}"
    figure = lines(frame, "clip", ACCURACIES, group="batchnorm", grey=bands, xlabel="clip", log="x",
                   each=True, title=title)  # fmt: skip
    return save_figure(run, figure, "02_batchnorm", data=frame)


# --- notebook 3 ---------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """What is drawn of a run's measurement: see :func:`scale_of`."""

    run: Run
    law: str
    unit: str  # of tau
    quantity: str  # a name in QUANTITIES
    limits: tuple[str, str]  # the columns that bound what a re-trained model may show
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
    references have a range, but no prediction interval."""
    quantity = "difference" if run.whole_class else "ratio_of_means"
    _, span, predict, _ = QUANTITIES[quantity]
    assert span is not None
    limits = predict if predict is not None and references > 2 else span
    unit = "sd of the noise" if law == "gaussian" else law
    return Scale(run, law, unit, quantity, limits, run.scenario.taus[-1])


def draw_curves(of: Scale, curve: pd.DataFrame, verdicts: pd.DataFrame) -> Any:
    """Every method over tau, in the colours of its verdict in most seeds: "03_curves"."""
    figure = _judged_curves(of, curve, verdicts, of.quantity, "Residual knowledge over tau")
    return save_figure(of.run, figure, "03_curves", data=curve)


def draw_margins(of: Scale, curve: pd.DataFrame, verdicts: pd.DataFrame) -> Any:
    """Logit margins over tau, in the verdicts' colours: "03_margins"."""
    value, low, high = "margin_difference", "margin_predict_low", "margin_predict_high"
    figure = _judged_curves(of, curve, verdicts, value, "Logit margins over tau")
    data = curve[["method", "seed", "tau", value, low, high]]
    return save_figure(of.run, figure, "03_margins", data=data)


def _judged_curves(
    of: Scale, curve: pd.DataFrame, verdicts: pd.DataFrame, quantity: str, what: str
) -> Figure:
    """Curves of ``quantity``; a method of many looks like its verdict in most seeds."""
    found = verdicts.groupby("method").finding.agg(in_most)
    rows = curve.assign(verdict=curve.method.map(found))
    title = f"{what}, {of.run.scenario.name}"
    return residual_curves(
        rows, quantity=quantity, unit=f"{of.unit}, pixels in [0, 1]", title=title
    )


# --- notebook 4 ---------------------------------------------------------------


def draw_one_reference(of: Scale, alone: pd.DataFrame, fewer: pd.DataFrame) -> Any:
    """Against each reference alone, and against more and more: "04_references". Frames as
    :func:`rurklib.study.figures.curves.band_growth` takes them."""
    title = f"Original (seed {of.run.seeds[0]}) beside fewer references, {of.run.scenario.name}"
    look = {"quantity": of.quantity, "unit": of.unit, "title": title}
    figure = band_growth(alone, fewer, method="Original", **look)
    return save_figure(of.run, figure, "04_references", data=fewer)


def draw_two_averages(of: Scale, curve: pd.DataFrame) -> Any:
    """Ratio of means and mean of ratios of Original: "04_estimators"."""
    own = curve[curve.method == "Original"]
    averages = {"ratio_of_means": "ratio of means (what the paper plots)",
                "mean_of_ratios": "mean of ratios (what the paper defines)"}  # fmt: skip
    title = f"Two averages of Original's ratios, {of.run.scenario.name}"
    xlabel = f"tau ({of.unit})"
    figure = lines(own, "tau", group=averages, title=title, xlabel=xlabel, ylabel="ratio")
    return save_figure(of.run, figure, "04_estimators", data=own)


def draw_per_sample(of: Scale, groups: Mapping[str, np.ndarray]) -> Any:
    """Each sample's own ratio: "04_per_sample". ``groups``: [models, samples] by method."""
    what = "Share of copies recognised" if of.run.whole_class else "Residual knowledge"
    title = f"{what} of each forget sample, {of.run.scenario.name}"
    figure = sample_histogram(groups, xlabel=f"{what.lower()} at tau {of.largest:g}", title=title)
    data = pd.DataFrame({m: v.mean(0) for m, v in groups.items()}).rename_axis("sample")
    return save_figure(of.run, figure, "04_per_sample", data=data.reset_index())


def draw_ranked(of: Scale, images: np.ndarray, value: np.ndarray) -> Any:
    """The ten samples of highest and of lowest ratio: "04_ranked"."""
    order = np.argsort(-value, kind="stable")
    ends = {"most": order[:10], "least": order[-10:][::-1]}
    captions = {k: [f"{value[j]:.2f}" for j in i] for k, i in ends.items()}
    rows = {k: images[i] for k, i in ends.items()}
    title = f"Highest and lowest ratios under Original (mean over seeds), {of.run.scenario.name}"
    figure = image_rows(rows, captions=captions, title=title)
    data = pd.DataFrame({"sample": order, "value": value[order]})
    return save_figure(of.run, figure, "04_ranked", data=data)


def draw_controls(of: Scale, rows: pd.DataFrame, samples: Mapping[str, int]) -> Any:
    """The forget set beside samples that aren't forgotten, a panel for each ``control`` (so many
    ``samples``): "04_controls"."""
    figure = residual_curves(
        rows, by="control", titles={name: f"{name} ({n} samples)" for name, n in samples.items()},
        unit=of.unit, quantity=of.quantity, about="these samples",
        title=f"Residual knowledge of the forget set and of controls, {of.run.scenario.name}",
    )  # fmt: skip
    return save_figure(of.run, figure, "04_controls", data=rows)


def draw_laws(of: Scale, rows: pd.DataFrame, panels: Mapping[str, str]) -> Any:
    """Noise beside searches, a panel for each perturbation (``panels``: its title): "04_laws"."""
    units = {of.law: of.unit, **dict.fromkeys(panels, "L-inf")}
    figure = residual_curves(
        rows, by="perturbation", titles={of.law: f"{of.law} noise", **panels}, unit=units,
        quantity=of.quantity, title=f"Residual knowledge by perturbation, {of.run.scenario.name}",
    )  # fmt: skip
    return save_figure(of.run, figure, "04_laws", data=rows)


def draw_norms(of: Scale, rows: pd.DataFrame, reach: Mapping[str, Sequence[float]]) -> Any:
    """Noise and search in three norms, ``reach``: the radii of each perturbation: "04_norms"."""
    norm = {law: "L2" if "l2" in law else "L1" if "l1" in law else "L-inf" for law in reach}
    how = {law: "noise" if "uniform" in law else "PGD away from y" for law in reach}
    figure = residual_curves(
        rows, by="perturbation", titles={law: f"{how[law]}, {norm[law]}" for law in reach},
        unit=dict.fromkeys(reach, "radius"), quantity=of.quantity,
        title=f"Residual knowledge in three norms, {of.run.scenario.name}",
    )  # fmt: skip
    return save_figure(of.run, figure, "04_norms", data=rows)


def draw_disagreement(of: Scale, pairs: Mapping[str, pd.DataFrame]) -> Any:
    """Original and re-trained models, and a model and itself: "04_disagreement". Frames with
    columns tau, lower, upper, independent and shared, as notebook 4 makes them."""
    data = pd.concat([frame.assign(pair=name) for name, frame in pairs.items()])
    copies = {"independent": "copies drawn for each model", "shared": "the same copies for both"}
    bounds = "lower", "upper", "between the bounds of Lemma A.4"
    figure = lines(
        data, "tau", by="pair", group=copies, grey=bounds,
        xlabel=f"tau ({of.unit})", ylabel="disagreement E[k]",
        title=f"How often two models differ on noisy copies, {of.run.scenario.name}",
    )  # fmt: skip
    return save_figure(of.run, figure, "04_disagreement", data=data)
