"""All of CIFAR-10, and photographs, on a CPU: their pages say what their tables do."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FIGURES = Path(__file__).parent.parent / "figures"
DRAWS = Path(__file__).parent / "benchmarks" / "draws.py"


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(FIGURES / name)


def test_what_all_of_cifar10_costs():
    """Fails if the page has another run's times, gaps or answers of the paper's attack."""
    page = (FIGURES / "cifar10-cpu" / "README.md").read_text(encoding="utf-8")
    mean = read("cifar10-cpu/summary.csv").groupby("method").mean(numeric_only=True)
    cost = (100 * mean.share_of_retrain).map("{:.0f}".format)
    said = [f"In {cost['Retrain-quarter']} % of", f"NGD takes {cost['NGD']}"]
    said += [f"RURK {cost['RURK']}, GD {cost['GD']}"]
    said += [f"l1-sparse {mean.average_gap['l1-sparse']:.2f}"]
    unseen = mean.mia[["RandomLabels", "SalUn", "BadTeacher"]]
    said += [f"calls {unseen.min():.0f} to {unseen.max():.0f} % of them unseen"]
    said += [f"of re-trained models {mean.mia['Re-train']:.0f} %"]
    assert all(part in page for part in said), said


def test_what_the_draws_add_is_told_without_bias():
    """Two draws of 40,000 samples, each with a share of its own, against the sum that it stands
    for. Fails if the share of a sample is taken for that of all, or K for K - 1."""
    rng, n = np.random.default_rng(0), 40_000
    p = rng.beta(0.5, 0.3, n)
    hits = rng.binomial(2, p, (6, 2, n))
    (row,) = runpy.run_path(str(DRAWS))["spent"](hits, (0.0, 0.1), 2).itertuples()
    assert row.tau == 0.1
    assert row.copies == 2 * n
    assert row.draws_se == pytest.approx(100 * np.sqrt((p * (1 - p)).sum() / 2) / n, rel=0.01)
    accuracy = 100 * hits[:, 1].mean(-1) / 2
    assert row.reference_sd == pytest.approx(accuracy.std(ddof=1))


def test_two_draws_suffice_for_all_of_cifar10():
    page = " ".join((FIGURES / "cifar10-cpu" / "README.md").read_text(encoding="utf-8").split())
    rows = read("cifar10-cpu/draws.csv")
    most = rows.max()
    said = [f"accuracy by {most.draws_se:.2f} of a point at most"]
    said += [f"at most {most.share_of_variance:.1f} % of the variance"]
    said += [f"band would be {most.with_more:.1f} % narrower"]
    assert all(part in page for part in said), said


def test_copies_found_on_a_model_flatter_it_re_trained_or_not():
    """Fails if the page doesn't say what FGSM and PGD give a re-trained model, or who leaves it."""
    page = (FIGURES / "cifar10-cpu" / "README.md").read_text(encoding="utf-8")
    rows = read("cifar10-cpu/by_gradient.csv")
    assert rows.drop_duplicates(["perturbation", "method"]).shape[0] == 2 * 15
    own = rows[rows.method == "Original"].set_index(["perturbation", "tau"])
    assert (own.predict_low > 1).all()
    low, high = (100 * (own[f"predict_{end}"]["fgsm"] - 1) for end in ("low", "high"))
    said = [f"by {low[0.0063]:.0f} to {high[0.0063]:.0f} % at the smallest"]
    said += [f"{low[0.0314]:.0f} to {high[0.0314]:.0f} % at the largest"]
    said += [
        f"{own.paper['fgsm', 0.0063]:.3f} for",
        f"and {own.paper['pgd', 0.0063]:.3f} under PGD",
    ]
    assert (own.paper[:, 0.0063] < own.predict_high[:, 0.0063]).all()
    beyond = (own.ratio_of_means - own.predict_high)["fgsm"]
    said += ["by {:.3f}, {:.3f} and {:.3f} under FGSM".format(*beyond)]
    assert (own.ratio_of_means <= own.predict_high)["pgd"].all()
    found = rows[rows.method.isin(["Original", "RURK"])].groupby("method").finding.agg(set)
    assert found.to_dict() == {"Original": {"residual knowledge"}, "RURK": {"none detected"}}
    assert all(part in " ".join(page.split()) for part in said), said


def test_batchnorm_decides_what_rurk_does_to_all_of_cifar10():
    """Both modes' ratios and accuracies, as the page has them."""
    page = " ".join((FIGURES / "cifar10-cpu" / "README.md").read_text(encoding="utf-8").split())
    train = read("cifar10-cpu/variants_by_seed.csv").mean(numeric_only=True)
    rows = read("cifar10-cpu/residual_knowledge.csv").query("method == 'RURK'")
    frozen = rows.groupby("tau").ratio_of_means.mean()
    test = read("cifar10-cpu/summary.csv").query("method == 'RURK'").test_accuracy.mean()
    said = [f"come to {frozen[0.0]:.3f} at tau 0 and {frozen[0.1]:.3f} at 0.1, with {test:.1f} %"]
    ends = f"{train.ratio_at_first_tau:.3f} and {train.ratio_at_last_tau:.3f}"
    said += [f"in train mode to {ends}, with {train.test_accuracy:.1f} %"]
    assert all(part in page for part in said), said


def test_one_original_of_photographs_is_above_re_trained_models():
    """Imagenette's page: Original's ratio and the limit beside it, and what is found of whom."""
    page = " ".join((FIGURES / "imagenette-cpu" / "README.md").read_text(encoding="utf-8").split())
    rows = read("imagenette-cpu/residual_knowledge.csv")
    own = rows[rows.method == "Original"].set_index("tau")
    pairs = [(own.ratio_of_means[t], own.predict_high[t]) for t in (0.0, 0.0188, 0.0314)]
    said = [f"{ratio:.3f} ({high:.3f}) at" for ratio, high in pairs]
    assert own.ratio_of_means.idxmax() == 0.0188
    assert own.index[own.ratio_of_means > own.predict_high].max() == 0.0282
    assert all(part in page for part in said), said
    found = read("imagenette-cpu/verdicts.csv").set_index("method").finding
    assert {*found[["Original", "GD", "NGD", "SSD"]]} == {"residual knowledge"}
    assert found["RURK"] == "none detected"
