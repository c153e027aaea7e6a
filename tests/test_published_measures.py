"""Residual knowledge beside the field's other measures: the page says what its tables do."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score

FIGURES = Path(__file__).parent.parent / "figures"


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(FIGURES / name)


@pytest.mark.parametrize("name", ["digits", "cifar5", "cifar10-cpu"])
def test_who_agrees_with_residual_knowledge_is_what_the_cells_say(name):
    """Its row and column of the table, from the verdicts and distances of every model; and those
    verdicts are the published ones."""
    ours, cells = "residual knowledge", read("measures/cells.csv")
    cells = cells[(cells.data == name) & (cells.method != "Re-train")]
    assert cells.side.isin(["above", "inside", "below"]).all()
    keys = ["method", "seed"]
    outside = cells.pivot(index=keys, columns="measure", values="side") != "inside"
    found = read(f"{name}/verdicts.csv").set_index(keys).finding != "none detected"
    assert outside[ours].equals(found.loc[outside.index].sort_index())
    away = cells.assign(away=cells.away.abs()).groupby(["measure", "method"]).away.mean()
    table = read(f"measures/agreement_{name}.csv").set_index("measure")
    for other in table.columns.drop(ours):
        assert table[other][ours] == f"{100 * (outside[ours] == outside[other]).mean():.0f} %"
        ranks = away[ours].corr(away[other], method="spearman")
        assert float(table[ours][other]) == pytest.approx(ranks, abs=0.00501)


def test_what_is_said_of_the_fields_other_measures():
    """The three sentences of their page; and what the picture shows is told in words."""
    page, cells = (FIGURES / "measures" / "README.md").read_text(), read("measures/cells.csv")
    cells = cells[cells.method != "Re-train"]
    keys, ours = ["data", "method", "seed"], "residual knowledge"
    outside = cells.pivot(index=keys, columns="measure", values="side") != "inside"
    same = outside.eq(outside[ours], axis=0)
    nearest = (100 * same.mean()).drop(ours).nlargest(3)
    assert list(nearest.index) == ["U-LiRA", "epsilon", "KLoM"]
    digits, *others = (100 * same.loc[d].mean() for d in ("digits", "cifar5", "cifar10-cpu"))
    original = outside.loc["digits", "Original"].sum()
    assert not original[["activation", "JS"]].any()
    assert (original[[ours, "U-LiRA", "KLoM", "epsilon"]] == 3).all()
    assert outside.exchange.loc["cifar5", "RURK"].all()
    shares = "{:.0f}, {:.0f} and {:.0f} %".format(*nearest)
    rule, theirs = outside[ours], [outside[m] for m in nearest.index]
    kappas = "kappa {:.2f}, {:.2f} and {:.2f}".format(*(cohen_kappa_score(rule, m) for m in theirs))
    too = "inside they call {}, {} and {} inside".format(*((~m[~rule]).sum() for m in theirs))
    said = [f"{shares} of {len(outside)}", f"{outside.exchange['cifar5'].sum()} of 75 models"]
    zrf = "{:.0f}, {:.0f} and {:.0f} %".format(*(d.ZRF for d in (digits, *others)))
    said += [f"for {digits.exchange:.0f} %", zrf, kappas, too]
    said += [f"calls {rule.sum()} of {len(rule)} so", f"with it for {100 * rule.mean():.0f} %"]
    all_of_it = outside.loc["cifar10-cpu"]
    assert all_of_it[["U-LiRA", "KLoM", "epsilon", "activation", "JS"]].all(axis=None)
    alike = all_of_it.index[~all_of_it[ours]].get_level_values("method")
    assert (len(all_of_it), sorted(alike)) == (45, ["EU-k"] * 2 + ["NGD"] * 3 + ["l1-sparse"] * 2)
    assert all(part in " ".join(page.split()) for part in said), said
    costs = read("measures/measures.csv").set_index("measure").filter(like="seconds")
    assert (costs.loc[nearest.index].max() <= costs.loc[ours] / 6).all()
    picture = Image.open(FIGURES / "measures" / "agreement.png")
    assert f'alt="{picture.text["Description"]}"' in page


def test_robust_nets_keep_more_than_others():
    """Original's ratio with and without adversarial training, as both pages say it."""
    rows = {
        name: pd.read_csv(FIGURES / name / "residual_knowledge.csv").query("method == 'Original'")
        for name in ("digits", "digits-robust")
    }
    plain, robust = (r.groupby("tau").ratio_of_means.mean() for r in rows.values())
    assert (robust[[0.0, 0.2]] > plain[[0.0, 0.2]]).all()
    assert robust.idxmax() == 0.4
    numbers = [f"{v:.3f}" for v in (robust[0.0], plain[0.0], robust[0.2], robust[0.4])]
    for page in (FIGURES / "README.md", FIGURES / "digits-robust" / "README.md"):
        assert all(n in page.read_text(encoding="utf-8") for n in numbers), page
    verdicts = pd.read_csv(FIGURES / "digits-robust" / "verdicts.csv").groupby("method").finding
    kept = verdicts.agg(lambda found: set(found) == {"residual knowledge"})
    assert set(kept[kept].index) == {"Original", "GD", "SSD", "RURK"}


def test_the_exact_test_has_its_level_and_the_page_says_what_the_rows_do():
    """By data and K too; and where it sees more of few samples than the rule, and where less."""
    rows, page = read("exchange/exchange.csv"), (FIGURES / "exchange" / "README.md").read_text()
    shares = {
        what: rows[what].dropna().str.split(" ").str[0].astype(float)
        for what in ("exchange, level", "rule, level", "exchange, power", "rule, power")
    }
    level = shares["exchange, level"]
    assert level.mean() == pytest.approx(5, abs=0.5)
    said = f"in {level.mean():.1f} % of {len(rows)} cells' cases, "
    for by in ("data", "K"):
        means = level.groupby(rows[by]).mean()
        said += f"{means.min():.1f} to {means.max():.1f} % by {by}" + " and " * (by == "data")
    assert said in page
    rule = shares["rule, level"]
    assert f"rule of record calls {rule.mean():.1f} % of them here" in page
    front = " ".join((FIGURES.parent / "README.md").read_text().split())
    assert f"and for {rule[rows.K == 6].mean():.1f} % on four others" in front
    cell = rows.assign(**shares).set_index(["data", "n", "K"])
    for name, n, more in (("CIFAR-10", 25, 1), ("Fashion-MNIST", 25, 1), ("X-rays", 250, -1)):
        ours, rule = cell.loc[(name, n, 6), ["exchange, power", "rule, power"]]
        assert (ours - rule) * more > 0, name
        assert f"{rule:.0f} %" in page or f"{rule:.0f} and" in page


def test_every_verdict_stands_in_one_table():
    """A letter for each seed of each page, and what is said of the rows."""
    glance = pd.read_csv(FIGURES / "which" / "glance.csv", keep_default_na=False, index_col=0)
    pages = {p.parent.name: pd.read_csv(p) for p in FIGURES.glob("*/verdicts.csv")}
    assert set(glance) == set(pages)
    words = {"R": "residual knowledge", "O": "over-forgotten", "n": "none detected"}
    for data, table in pages.items():
        for method, its in table.groupby("method"):
            letters = glance.loc[method, data]
            assert [words[a] for a in letters] == list(its.sort_values("seed").finding)
        assert set(glance.index[glance[data] != ""]) == set(table.method)
    every = pd.concat(pages.values())
    found = every[every.finding != "none detected"]
    other = found.by_ratio.map({"above": words["R"], "below": words["O"]})
    contrary = (other.notna() & (other != found.finding)).sum()
    for always in ("GD", "CF-k"):
        assert set("".join(glance.loc[always])) == {"R"}
    assert (glance.loc["GD"] == "RRR").all()
    assert glance.shape[1] == 8  # so says the front page
    assert not [m for m in glance.index if set("".join(glance.loc[m])) == {"n"}]
    most = {d: max("ROn", key=letters.count) for d, letters in glance.loc["RURK"].items()}
    assert {d for d in most if most[d] == "n"} == {"digits", "imagenette-cpu"}
    assert {d for d in most if most[d] == "O"} == {"cifar5", "cifar10-cpu", "pneumonia"}
    page = (FIGURES / "README.md").read_text()
    assert f"In {contrary} of {len(found)} findings the ratio at the last tau" in page
    assert "GD and CF-k leave residual knowledge wherever they were tried" in page
