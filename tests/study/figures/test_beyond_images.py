"""What is said of texts, X-rays and tables is what was measured on them."""

import pandas as pd
import pytest

from rurklib.study.figures.beyond_images import (
    EDITS,
    LAWS,
    kept_leads,
    leads,
    noise_curves,
    text_curves,
)


def curves(laws) -> pd.DataFrame:
    """Two seeds: Original reaches 1.3 where 1.1 to 1.2 is the limit, in edits it never does."""
    rows = [
        {"law": law, "tau": tau, "seed": seed, "method": m, "null_low": 0.9, "null_high": 1.1,
         "ratio_of_means": r - 0.1 * seed - 0.3 * (m == "RURK" or law in EDITS),
         "predict_low": 0.8, "predict_high": 1.1 + tau}
        for law in laws for tau, r in ((0.0, 1.1), (0.1, 1.3)) for seed in (0, 1)
        for m in ("RURK", "Original")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_texts_say_how_often_original_is_above():
    """Fails if to be at the limit counts, if RURK's rows do, or if a law has another's share."""
    figure, data, alt = text_curves(curves(LAWS), "letters")
    shares = "Gaussian noise 25%, FGSM 25%, words deleted 0%, words exchanged 0%, words misspelt 0%"
    assert figure.get_suptitle().splitlines()[1] == shares
    assert figure.get_suptitle().startswith("letters: share of taus and seeds")
    assert alt.endswith(f"further re-trained model: {shares}.")
    assert len(data) == 40


def test_other_data_say_where_original_reaches_most():
    """Fails if FGSM's or RURK's numbers are told."""
    rows = curves(["gaussian", "fgsm"])
    rows.loc[rows.law == "fgsm", "ratio_of_means"] = 2.0
    rows.loc[rows.method == "RURK", "ratio_of_means"] = 3.0
    figure, _, alt = noise_curves(rows, "rays")
    assert figure.get_suptitle() == (
        "rays: Original reaches 1.300 at tau 0.1 (seed 0), where a\n"
        "further re-trained model would show 0.800 to 1.200"
    )
    assert alt.endswith("on rays, Gaussian noise and FGSM. Original reaches 1.300 at tau 0.1.")


@pytest.fixture
def prior() -> pd.DataFrame:
    """A further model may have 1.2 and 2: Original leads by 2 and 3 of that, on a by 1 more."""
    rows = [
        {"part": part, "scenario": name, "method": m, "predict_high": 1.2,
         "ratio_of_means": 1 + 0.2 * k * (2 + more), "margin_predict_high": 2.0,
         "margin_difference": 2.0 * k * k * (3 + more)}
        for part in ("forget set", "others") for name, more in (("b", 0), ("a", 1))
        for m, k in (("Original", 1.0), ("Same-prior", 0.5 if part == "forget set" else 2.0))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_lead_is_in_units_of_the_limit(prior):
    found = leads(prior).set_index(["measure", "part", "scenario", "method"]).lead
    for measure, b, a in (("ratio", 2, 3), ("margin", 3, 4)):
        assert found[measure, "forget set", "b", "Original"] == pytest.approx(b)
        assert found[measure, "forget set", "a", "Original"] == pytest.approx(a)
    assert found["margin", "others", "b", "Same-prior"] == pytest.approx(12)


def test_what_is_kept_is_told_of_the_forget_set(prior):
    """Fails if held-out samples are mixed in, or data change their places."""
    prior.loc[(prior.scenario == "a") & (prior.method == "Original"), "margin_difference"] *= 2
    figure, data, alt = kept_leads(prior, {"a": "A", "b": "B"})
    said = ["ratio B 50 %, A 50 %", "margin B 25 %, A 12 %"]
    assert figure.get_suptitle().splitlines()[1:] == [f"{said[0]};", said[1]]
    assert alt.endswith(f"the same-prior model keeps {'; '.join(said)}.")
    assert data is prior
