"""The sentences of notebook 8 are of its numbers."""

import pandas as pd

from rurklib.study.report.beyond_images import answer, control_told


def test_the_answer_has_the_outermost_limits_of_the_seeds():
    rows = [
        {"method": m, "tau": tau, "ratio_of_means": r + 0.1 * seed, "ratio_low": r - 0.1 * seed,
         "ratio_high": r + 0.2 * seed, "predict_low": 0.8 - tau, "predict_high": 1.1 + tau}
        for m, r in (("Original", 1.2), ("RURK", 1.0)) for tau in (0.0, 0.1, 0.2) for seed in (0, 1)
    ]  # fmt: skip
    found = ["residual knowledge", "residual knowledge", "none detected", "over-forgotten"]
    verdicts = pd.DataFrame({"method": ["Original"] * 2 + ["RURK"] * 2, "finding": found})
    told = answer(pd.DataFrame(rows), verdicts, "letters").splitlines()
    assert told[0] == (
        "letters. Verdict: Original 2 x residual knowledge; RURK 1 x none detected, "
        "1 x over-forgotten."
    )
    both = "Original 1.250 [1.100, 1.400], RURK 1.050 [0.900, 1.200];"
    assert told[1:] == [
        f"  tau 0 (accuracy on the samples): {both}",
        "    a further re-trained model 0.800 to 1.100",
        f"  tau 0.1 (the middle radius): {both}",
        "    a further re-trained model 0.700 to 1.200",
    ]


def test_the_control_is_told_for_each_part():
    rows = [
        {"part": part, "method": m, "ratio_of_means": r + tau, "predict_high": r + 1,
         "margin_difference": -r, "margin_predict_high": r + 2}
        for part, more in (("forget set", 0.0), ("others", 0.5))
        for m, r in (("Original", 1.2 + more), ("Same-prior", 1.0 + more)) for tau in (0.0, 0.2)
    ]  # fmt: skip
    assert control_told(pd.DataFrame(rows), "letters").splitlines() == [
        "letters",
        "  forget set: ratio 1.300, same-prior 1.100, a further re-trained model up to 2.200;",
        "    margin -1.20, -1.00, up to +3.20",
        "  others: ratio 1.800, same-prior 1.600, a further re-trained model up to 2.700;",
        "    margin -1.70, -1.50, up to +3.70",
    ]
