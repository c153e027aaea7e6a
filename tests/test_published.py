"""The committed results say what the pages say they do: the numbers, and whose they are."""

import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from rurklib import study
from rurklib.residual.verdict import combined
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.scenarios.images import CONTROL
from rurklib.study.stages.measure import P_OF
from rurklib.unlearn.rurk import FIRST

FIGURES = Path(__file__).parent.parent / "figures"
RESULTS = FIGURES / "README.md"
FRONT = FIGURES.parent / "README.md"
IMAGES = ("digits", "cifar5", "fashion")


IN_TWO_STEPS = {f"{name}+RURK" for name in FIRST}


def told(page: Path | str, *parts: str) -> None:
    """Fails unless one paragraph, or one item of a list, has all of these names and numbers."""
    text = page.read_text(encoding="utf-8") if isinstance(page, Path) else page
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n|\n(?=- )", text)]
    assert any(all(part in block for part in parts) for block in blocks), parts


def head_of(notebook: str) -> str:
    return nbformat.read(FRONT.parent / "notebooks" / f"{notebook}.ipynb", 4).cells[0].source


def read(name: str, largest: bool = False) -> pd.DataFrame:
    """A table below ``figures``; ``largest``: its rows at the largest tau alone."""
    table = pd.read_csv(FIGURES / name)
    return table[table.tau == table.tau.max()] if largest else table


def mean(name: str) -> pd.DataFrame:
    summary = read(f"{name}/summary.csv")
    shown = ["Original", "Re-train", *SCENARIOS[name].methods]
    # The control, and those in two steps such as GD+RURK, are younger than some tables.
    older = [m for m in shown if m != "Retrain-quarter"]
    measured = [m for m in summary.method.unique() if m != "NoisyRURK"]  # the first edition's
    assert measured in (shown, older, [m for m in older if m not in IN_TWO_STEPS])
    return summary.groupby("method", sort=False).mean(numeric_only=True)


# 100 shirts and as many held out, half of them recognised: their difference alone has an sd of 7.
@pytest.mark.parametrize(
    ("name", "apart", "band"),
    [("digits", 5, 1.028), ("cifar5", 6, 1.115), ("fashion", 14, 1.141)],
)
def test_original_is_found_and_the_retrained_know_no_more_than_the_class(name, apart, band):
    """Fails if a re-trained model saw the forget set, or that is of another kind than the class;
    or if the study is of other methods than the scenario's."""
    rows = mean(name)
    assert rows.lira_auc["Original"] >= 0.8
    assert rows.lira_auc["Re-train"] == pytest.approx(0.5, abs=0.02)
    assert rows.relearn_epochs["Original"] == 0
    assert rows.relearn_epochs["Re-train"] > 0
    own = rows.loc["Re-train"]
    assert 100 - own.unlearn_accuracy == pytest.approx(own.held_out_accuracy, abs=apart)
    last = read(f"{name}/residual_knowledge.csv", largest=True)
    last = last[last.method == "Original"]
    assert (last.ratio_of_means > last.null_high).all()
    assert last.null_high.iloc[0] == pytest.approx(band, abs=0.02)


@pytest.mark.parametrize(("name", "trials"), [("digits", 24), ("cifar5", 8), ("fashion", 8)])
def test_every_tuned_method_had_the_same_number_of_trials(name, trials):
    table = pd.read_csv(FIGURES / name / "trials.csv", keep_default_na=False)
    counts = table.groupby("method").trial.nunique()
    own = set(SCENARIOS[name].methods) - ({"NTK"} if name == "cifar5" else set())
    own -= IN_TWO_STEPS | {"Retrain-quarter"}  # those have the values of both, it the recipe's
    if name == "fashion":
        assert counts.pop("RURK") == 24  # as its page says: an advantage
        told(FIGURES / name / "README.md", "RURK", "24")
        own.remove("RURK")
    assert set(counts) == {trials}
    assert set(counts.index) - {"NoisyRURK"} == own


def test_the_ordering_agrees_with_the_papers_as_far_as_the_page_says():
    """The paper's CIFAR-10 curves (Gaussian, tau 0.031) against ours on small CIFAR-5 at 0.03."""
    paper = {"Original": 1.141, "CF-k": 1.104, "GD": 1.040, "EU-k": 0.780, "NGD": 0.523,
             "NegGrad+": 0.404, "SCRUB": 0.266, "RURK": 0.120, "SSD": 0.065,
             "GA": 0.050}  # fmt: skip
    frame = read("cifar5/residual_knowledge.csv")
    ours = frame[frame.tau == 0.03].groupby("method").ratio_of_means.mean()[list(paper)]
    assert ours.corr(pd.Series(paper), method="spearman") == pytest.approx(0.31, abs=0.005)
    told(FIGURES / "cifar5" / "README.md", "0.31")


def test_the_controls_tell_what_the_front_page_says():
    """Original is high on the forget set alone; RURK costs retained samples of the class more."""
    last = read("digits/04_controls.csv", largest=True).groupby(["control", "method"])
    ratio, high = last.ratio_of_means.mean(), last.predict_high.mean()
    assert ratio["forget set", "Original"] > high["forget set", "Original"]
    for control in ("held out", "retained"):
        assert ratio[control, "Original"] < high[control, "Original"]
    assert ratio["forget set", "Smoothed"] < high["forget set", "Smoothed"]
    assert ratio["retained", "RURK"] < ratio["forget set", "RURK"]
    named = [("held out", "Original"), ("retained", "Original"), ("forget set", "Smoothed")]
    told(RESULTS, "Original", *(f"{ratio[key]:.3f}" for key in named))
    rurk = [f"{ratio[control, 'RURK']:.3f}" for control in ("retained", "forget set")]
    told(RESULTS, "RURK", *rurk)


def test_the_front_page_counts_seeds_as_the_verdicts_do():
    """p is what its parts come to; and methods that are named as above, or below, in all seeds,
    with their ratios and the band."""
    table = read("digits/verdicts.csv")
    if "p_margin" in table:  # or it is from before there was one rule
        parts = table[[*P_OF.values()]].to_numpy()
        assert table.p.to_numpy() == pytest.approx([combined(row) for row in parts], rel=1e-5)
        assert ((table.finding == "none detected") == (table.p >= 0.05)).all()
    same = table.groupby("method", sort=False).finding.agg(lambda f: f.iloc[0] * (f.nunique() == 1))
    knows, over = (list(same.index[same == f]) for f in ("residual knowledge", "over-forgotten"))
    assert knows == ["Original", "GD", "CF-k", "SSD"]
    ratio = table.groupby("method").ratio_of_means.mean()
    band = [f"{v:.3f}" for v in table[["predict_low", "predict_high"]].iloc[0]]
    told(RESULTS, *knows, f"{ratio['Original']:.3f}", *band)
    told(RESULTS, *over, "SCRUB+RURK", f"{ratio['SCRUB+RURK']:.3f}")
    assert ratio["SCRUB+RURK"] == ratio.drop("NoisyRURK").min()
    told(FRONT, *knows, "three of three seeds")
    told(FRONT, *(m for m in over if m not in IN_TWO_STEPS), "three of three")
    rurk = table[table.method == "RURK"].ratio_of_means
    told(RESULTS, "RURK", ", ".join(f"{r:.3f}" for r in rurk))


def test_rurk_lowers_the_class_more_than_what_it_was_to_forget():
    """On three data sets, at the largest tau, in one place of the front page."""
    numbers = []
    for name in IMAGES:
        last = read(f"{name}/04_controls.csv", largest=True)
        ratio = last[last.method == "RURK"].groupby("control").ratio_of_means.mean()
        assert ratio["forget set"] > max(ratio["held out"], ratio["retained"])
        numbers += [f"{r:.3f}" for r in ratio]
    told(RESULTS, "RURK", *numbers)


def test_the_ablations_say_what_the_front_page_says():
    """On digits BatchNorm moves the ratio more than tau or the number of copies does; weight 0
    leaves Original's knowledge where it was."""
    rows = read("ablations/95_choices.csv")
    rurk = rows[rows.method == "RURK"]
    batchnorm = rurk[rurk.group == "batchnorm"].groupby("batchnorm").ratio_of_means.mean()
    told(RESULTS, "BatchNorm", f"{batchnorm['frozen']:.2f}", f"{batchnorm['train']:.2f}")
    weight = rurk[rurk.group == "lambda"].groupby("lam").ratio_of_means.mean()
    original = rows[(rows.method == "Original") & (rows.group == "lambda")].ratio_of_means.mean()
    assert weight[0.0] == pytest.approx(original, abs=0.01)
    assert weight[0.15] == pytest.approx(weight[0.5], abs=0.01)
    wide = {}
    for group in ("batchnorm", "v", "tau"):
        ratio = rurk[rurk.group == group].groupby(group).ratio_of_means.mean()
        wide[group] = ratio.max() - ratio.min()
    assert wide["v"] < wide["tau"] < wide["batchnorm"]


def test_what_batchnorm_does_is_said_of_the_data_that_it_was_measured_on():
    """Fails if a page says of all data what digits alone show, or other numbers than the CSVs'."""
    numbers = []
    for name in ("", "cifar5"):
        rows = read(f"ablations/{name}/95_choices.csv")
        own = rows[(rows.method == "RURK") & (rows.group == "batchnorm")].groupby("batchnorm")
        ratio = own.ratio_of_means.agg(["mean", "min", "max"])
        numbers += [f"{ratio['mean'][mode]:.2f}" for mode in ("frozen", "train")]
    told(FIGURES / "cifar10" / "README.md", "CIFAR-5", "digits", *numbers)
    span = ratio["max"] - ratio["min"]  # of seeds, on CIFAR-5
    assert abs(ratio["mean"]["train"] - ratio["mean"]["frozen"]) < span["train"] < span["frozen"]


def test_notebook_2_says_of_clip_and_batchnorm_what_its_figure_shows():
    """Below the figure: what moves more, which is nearer where, and where seeds part."""
    frame = read("digits/02_batchnorm.csv")
    parts = frame.groupby(["clip", "batchnorm"])[["unlearn_accuracy", "test_accuracy"]]
    means, sd = parts.mean().unstack(), parts.std().unstack()
    _, chosen, between, loosest = means.index
    goal = mean("digits").loc["Re-train"]
    for part in ("unlearn_accuracy", "test_accuracy"):
        table = means[part]
        by_batchnorm = (table["train"] - table["frozen"]).abs()
        assert (table.max() - table.min()).min() > by_batchnorm.max()
        off = (table - goal[part]).abs()
        assert off["frozen"][chosen] < off["train"][chosen]
        assert off["frozen"][loosest] > off["train"][loosest]
        assert sd[part]["frozen"][between] > 5 * sd[part]["train"][between]


def test_on_cifar5_the_gap_has_its_least_in_the_middle_of_the_weights_as_in_the_paper():
    table = read("ablations/cifar5/95_table_c4.csv")
    table = table[table.group == "lambda"]
    for gap in (table["average gap"].str.split(" ").str[0], table["paper: average gap"]):
        assert 0 < gap.astype(float).to_numpy().argmin() < len(gap) - 1


@pytest.mark.parametrize("name", ["sms", "trec", "sst2", "npz"])
def test_what_is_said_of_texts_and_xrays_is_what_was_measured(name):
    """At the middle radius: mean over seeds of the ratio, the outermost limits of the models'
    intervals; in the table of the README and in the notebook's head."""
    rows = read(f"beyond-images/08_{name}.csv")
    rows = rows[rows.law == "gaussian"]
    taus = sorted(rows.tau.unique())
    rows = rows[rows.tau == taus[len(taus) // 2]]
    for page in (RESULTS, head_of("08_beyond_images")):
        numbers = []
        for method in ("Original", "RURK"):
            its = rows[rows.method == method]
            assert len(its) == 3
            middle, low, high = its.ratio_of_means.mean(), its.ratio_low.min(), its.ratio_high.max()
            numbers.append(f"{middle:.3f} [{low:.3f}, {high:.3f}]")
        limits = "{:.3f} to {:.3f}".format(*its[["predict_low", "predict_high"]].mean())
        told(page, *numbers, limits)


def test_on_xrays_the_same_prior_model_has_originals_ratio_but_not_its_margin():
    rows = read("beyond-images/08_prior.csv")
    rows = rows[(rows.scenario == "npz") & (rows.part == "forget set")]
    of = rows.groupby("method").mean(numeric_only=True)
    prior, original = of.loc["Same-prior"], of.loc["Original"]
    assert prior.ratio_of_means == pytest.approx(original.ratio_of_means, abs=0.01)
    assert prior.ratio_of_means > prior.predict_high
    assert prior.margin_difference < prior.margin_predict_high
    told(RESULTS, f"{prior.ratio_of_means:.3f}", "Original", f"{original.ratio_of_means:.3f}")


def test_what_is_said_of_attacks_is_in_the_table():
    """The front page and notebook 7's head: how often Original and RURK are outside, by data."""
    cells = read("digits/07_scenarios.csv")
    assert tuple(cells.scenario.unique()) == IMAGES
    cells["side"] = study.majority(cells)
    shares = study.share_outside(cells).set_index(["statistic", "scenario", "method"])
    level = cells[cells.statistic == "level"].groupby(["method", "scenario"], sort=False).side
    above, below = (level.agg(lambda f, s=s: (f == s).sum()) for s in ("above", "below"))
    three = "{}, {} and {}".format
    for page in (RESULTS, head_of("07_adaptive_attacks")):
        digits, cifar5, fashion = above["Original"]
        told(page, "Original", f"{digits} and {cifar5}", "of 21", f"{fashion} of 20")
        told(page, "RURK", three(*above["RURK"]), f"under {three(*below['RURK'])}")
        told(page, f"{below['EU-k', 'digits']} of 21")
        for method in ("Original", "RURK"):
            part = shares.loc["calibrated auc"].xs(method, level="method")
            told(page, f"{three(*(100 * part.above).round().astype(int))} %")
        for scenario in IMAGES:
            rows = read(f"{scenario}/attacks.csv")
            rows = rows[(rows.method == "RURK") & (rows.statistic == "calibrated auc")]
            rows = rows[rows.attack == "confidence (LiRA)"]
            auc = f"{rows.value.mean():.3f} [{rows.low.min():.3f}, {rows.high.max():.3f}]"
            null = "{:.3f} to {:.3f}".format(*rows[["predict_low", "predict_high"]].mean())
            told(page, auc, null)


def test_the_cheat_is_caught_as_often_as_the_front_page_says():
    caught, asked = [], []
    for name in IMAGES:
        rows = read(f"{name}/07_cheats.csv")
        rows = rows[rows.method == "Noise-brittle"].groupby("question", sort=False).caught.all()
        asked.append(len(rows))
        caught.append(list(rows[rows].index))
    assert caught[0] == ["verdict on retained samples"]
    told(RESULTS, *(f"{len(c)} of {n}" for c, n in zip(caught, asked, strict=True)))


def test_forgotten_shirts_are_found_at_one_percent_false_positives_as_said():
    rows = read("fashion/attacks.csv").query("attack == 'confidence (LiRA)' and method == 'RURK'")
    rurk = rows[rows.statistic == "calibrated tpr"]
    assert (rurk.value > rurk.predict_high).all()
    found, high = 100 * rurk.value.mean(), 100 * rurk.predict_high.mean()
    told(RESULTS, "shirts", f"{found:.0f} %", f"{high:.0f} %")


def test_which_classes_show_it_is_said_as_measured():
    rows = read("ablations/95_requests.csv")
    rows = rows[(rows.group == "class") & (rows.method == "Original")]
    above = ((rows.p_value < 0.05) & (rows.difference > 0)).groupby(rows.forget_class).all()
    ratio = rows.groupby("forget_class").ratio_of_means.mean()
    assert (len(above), above.sum(), above[0]) == (5, 4, False)
    assert ratio[above].idxmin() == 9
    told(RESULTS, f"{ratio[above].min():.2f} to {ratio.max():.2f}", "class 0", f"{ratio[0]:.2f}")


def test_nothing_published_names_a_folder_of_the_machine_that_made_it():
    """Paths of data are settings, and stand in tables of sweeps: with the file's name alone."""
    pages = [p for p in FIGURES.rglob("*") if p.suffix in (".csv", ".json", ".md")]
    assert len(pages) > 50
    absolute = re.compile(r'path"*: "+(/[^"]*)|(/(?:home|root|work)/\w+)')
    for path in [*pages, *(FRONT.parent / "notebooks").glob("*.ipynb")]:
        assert not absolute.search(path.read_text(encoding="utf-8")), path.name


@pytest.mark.parametrize("name", IMAGES)
def test_what_rurks_terms_do_is_told_as_it_was_measured(name):
    """On the page of ablations, and of digits on the front page; from the rows of single seeds."""
    table = read(f"ablations/{name}/variants_by_seed.csv")
    ratio = table.groupby(["settings", "variant"]).ratio_at_last_tau.mean()
    alone = ("clean term alone (lambda_a = 0)", "perturbed term alone (lambda_f = 0)")
    named = ["neither term", *alone, "both terms", "both, PGD, B.4 (wrong label)"]
    tuned = [f"{ratio['tuned', variant]:.3f}" for variant in named]
    modes = [f"{ratio['paper', f'both, BatchNorm {m}, clip 1']:.3f}" for m in ("frozen", "train")]
    told(RESULTS, *tuned[:4], *modes)
    told(FIGURES / "ablations" / "README.md", "The terms", *tuned[:4])
    told(FIGURES / "ablations" / "README.md", "B.4", *tuned[4:])
    told(FIGURES / "ablations" / "README.md", "BatchNorm", *modes)


def test_what_is_said_of_a_class_forgotten_whole():
    """Who says nothing of it, whom the margin tells all the same, and RURK by either references."""
    rows = read("digits-class/class_references.csv", largest=True).groupby("method", sort=False)
    last = rows[["forget_accuracy", "margin_difference", "half_ratio"]].mean()
    silent = {"NegGrad+", "EU-k", "SCRUB", "SSD", "Re-train", CONTROL}
    assert set(last.index[last.forget_accuracy == 0]) == silent
    found = read("digits-class/verdicts.csv").groupby("method").finding
    assert set(found.nunique()[found.nunique() > 1].index) == {"SCRUB", CONTROL}
    assert (found.get_group("NegGrad+") == "over-forgotten").all()
    page = FIGURES / "digits-class" / "README.md"
    margins = last.margin_difference[["EU-k", "SSD", "NegGrad+"]]
    told(page, *(f"{m:.{n}f}" for m, n in zip(margins, (1, 1, 0), strict=True)))
    told(page, "RURK", f"{last.half_ratio['RURK']:.2f}")
    told(FRONT, "class", "four of nine", "RURK", "SCRUB")


def test_on_all_of_cifar10_little_of_the_ratio_is_memory():
    """The page's and the front page's numbers, and that the growth is strangers' too."""
    page, table = FIGURES / "cifar10-cpu" / "README.md", read("cifar10-cpu/memory.csv")
    own, same = (table[table.method == m] for m in ("Original", "Same-prior"))
    means = (part.groupby("tau").mean(numeric_only=True) for part in (own, same))
    ends, last = (mean.loc[[0.0, 0.0314]] for mean in means)
    ahead = [f"{100 * (ratio - 1):.0f} %" for ratio in ends.ratio]
    strangers = [f"{100 * (ratio - 1):.0f}" for ratio in ends.held_out_ratio]
    told(page, *ahead, f"{strangers[0]} and {strangers[1]} % more", "4 and 6 %")
    assert [f"{100 * (m - 1):.0f}" for m in ends.memory] == ["4", "6"]
    told(FRONT, "CIFAR-10", f"({ends.ratio.iloc[0]:.2f} to {ends.ratio.iloc[1]:.2f})", "4 to 6 %")
    clear = (own.memory > own.memory_high).groupby(own.tau).sum()
    assert (clear[0.0], clear[0.0314], clear[0.06:].max()) == (3, 2, 0)
    told(page, " and ".join(f"{100 * (m - 1):.0f}" for m in last.memory) + " %")
    told(page, *(f"{n:.3f}" for n in (last.held_out_ratio[0.0], *last.ratio)))
    assert same[same.tau <= 0.0314].p.max() < 0.003
    assert same[same.tau > 0.0314].p.min() > 0.05
    curve = read("cifar10-cpu/residual_knowledge.csv")
    own = curve[curve.method == "Original"].groupby("tau").mean(numeric_only=True)
    assert (own.ratio_of_means > own.predict_high).tolist() == [True] * 12 + [False]
    counts = read("cifar10-cpu/verdicts.csv").groupby("method").finding.agg(set)
    found, none, over = {"residual knowledge"}, {"none detected"}, {"over-forgotten"}
    kept, between = ["Original", "GD", "CF-k", "SSD"], ["NGD", "EU-k", "l1-sparse"]
    assert [*counts[between]] == [none, found | none, found | none]
    assert ((counts[kept] == found).all(), (counts.drop(kept + between) == over).all()) == (1, 1)
