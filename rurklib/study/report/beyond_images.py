"""Sentences of notebook 8: the answer on each kind of data, and what its control shows."""

import pandas as pd


def answer(frame: pd.DataFrame, verdicts: pd.DataFrame, name: str) -> str:
    """The verdicts on Original and RURK, and their ratios at tau 0 (or the least) and at the middle
    radius: mean over seeds, the outermost limits of the seeds' 95 % intervals in brackets.

    ``frame`` holds one scenario, called ``name``, under one law: method, tau, ratio_of_means,
    ratio_low, ratio_high, predict_low, predict_high. ``verdicts``: method and finding.
    """
    said = {
        method: ", ".join(f"{n} x {finding}" for finding, n in its.value_counts().items())
        for method, its in verdicts.groupby("method").finding
    }
    lines = [f"{name}. Verdict: Original {said['Original']}; RURK {said['RURK']}."]
    radii = sorted(frame.tau.unique())
    middle = radii[len(radii) // 2]
    for tau, why in ((radii[0], "accuracy on the samples"), (middle, "the middle radius")):
        by = frame[frame.tau == tau].groupby("method")
        ratio, low, high = by.ratio_of_means.mean(), by.ratio_low.min(), by.ratio_high.max()
        both = [f"{m} {ratio[m]:.3f} [{low[m]:.3f}, {high[m]:.3f}]" for m in ("Original", "RURK")]
        least, most = by[["predict_low", "predict_high"]].mean().loc["Original"]
        lines.append(f"  tau {tau:g} ({why}): {', '.join(both)};")
        lines.append(f"    a further re-trained model {least:.3f} to {most:.3f}")
    return "\n".join(lines)


def control_told(prior: pd.DataFrame, name: str) -> str:
    """Ratio and margin of Original and of the same-prior model on each part (the forget set, and
    samples that nobody trained on), and how far a further re-trained model may go: means over taus
    and seeds.

    ``prior`` holds one scenario, called ``name``: part, method, ratio_of_means, margin_difference
    and their predict_high, margin_predict_high.
    """
    mean = prior.groupby(["part", "method"], sort=False).mean(numeric_only=True)
    lines = [name]
    for part in prior.part.unique():
        own, same = (mean.loc[(part, m), :] for m in ("Original", "Same-prior"))
        lines.append(
            f"  {part}: ratio {own.ratio_of_means:.3f}, same-prior {same.ratio_of_means:.3f}, "
            f"a further re-trained model up to {own.predict_high:.3f};\n    "
            f"margin {own.margin_difference:+.2f}, {same.margin_difference:+.2f}, "
            f"up to {own.margin_predict_high:+.2f}"
        )
    return "\n".join(lines)
