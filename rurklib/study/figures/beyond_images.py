"""Pictures of notebook 8: texts, X-rays and tables under noise and edits, and their control.

Each comes with what it shows and with an alternative text.
"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.curves import residual_curves
from rurklib.study.figures.dots import dots

# Of each law, what it is called; and the unit of its tau.
NOISE = {"gaussian": "Gaussian noise", "fgsm": "FGSM"}
EDITS = {"delete": "words deleted", "swap": "words exchanged", "typo": "words misspelt"}
LAWS = NOISE | EDITS
UNITS = {"gaussian": "sd of the noise", "fgsm": "L-inf"} | dict.fromkeys(EDITS, "rate")
# Of each measure, its column, the limit of a further re-trained model, and where nothing is left.
MEASURES = {
    "ratio": ("ratio_of_means", "predict_high", 1.0),
    "margin": ("margin_difference", "margin_predict_high", 0.0),
}
FORGET = "forget set"  # a value of the column part


def text_curves(frame: pd.DataFrame, name: str) -> tuple[Figure, pd.DataFrame, str]:
    """Residual knowledge of texts under each of five laws, and how often Original stands out.

    ``frame`` holds one scenario, called ``name``: columns law and those of
    :func:`residual_curves`. Returns the figure, ``frame`` and its alternative text.
    """
    own = frame[frame.method == "Original"]
    lead = (own.ratio_of_means > own.predict_high + 1e-9).groupby(own.law).mean()
    shares = ", ".join(f"{title} {lead[law]:.0%}" for law, title in LAWS.items())
    title = (
        f"{name}: share of taus and seeds at which Original is above a further re-trained model,\n"
        + shares
    )
    alt = (
        f"Residual knowledge of Original and RURK over tau on {name}, a panel for each of five "
        f"laws. Share above a further re-trained model: {shares}."
    )
    figure = residual_curves(frame, by="law", titles=LAWS, unit=UNITS, title=title)
    return figure, frame, alt


def noise_curves(frame: pd.DataFrame, name: str) -> tuple[Figure, pd.DataFrame, str]:
    """Residual knowledge of anything but texts under noise and FGSM, and the highest that Original
    reaches. As :func:`text_curves`."""
    own = frame[(frame.law == "gaussian") & (frame.method == "Original")]
    most = own.loc[own.ratio_of_means.idxmax()]
    title = (
        f"{name}: Original reaches {most.ratio_of_means:.3f} at tau {most.tau:g} "
        f"(seed {most.seed}), where a\nfurther re-trained model would show "
        f"{most.predict_low:.3f} to {most.predict_high:.3f}"
    )
    alt = (
        f"Residual knowledge of Original and RURK over tau on {name}, Gaussian noise and FGSM. "
        f"Original reaches {most.ratio_of_means:.3f} at tau {most.tau:g}."
    )
    return residual_curves(frame, by="law", titles=NOISE, unit=UNITS, title=title), frame, alt


def leads(prior: pd.DataFrame) -> pd.DataFrame:
    """How far each model leads, mean over taus and seeds, in units of what a further re-trained
    model may reach (95 %): 1 is its limit.

    ``prior`` has columns part, scenario, method and those of :data:`MEASURES`. Returns part,
    scenario, method, lead and measure.
    """
    mean = prior.groupby(["part", "scenario", "method"], sort=False).mean(numeric_only=True)
    each = [
        ((mean[value] - none) / (mean[limit] - none)).rename("lead").reset_index().assign(measure=m)
        for m, (value, limit, none) in MEASURES.items()
    ]
    return pd.concat(each)


def kept_leads(prior: pd.DataFrame, names: Mapping[str, str]) -> tuple[Figure, pd.DataFrame, str]:
    """Leads of Original and of the model with the references' class shares, and what of Original's
    on the forget set this one keeps.

    ``prior`` as :func:`leads` takes it; ``names``: of each scenario. Returns the figure, ``prior``
    and its alternative text.
    """
    found = leads(prior)
    marks = found.assign(
        study=found.measure + ", " + found.part, predict_low=-1.0, predict_high=1.0
    )
    marks["request"] = found.scenario.map(names)
    own = found[found.part == FORGET].set_index(["measure", "scenario", "method"]).lead.unstack()
    kept = 100 * own["Same-prior"] / own["Original"]
    said = [
        f"{m} " + ", ".join(f"{names[n]} {kept[m, n]:.0f} %" for n in prior.scenario.unique())
        for m in MEASURES
    ]
    title = "Of Original's lead on the forget set, a model with the references' class shares keeps:"
    alt = (
        "Lead of Original and of the same-prior model over re-trained ones, in ratio and in "
        "margin, on the forget set and on held-out samples. Of Original's lead on the forget set "
        f"the same-prior model keeps {'; '.join(said)}."
    )
    figure = dots(
        marks, "lead", by="study", rows="request", title="\n".join([title, ";\n".join(said)]),
        xlabel="lead (1: a further one's limit)", ylabel="data", centre=0.0, columns=2, sharex=True,
    )  # fmt: skip
    return figure, prior, alt
