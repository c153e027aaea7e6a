"""Further figures of notebook 3: other laws and norms, controls, and disagreement."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rurklib.study.figures import lines, residual_curves
from rurklib.study.report.measuring import Scale, listed
from rurklib.study.report.saved import save_figure


def draw_laws(of: Scale, rows: pd.DataFrame, panels: Mapping[str, str]) -> Any:
    """Noise beside searches, a panel for each law (``panels``: law: title): "03_laws"."""
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
    return save_figure(of.run, figure, "03_laws", data=rows, alt=alt)


def draw_norms(of: Scale, rows: pd.DataFrame, reach: Mapping[str, Sequence[float]]) -> Any:
    """Noise and search in three norms, ``reach``: the radii of each law: "03_norms"."""
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
    return save_figure(of.run, figure, "03_norms", data=rows, alt=alt)


def draw_controls(of: Scale, rows: pd.DataFrame, samples: Mapping[str, int]) -> Any:
    """The forget set beside samples that aren't forgotten, a panel for each ``control`` (so many
    ``samples``): "03_controls"."""
    last = rows[rows.tau == of.largest].groupby(["control", "method"])[of.quantity].mean()
    own = ", ".join(f"{last[name, 'Original']:.3f} ({name})" for name in samples)
    title = (
        f"At tau {of.largest:g} Original has {own};\na re-trained model that is merely smoother "
        f"has {last['forget set', 'Smoothed']:.3f} (forget set)"
    )
    figure = residual_curves(
        rows, by="control", titles={name: f"{name} ({n} samples)" for name, n in samples.items()},
        unit=of.unit, quantity=of.quantity, share=True, about="these samples", title=title,
    )  # fmt: skip
    alt = (
        "Residual knowledge over tau of Original, RURK and a re-trained model trained with noise, "
        "on the forget set, on held-out and on retained samples of the class. At the largest tau: "
        + ", ".join(f"{m} on {n} {v:.3f}" for (n, m), v in last.items() if m != "Re-train")
    )
    return save_figure(of.run, figure, "03_controls", data=rows, alt=alt)


def draw_disagreement(of: Scale, pairs: Mapping[str, pd.DataFrame]) -> Any:
    """Original and re-trained models, and a model and itself, as
    ``rurklib.residual.disagreement`` gives them: "03_disagreement"."""
    data = pd.concat([frame.assign(pair=name) for name, frame in pairs.items()])
    ours, same = (frame.iloc[-1] for frame in pairs.values())
    title = (
        f"On shared copies Original and re-trained models differ on {100 * ours.shared:.1f} % at "
        f"tau {of.largest:g}; a model and itself on {100 * same.shared:.0f} %,\n"
        f"though the bound for independent copies is {100 * same.lower:.1f} %"
    )
    copies = {
        "independent": "copies of its own for each model",
        "shared": "the same copies for both",
    }
    bounds = "lower", "upper", "between the bounds of Lemma A.4"
    figure = lines(
        data, "tau", by="pair", group=copies, grey=bounds,
        xlabel=f"tau ({of.unit})", ylabel="adversarial disagreement E[k]", title=title,
    )  # fmt: skip
    alt = (
        "Adversarial disagreement over tau. Original and re-trained models: "
        f"{ours.independent:.3f} on copies of their own, {ours.shared:.3f} on shared ones, bounds "
        f"{ours.lower:.3f} to {ours.upper:.3f}. A model and itself: {same.independent:.3f} and "
        f"{same.shared:.3f}, lower bound {same.lower:.3f}."
    )
    return save_figure(of.run, figure, "03_disagreement", data=data, alt=alt)
