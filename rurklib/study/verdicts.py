"""What is said of each model of a run, once by its ratio and once by its margins.

Two questions that needn't agree: is it *recognised* more or less often, at the largest tau, than by
a further re-trained model; and is the model more or less *sure* over the whole curve. Each model
is judged alone: a mean over seeds can lie inside where single seeds are outside on both sides.
"""

from __future__ import annotations

import pandas as pd

from rurklib.residual import ResidualKnowledge


def verdicts(result: ResidualKnowledge) -> pd.DataFrame:
    """A row per model: method, seed, tau (the largest), ratio_of_means, predict_low, predict_high,
    by_ratio ("above", "inside" or "below" what a further re-trained model would show, "" with fewer
    than three), p_ratio; and the margin test's finding, p and effect (logits)."""
    rows = []
    for name in result.models:
        method, seed = name.rsplit("-seed", 1)
        last, verdict = result.rows(name).iloc[-1], result.judge(name)
        # By accuracies where no reference says the class, and so no ratio is defined.
        side = "above" if last.difference > 0 else "below"
        known = last.p_value == last.p_value
        rows.append(
            {
                "method": method,
                "seed": int(seed),
                **last[["tau", "ratio_of_means", "predict_low", "predict_high"]],
                "by_ratio": (side if last.p_value < 0.05 else "inside") if known else "",
                "p_ratio": last.p_value,
                "finding": verdict.finding,
                "p": verdict.p,
                "effect": verdict.effect,
            }
        )
    return pd.DataFrame(rows)
