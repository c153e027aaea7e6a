"""All of CIFAR-10, and photographs, on a CPU: their pages say what their tables do."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rurklib import METHODS

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


def test_originals_of_photographs_are_above_re_trained_models_whatever_the_noise():
    """Imagenette's page: ratios with the limit beside them, and what is found of whom."""
    page = " ".join((FIGURES / "imagenette-cpu" / "README.md").read_text(encoding="utf-8").split())
    rows = read("imagenette-cpu/residual_knowledge.csv")
    mean = rows.groupby(["method", "tau"]).mean(numeric_only=True)
    own = mean.loc["Original"]
    pairs = [(own.ratio_of_means[t], own.predict_high[t]) for t in (0.0, 0.0188, 0.0314)]
    said = [f"{ratio:.3f} ({high:.3f}) at" for ratio, high in pairs]
    said += [f"recognises {100 * (own.ratio_of_means[0.0] - 1):.0f} % more"]
    said += [f"({own.ratio_of_means[0.0]:.3f} without, {own.ratio_of_means.max():.3f} at most)"]
    ends = mean.ratio_of_means.unstack()[[0.0, 0.0314]]
    said += [f"{ends[0.0][m]:.2f} to {ends[0.0314][m]:.2f}" for m in ("NegGrad+", "SCRUB", "GA")]
    said += ["{:.3f} to {:.3f}, none detected in two".format(*ends.loc["RURK"])]
    said += ["has ({:.3f} at tau 0, {:.3f} at 0.031)".format(*ends.loc["SSD"])]
    assert all(part in page for part in said), said
    seeds = rows[rows.method == "Original"].assign(
        above=lambda r: r.ratio_of_means > r.predict_high
    )
    assert (seeds[seeds.tau < 0.03].groupby("tau").above.sum() == 3).all()
    verdicts = read("imagenette-cpu/verdicts.csv")
    found = verdicts.groupby("method").finding.value_counts().unstack(fill_value=0)
    assert (found["residual knowledge"][["Original", "GD", "NGD", "CF-k", "SSD"]] == 3).all()
    assert (found["over-forgotten"][["NegGrad+", "SCRUB", "Retrain-quarter"]] == 3).all()
    assert found["none detected"][["EU-k", "RURK", "GA"]].tolist() == [3, 2, 2]
    treated = (
        verdicts[verdicts.treated == "surer of the forgotten"].groupby("method").seed.agg(list)
    )
    assert treated["Original"] == [0]
    assert {*verdicts.method} - {*treated.index} == {"EU-k", "Retrain-quarter"}


def test_two_thirds_of_it_show_on_photographs_that_nobody_trained_on():
    page = " ".join((FIGURES / "imagenette-cpu" / "README.md").read_text(encoding="utf-8").split())
    rows = read("imagenette-cpu/memory.csv").assign(above=lambda r: r.memory > r.memory_high)
    mean = rows.groupby(["method", "tau"]).mean(numeric_only=True)
    own = mean.loc["Original"]
    percent = lambda x: f"{100 * (x - 1):.0f}"  # noqa: E731
    said = [f"{percent(own.held_out_ratio.min())} to {percent(own.held_out_ratio.max())} % more"]
    said += [f"is {percent(own.memory.min())} to {percent(own.memory.max())} %: up to"]
    prior = mean.loc["Same-prior", 0.0]
    said += [f"forgotten {percent(prior.ratio)} % more often and held-out ones"]
    said += [f"held-out ones {percent(prior.held_out_ratio)} %"]
    assert all(part in page for part in said), said
    above = rows[rows.method == "Original"].groupby("tau").above.sum()
    assert above[above > 0].to_dict() == {0.0251: 3, 0.0282: 3, 0.0314: 2}
    assert 0.6 < (own.held_out_ratio[0.0] - 1) / (own.ratio[0.0] - 1) < 0.7
    assert read("imagenette-cpu/draws.csv").share_of_variance.max().round(1) == 1.5


def test_at_the_papers_rate_ga_is_batchnorms_statistics_alone():
    """Fails if a page, or the method's docstring, says more of it than was seen."""
    pages = {}
    for data in ("cifar10-cpu", "imagenette-cpu"):
        rows = read(f"{data}/batchnorm.csv").set_index(["seed", "batchnorm"])
        page = (FIGURES / data / "README.md").read_text(encoding="utf-8")
        unlearn, moved = rows.unlearn_accuracy.unstack(), rows.moved.unstack()
        frozen = (unlearn.frozen - unlearn.Original).abs().max()
        pages[data] = " ".join(page.split()), unlearn.mean(), moved.train.max(), frozen
    page, mean, moved, frozen = pages["cifar10-cpu"]
    assert f"forgets {mean.train - mean.Original:.0f} points more" in page
    assert f"more than {moved:.0e}".replace("e-0", "e-") in page
    assert round(frozen, 1) == 0.1
    assert f"from {100 - mean.Original:.0f} to {100 - mean.train:.0f} %" in " ".join(
        str(METHODS["GA"].__doc__).split()
    )
    page, mean, moved, frozen = pages["imagenette-cpu"]
    assert f"forgets {mean.train - mean.Original:.0f} points" in page
    assert f"more than {moved:.0e}".replace("e-0", "e-") in page
    assert frozen == 0


@pytest.mark.parametrize("data", ["cifar10-cpu", "imagenette-cpu"])
def test_how_far_a_re_trained_model_is_from_the_others_in_average_gap(data):
    """Fails if a ranking by Avg. Gap stands there without what chance alone comes to."""
    rows = read(f"{data}/summary.csv")
    own = rows[rows.method == "Re-train"]
    own = own[["retain_accuracy", "unlearn_accuracy", "test_accuracy", "mia"]]
    gaps = [(own.loc[i] - own.drop(i).mean()).abs().mean() for i in own.index]
    page = " ".join((FIGURES / data / "README.md").read_text(encoding="utf-8").split())
    assert f"between {min(gaps):.2f} and {max(gaps):.2f} from the mean of the others" in page


def test_rurk_tuned_on_a_rehearsal_is_told_from_nobody():
    """Fails if the page has another run's trials, or praises a choice that the study doesn't bear
    out."""
    page = " ".join((FIGURES / "cifar10-cpu" / "README.md").read_text(encoding="utf-8").split())
    trials = read("cifar10-cpu/trials.csv").groupby("settings", sort=False).score.mean()
    near = {f: trials[f"lambda_f={f}; lambda_a=0.00045"] for f in (0.03, 0.02, 0.015)}
    assert min(near.values()) == near[0.02]
    said = [
        f"(at least {trials[:8].min():.1f} points from",
        f"RURK is {near[0.03]:.2f} points away",
        f"with 0.02 {near[0.02]:.2f}, with 0.015 {near[0.015]:.2f}.",
    ]
    seeds = read("cifar10-cpu/rehearsal_by_seed.csv")
    told = ["none", "one", "two", "three"][(seeds.finding != "none detected").sum()]
    said += [f"from re-trained models in {told} of three seeds"]
    mean = seeds.mean(numeric_only=True)
    said += [f"ratio is {mean.ratio_at_first_tau:.3f} at tau 0"]
    gaps = read("cifar10-cpu/summary.csv").groupby("method").average_gap.mean()
    said += [f"Avg. Gap {mean.average_gap:.2f}, where they have {gaps.RURK:.2f}"]
    said += [f"wasn't tuned, {gaps.NGD:.2f};"]
    ours = read("cifar10-cpu/rehearsal_memory.csv").groupby("tau")
    at = ours.mean(numeric_only=True).loc[[0.0, 0.0314]]
    said += ["to {:.3f} at tau 0 and {:.3f} at 0.031".format(*at.held_out_ratio)]
    said += ["stand out by {:.0f} and {:.0f} %, as Original's".format(*100 * (at.memory - 1))]
    said += ["(p {:.3f} to {:.3f})".format(*ours.p.agg(["min", "max"]).loc[0.0])]
    said += ["surer of the forgotten than of held-out airplanes in three of three seeds"]
    judged = read("cifar10-cpu/rehearsal_verdicts.csv").query("method == 'RURK'")
    assert judged.finding.tolist() == seeds.finding.tolist()
    assert judged.treated.tolist() == ["surer of the forgotten"] * 3
    assert all(part in page for part in said), said
