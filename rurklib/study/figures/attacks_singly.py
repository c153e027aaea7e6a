"""One attack at a time, as notebook 7 looks at them: distances, members, searches, fine-tuning.

The forget set is the first part of a frame or of ``panels`` (part: title), held-out samples the
second; ``target`` is the method beside Original. Each returns figure, data and alternative text.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rurklib.study.figures.attacks_outside import Drawn
from rurklib.study.figures.charts import dots, lines
from rurklib.study.figures.style import listed

MARGIN = "mean logit margin of y"
STATISTICS = {"calibrated auc": "AUC", "calibrated tpr": "TPR at 1 % FPR"}


def distances(frame: pd.DataFrame, methods: Sequence[str], target: str) -> Drawn:
    """Signed distances by part, the forget set first, then held-out samples. ``frame``: part,
    method and distance of each sample; ``methods``: its rows but Re-train, which is the last."""
    names = [*methods, "Re-train"]
    by = frame.groupby(["part", "method"]).distance
    middle, missed = by.median(), by.agg(lambda d: 100 * (d < 0).mean())
    forget, held_out, *_ = frame.part.unique()
    own, other = middle[forget], middle[held_out]
    title = (
        f"A forgotten sample is {own['Original']:.2f} from being lost by Original, "
        f"{own[target]:.2f} by {target}, {own['Re-train']:.2f} by re-trained models;\na held-out "
        f"one {other['Original']:.2f}, {other[target]:.2f} and {other['Re-train']:.2f} (medians)"
    )
    alt = (
        "Signed distance of forget, held-out and retained samples to the border, by method. "
        "Medians on the forget set: "
        + ", ".join(f"{m} {own[m]:.2f} ({missed[forget, m]:.0f} % missed)" for m in names)
    )
    figure = dots(
        frame.sort_values("method", key=lambda m: m.map(names.index), kind="stable"),
        "distance", by="part", bars="quartiles", centre=0.0, sharex=True, title=title,
        xlabel="signed L2 distance to where the answer changes (pixels in [0, 1]): "
        "quartiles and range",
    )  # fmt: skip
    return figure, frame, alt + "."


def members(frame: pd.DataFrame, target: str) -> Drawn:
    """Some attacks' :data:`STATISTICS` for each method and seed; ``frame``: rows of the table of
    attacks, those by "distance L2" among them."""
    attacks, auc = frame.attack.unique(), frame[frame.statistic == "calibrated auc"]
    mean = auc.groupby(["method", "attack"])[["value", "predict_low", "predict_high"]].mean()
    own, its = mean.loc["Original"], mean.value[target]
    told = ", ".join(f"{a} {own.value[a]:.2f}/{its[a]:.2f}" for a in attacks)
    _, low, high = own.loc["distance L2"]
    title = (
        f"AUC of Original/{target}: {told};\n"
        f"a further re-trained model by L2 distance: {low:.2f} to {high:.2f}"
    )
    shown = frame.assign(
        panel=frame.statistic + frame.attack, verdict=frame.finding,
        predict_low=frame.predict_low.clip(0), predict_high=frame.predict_high.clip(upper=1),
    )  # fmt: skip
    titles = {s + a: f"{a}:\n{text}" for s, text in STATISTICS.items() for a in attacks}
    figure = dots(shown, "value", by="panel", titles=titles, bars=("low", "high"),
                  centre="reference", sharex="row", title=title)  # fmt: skip
    alt = (
        "AUC and true positive rate at 1 % false positives of four membership attacks for each "
        f"method and seed. AUC, Original/{target}: {told}."
    )
    return figure, frame, alt


def mapping(frame: pd.DataFrame, panels: Mapping[str, str], reach: float, target: str) -> Drawn:
    """How near copies come to Original's answer: part, method, seed, tau (L-inf) and kl (nats).
    Words tell those at tau ``reach``."""
    at = frame[np.isclose(frame.tau, reach)].groupby(["part", "method"]).kl.mean()
    forgotten, held_out = (at[part].map("{:.1g}".format) for part in panels)
    told = ", ".join(f"{m} {forgotten[m]} / {held_out[m]}" for m in (target, "Re-train"))
    figure = lines(
        frame, "tau", "kl", by="part", titles=panels, xlabel="tau (L-inf)", log="y",
        ylabel="mean KL to Original's answer (nats)",
        title=f"At tau {reach:.3g}, forgotten / held-out: {told}",
    )  # fmt: skip
    alt = (
        "Mean KL divergence from Original's answers over tau on forgotten and held-out samples. At "
        f"tau {reach:.3g}, forgotten and held-out: "
        + ", ".join(f"{m} {forgotten[m]} and {held_out[m]}" for m in frame.method.unique())
    )
    return figure, frame, alt + "."


def masking(checks: Mapping[str, Any], reach: float) -> Drawn:
    """How a search goes on, on the forget set at tau ``reach``, and who hides gradients;
    ``checks``: by method what ``rurklib.attacks.masking`` gives."""
    falls = [("search", m, k, v) for m, c in checks.items()
             for k, v in zip(c.steps, c.margins, strict=True)]  # fmt: skip
    frame = pd.DataFrame(falls, columns=["what", "method", "steps", "margin"])
    hidden = ", ".join(m for m, c in checks.items() if c.signs) or "none"
    figure = lines(
        frame, "steps", "margin", by="what", xlabel="steps", ylabel=MARGIN,
        titles={"search": f"PGD away from y, tau {reach:.3g}"},
        title=f"Signs of hidden gradients: {hidden}\n(of {', '.join(checks)})",
    )  # fmt: skip
    alt = "Mean logit margin on the forget set after PGD with 0 to 20 steps. After the last: "
    ends = [(m, c.margins[-1], c.margins[0]) for m, c in checks.items()]
    alt += ", ".join("{} {:.2f} (from {:.2f})".format(*end) for end in ends)
    return figure, frame, f"{alt}. Signs of hidden gradients: {hidden}."


def relearning(frame: pd.DataFrame, panels: Mapping[str, str], shots: int, target: str) -> Drawn:
    """What comes back while so many ``shots`` of the class are learnt: part, method, seed, step and
    margin."""
    mean = frame.groupby(["step", "part", "method"]).margin.mean()
    forgotten, held_out = (mean[frame.step.max()][p] - mean[0][p] for p in panels)
    gain = forgotten - held_out
    title = "What forgotten samples gain more than held-out ones: "
    title += listed(gain[[target, "Re-train"]], "{} {:+.2f}")
    figure = lines(
        frame, "step", "margin", by="part", titles=panels, title=f"{title} logits",
        xlabel=f"steps on {shots} other samples of the class", ylabel=MARGIN,
    )  # fmt: skip
    alt = (
        "Mean logit margin of forgotten and held-out samples while the model is fine-tuned on "
        f"{shots} other samples of the class. What forgotten ones gain more: "
        + listed(gain, "{} {:+.2f}")
    )
    return figure, frame, alt + " logits."
