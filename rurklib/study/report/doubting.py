"""Figures of notebook 4: what can fool the measurement, and the finding that each title tells."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rurklib.study.figures import (
    band_growth,
    estimator_gap,
    image_rows,
    lines,
    residual_curves,
    sample_histogram,
)
from rurklib.study.figures.scaffold import listed
from rurklib.study.ids import SAME_PRIOR
from rurklib.study.report.measuring import Scale
from rurklib.study.report.saved import save_figure
from rurklib.study.report.which import CONTROL


def draw_one_reference(of: Scale, alone: pd.DataFrame, fewer: pd.DataFrame) -> Any:
    """Against each reference alone, and against more and more: "04_references". Frames as
    :func:`rurklib.study.figures.band_growth` takes them."""
    at = alone[alone.tau == of.largest].groupby("method")[of.quantity]
    own, others = (f"{at.min()[m]:.2f} to {at.max()[m]:.2f}" for m in ("Original", "Re-train"))
    title = (
        f"By the choice of one reference, Original (seed {of.run.seeds[0]}) has {own} at tau "
        f"{of.largest:g},\na re-trained model {others}"
    )
    alt = (
        "Left: curves against each single reference; at the largest tau Original ranges from "
        f"{own}, re-trained models against one another from {others}. Right: the bands for 2 to "
        f"{fewer['size'].max()} references."
    )
    look = {"quantity": of.quantity, "unit": of.unit, "title": title}
    figure = band_growth(alone, fewer, method="Original", **look)
    return save_figure(of.run, figure, "04_references", data=fewer, alt=alt)


def draw_two_averages(of: Scale, curve: pd.DataFrame) -> Any:
    """Ratio of means and mean of ratios of Original: "04_estimators"."""
    own = curve[curve.method == "Original"]
    gap = (own.mean_of_ratios - own.ratio_of_means).abs().max()
    title = f"For Original the two averages differ by up to {gap:.2f}"
    if of.run.whole_class:
        title = "No ratio is defined: no re-trained model ever says the forgotten class"
    title += f" ({100 * own.undefined_share.max():.0f} % undefined)"
    alt = "Ratio of means and mean of ratios of Original over tau, and the share of undefined "
    figure = estimator_gap(own, title=title, unit=of.unit)
    return save_figure(of.run, figure, "04_estimators", data=own, alt=alt + "samples.")


def draw_per_sample(of: Scale, groups: Mapping[str, np.ndarray], lead: np.ndarray) -> Any:
    """Each sample's own ratio: "04_per_sample". ``groups``: [models, samples] by method;
    ``lead`` [samples]: how many more of its copies Original recognises."""
    most, gained = max(1, round(len(lead) / 10)), np.sort(np.clip(lead, 0, None))[::-1]
    share = 100 * gained[:most].sum() / max(gained.sum(), 1e-9)
    title = f"A tenth of the forget set ({most} of {len(lead)}) carries {share:.0f} % of what "
    title += "Original recognises more (mean over seeds)"
    what = "share of copies recognised" if of.run.whole_class else "residual knowledge of a sample"
    xlabel = f"{what} at tau {of.largest:g}"
    figure = sample_histogram(groups, xlabel=xlabel, title=title)
    data = pd.DataFrame({m: v.mean(0) for m, v in groups.items()}).rename_axis("sample")
    alt = "Histograms of residual knowledge over the forget samples for " + ", ".join(
        f"{m} (median {np.nanmedian(v):.2f}, largest {np.nanmax(v):.2f})" for m, v in groups.items()
    )
    return save_figure(of.run, figure, "04_per_sample", data=data.reset_index(), alt=alt)


def draw_ranked(of: Scale, images: np.ndarray, value: np.ndarray) -> Any:
    """The ten samples of highest and of lowest ratio: "04_ranked"."""
    order = np.argsort(-value, kind="stable")
    ends = {"most": order[:10], "least": order[-10:][::-1]}
    words = {k: [f"{value[j]:.2f}" for j in i] for k, i in ends.items()}
    first, last = words["most"][0], words["least"][0]
    title = f"Residual knowledge under Original (mean over seeds) from {first} down to {last}"
    figure = image_rows({k: images[i] for k, i in ends.items()}, captions=words, title=title)
    data = pd.DataFrame({"sample": order, "value": value[order]})
    alt = (
        f"The ten forget images with the highest ratio under Original ({first} and less) and the "
        f"ten with the lowest ({last} and more)."
    )
    return save_figure(of.run, figure, "04_ranked", data=data, alt=alt)


def draw_controls(of: Scale, rows: pd.DataFrame, samples: Mapping[str, int]) -> Any:
    """The forget set beside samples that aren't forgotten, a panel for each ``control`` (so many
    ``samples``): "04_controls"."""
    last = rows[rows.tau == of.largest].groupby(["control", "method"])[of.quantity].mean()
    own = ", ".join(f"{last[name, 'Original']:.3f} ({name})" for name in samples)
    title = (
        f"At tau {of.largest:g} Original has {own};\na re-trained model that is merely smoother "
        f"has {last['forget set', 'Smoothed']:.3f} (forget set)"
    )
    figure = residual_curves(
        rows, by="control", titles={name: f"{name} ({n} samples)" for name, n in samples.items()},
        unit=of.unit, quantity=of.quantity, about="these samples", title=title,
    )  # fmt: skip
    alt = (
        "Residual knowledge over tau of Original, RURK and a re-trained model trained with noise, "
        "on the forget set, on held-out and on retained samples of the class. At the largest tau: "
        + ", ".join(f"{m} on {n} {v:.3f}" for (n, m), v in last.items() if m != "Re-train")
    )
    return save_figure(of.run, figure, "04_controls", data=rows, alt=alt)


def left_for_memory(last: pd.DataFrame) -> str:
    """Who sets the forgotten apart from strangers, in words. ``last``: a row for each method, means
    over seeds of what :func:`rurklib.study.stages.memory.memory` gives at one tau."""
    asked = last.drop(["Original", SAME_PRIOR, "Re-train", CONTROL], errors="ignore")
    apart = asked[asked.memory > asked.memory_high]
    named = "; ".join(
        f"with a ratio {where} 1: {', '.join(apart.index[rows]) or 'none'}"
        for where, rows in {"of at least": apart.ratio >= 1, "below": apart.ratio < 1}.items()
    )
    return f"{len(apart)} of {len(asked)} methods set the forgotten apart from strangers ({named})."


def draw_laws(of: Scale, rows: pd.DataFrame, panels: Mapping[str, str]) -> Any:
    """Noise beside searches, a panel for each law (``panels``: law: title): "04_laws"."""
    seen = of.beyond(rows[rows.tau > 0]).groupby("perturbation").any()
    titles = {of.law: f"{of.law} noise", **panels}
    said = "; ".join(t for law, t in titles.items() if seen[law]) or "no law"
    units = {of.law: of.unit, **dict.fromkeys(panels, "L-inf")}
    title = f"Original leaves the band upwards at some tau > 0 under: {said}"
    figure = residual_curves(
        rows, by="perturbation", titles=titles, quantity=of.quantity, unit=units, title=title
    )
    alt = (
        "Residual knowledge over tau under noise and under FGSM and PGD towards the label and away "
        "from it, with the bands of re-trained models. Original leaves the band upwards under: "
        f"{said}."
    )
    return save_figure(of.run, figure, "04_laws", data=rows, alt=alt)


def draw_norms(of: Scale, rows: pd.DataFrame, reach: Mapping[str, Sequence[float]]) -> Any:
    """Noise and search in three norms, ``reach``: the radii of each law: "04_norms"."""
    norm = {law: "L2" if "l2" in law else "L1" if "l1" in law else "L-inf" for law in reach}
    how = {law: "noise" if "uniform" in law else "PGD away from y" for law in reach}
    titles = {law: f"{how[law]}, {norm[law]}" for law in reach}
    seen, radii = (
        of.beyond(rows).groupby("perturbation").sum()[[*reach]],
        [*map(len, reach.values())],
    )
    noise, search = ("/".join(map(str, seen.filter(like=key))) for key in ("uniform", "pgd"))
    title = (
        f"Original is above {of.limit} at {noise} of {radii[0]} radii by noise in L-inf/L2/L1, "
        f"and\n{search} of {radii[-1]} by search"
    )
    figure = residual_curves(
        rows, by="perturbation", titles=titles, unit=dict.fromkeys(reach, "radius"),
        quantity=of.quantity, title=title,
    )  # fmt: skip
    alt = (
        "Residual knowledge over the radius for uniform noise and for PGD away from the label in "
        "L-inf, L2 and L1 balls. Taus at which Original is above the band: "
        + listed(seen.rename(titles), "{} {}")
    )
    return save_figure(of.run, figure, "04_norms", data=rows, alt=alt)


def draw_disagreement(of: Scale, pairs: Mapping[str, pd.DataFrame]) -> Any:
    """Original and re-trained models, and a model and itself, as
    ``rurklib.residual.disagreement`` gives them: "04_disagreement"."""
    data = pd.concat([frame.assign(pair=name) for name, frame in pairs.items()])
    ours, same = (frame.iloc[-1] for frame in pairs.values())
    title = (
        f"On shared noisy copies Original (seed {of.run.seeds[0]}) and a few re-trained models "
        f"differ on {100 * ours.shared:.1f} %\nat tau {of.largest:g}; a model and itself on "
        f"{100 * same.shared:.0f} % (on independent copies on {100 * same.lower:.1f} % at least)"
    )
    copies = {
        "independent": "copies of its own for each model",
        "shared": "the same copies for both",
    }
    bounds = "lower", "upper", "between the bounds of Lemma A.4"
    figure = lines(
        data, "tau", by="pair", group=copies, grey=bounds,
        xlabel=f"tau ({of.unit})", ylabel="disagreement E[k]", title=title,
    )  # fmt: skip
    alt = (
        "Disagreement on noisy copies over tau. Original and re-trained models: "
        f"{ours.independent:.3f} on copies of their own, {ours.shared:.3f} on shared ones, bounds "
        f"{ours.lower:.3f} to {ours.upper:.3f}. A model and itself: {same.independent:.3f} and "
        f"{same.shared:.3f}, lower bound {same.lower:.3f}."
    )
    return save_figure(of.run, figure, "04_disagreement", data=data, alt=alt)
