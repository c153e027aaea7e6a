"""Level and power of the exchangeability test, beside the rule of record.

    python tests/benchmarks/exchange.py --data FOLDER

FOLDER has cifar10.npz, pneumonia.npz, fashion/ (four .gz files) and sms/train.tsv. On each, 400
samples of a class are set aside, which no reference sees: 26 nets are re-trained without them; for
each n, 12 Originals are trained with n of 250 of them, drawn for each. One hidden layer, by plain
PyTorch that trains all nets at once. Every net is asked about noisy copies.

Level: re-trained nets, with n of the 400 called "forgotten" and 150 others "held out", drawn anew
each time. (With one draw for all, a lucky one would be found in every net: models that are asked
about one request share its luck.) Power: Originals, about their own n and 150 that they never saw.
Both by the test with K references, and by the rule of record where K >= 3, each net with several
draws.

Written to --out: exchange.csv, a row for each data set, n and K; level.csv and power.csv, which the
page shows; power.png, whose alternative text is printed. They are written after each data set.
"""

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from power import DRAWS, count, fashion, train
from scipy import stats
from sklearn.feature_extraction.text import HashingVectorizer
from torch import Tensor

from rurklib.residual.exchange import exchange
from rurklib.residual.statistics import left_out
from rurklib.residual.verdict import NONE, judge
from rurklib.study.figures.style import INK, panels, png

RETRAINED, ORIGINALS, POOL, HELD = 26, 12, 250, 150
NUMBERS, SIZES, TAUS = (10, 25, 50, 100, 250), (0, 1, 2, 3, 6, 12), (0.0, 0.05, 0.1)
LEVEL, RELABELLINGS = 0.05, 499


def images(file: Path, per_class: int) -> tuple[Tensor, Tensor]:
    with np.load(file, allow_pickle=False) as found:
        x, y = found["train_images"], found["train_labels"].reshape(-1)
    first = np.concatenate([np.flatnonzero(y == c)[:per_class] for c in np.unique(y)])
    x = torch.tensor(x[first]).float() / 255
    x = x.permute(0, 3, 1, 2) if x.ndim == 4 else x[:, None]
    return F.avg_pool2d(x, 2).flatten(1), torch.tensor(y[first]).long()


def sms(file: Path) -> tuple[Tensor, Tensor]:
    rows = [line.split("\t", 1) for line in file.read_text(encoding="utf-8").splitlines()]
    x = HashingVectorizer(n_features=512, alternate_sign=False).transform(
        [text for _, text in rows]
    )
    names = sorted({label for label, _ in rows})
    return torch.tensor(x.toarray()).float(), torch.tensor([names.index(a) for a, _ in rows])


PROBLEMS = {  # data, forgotten class, hidden units, epochs, learning rate
    "CIFAR-10": (lambda at: images(at / "cifar10.npz", 800), 0, 128, 25, 0.02),
    "Fashion-MNIST": (lambda at: fashion(at / "fashion", 800), 6, 100, 25, 0.2),
    "X-rays": (lambda at: images(at / "pneumonia.npz", 1300), 0, 100, 25, 0.1),
    "SMS": (lambda at: sms(at / "sms" / "train.tsv"), 1, 64, 25, 0.2),
}


def problem(name: str, at: Path, rng: np.random.Generator) -> list[dict]:
    read, forgotten, *how = PROBLEMS[name]
    x, y = read(at)
    order = torch.tensor(rng.permutation(np.flatnonzero(y == forgotten)))
    pool, spare, kept = order[:POOL], order[POOL : POOL + HELD], order[POOL + HELD :]
    rest = torch.cat([torch.tensor(np.flatnonzero(y != forgotten)), kept])
    references = train(x, y, rest, RETRAINED, *how, 1)
    asked = torch.cat([pool, spare])
    known = count(references, x[asked], y[asked], TAUS)
    share = known[0][:, 0, :POOL].mean() / DRAWS
    print(f"{name}: re-trained nets recognise {share:.2f} of the pool; {len(kept)} of the class "
          f"retained, {len(rest)} samples in all", flush=True)  # fmt: skip
    rows = []
    for n in NUMBERS:
        chosen = [torch.tensor(rng.permutation(POOL)[:n]) for _ in range(ORIGINALS)]
        own = train(x, y, [torch.cat([rest, pool[c]]) for c in chosen], ORIGINALS, *how, 2 + n)
        theirs = count(own, x[asked], y[asked], TAUS)
        for k in SIZES:
            found: dict[tuple[str, str], list[bool]] = {}
            for kind, counts, tries in (("level", known, RETRAINED), ("power", theirs, ORIGINALS)):
                for i in range(tries):
                    for _ in range(4 if kind == "level" else 3 if k else 1):
                        at_level = kind == "level"
                        unseen = rng.permutation(POOL + HELD)
                        who = unseen[-n:] if at_level else chosen[i].numpy()
                        others = unseen[~np.isin(unseen, who)][:HELD]
                        among = [j for j in range(RETRAINED) if not at_level or j != i]
                        some = rng.permutation(among)[:k]
                        outcome = judged(counts, known, i, some, who, others, rng)
                        for test, called in outcome.items():
                            found.setdefault((test, kind), []).append(called)
            told = {"data": name, "n": n, "K": k}
            rows.append(told | {f"{t}, {kind}": shown(v) for (t, kind), v in found.items()})
            print(rows[-1], flush=True)
    return rows


def judged(counts, known, i: int, some, who, others, rng) -> dict[str, bool]:
    """Is something found about net ``i``, by the test and (K >= 3) by the rule?"""
    hits, margins = (np.concatenate([own[i][None], its[some]]) for own, its in
                     zip(counts, known, strict=True))  # fmt: skip
    seed = int(rng.integers(1 << 30))
    p = exchange(margins[..., who], margins[..., others], np.zeros(len(who)), np.zeros(HELD),
                 relabellings=RELABELLINGS, seed=seed).p  # fmt: skip
    outcome = {"exchange": p <= LEVEL}
    if len(some) >= 3:
        pairs = [(v[0][..., who], v[1:][..., who]) for v in (hits, margins)]
        null = [left_out(its) for _, its in pairs]
        rule = judge(pairs[0], null[0], DRAWS, pairs[1], null[1])
        outcome["rule"] = rule.finding != NONE
    return outcome


def shown(called: list[bool]) -> str:
    """A share in percent with its 95 % interval (Clopper-Pearson; draws of K share their nets)."""
    low, high = stats.binomtest(int(sum(called)), len(called)).proportion_ci()
    return f"{100 * np.mean(called):.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def cells(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """A row for each data set and n, a column for each test and K: level, or power."""
    tests = {"exchange": "K = {}", "rule": "the rule, K = {}"}
    wide = [
        rows.pivot(index=["data", "n"], columns="K", values=f"{test}, {kind}")
        .dropna(axis=1, how="all").rename(columns=name.format)
        for test, name in tests.items()
    ]  # fmt: skip
    table = pd.concat(wide, axis=1).loc[list(dict.fromkeys(zip(rows.data, rows.n, strict=True)))]
    return table.reset_index()


def draw(rows: pd.DataFrame, level: str):
    """Power over n, a panel for each data set: the test with 0, 1 and 6 references, and the rule
    with 6; bars are the intervals of the tables."""
    looks = {
        ("exchange", 0): ("#999999", "s"), ("exchange", 1): ("#56b4e9", "v"),
        ("exchange", 6): ("#0072b2", "o"), ("rule", 6): ("#d55e00", "D"),
    }  # fmt: skip
    names = {name: name for name in dict.fromkeys(rows.data)}
    with panels(
        names, title=f"How often is a model found that saw the forgotten? {level}", columns=2,
        xlabel="samples forgotten", ylabel="models found (%)", size=(4.4, 2.6), sharey=True,
    ) as (figure, axes):  # fmt: skip
        for name, axis in axes.items():
            for (test, k), (color, marker) in looks.items():
                own = rows[(rows.data == name) & (k == rows.K)]
                found = np.array([re.findall(r"\d+", v) for v in own[f"{test}, power"]], float)
                what = "the rule" if test == "rule" else "treated differently?"
                axis.plot(own.n, found[:, 0], color=color, marker=marker, label=f"{what} K = {k}",
                          ls="--" if test == "rule" else "-")  # fmt: skip
                axis.vlines(own.n, found[:, 1], found[:, 2], color=color, lw=1, alpha=0.6)
            axis.axhline(100 * LEVEL, color=INK, lw=0.8, ls=":")
            axis.set(xscale="log", xticks=NUMBERS, xticklabels=NUMBERS, ylim=(-3, 103))
            axis.minorticks_off()
    return figure


def mean_level(rows: pd.DataFrame, test: str) -> str:
    """The share of false alarms over all cells, in percent."""
    shares = rows[f"{test}, level"].dropna().str.extract(r"(\d+)")[0].astype(float)
    return f"{shares.mean():.1f} %"


def write(rows: pd.DataFrame, out: Path) -> str:
    """All files; returns the picture's alternative text."""
    out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(out / "exchange.csv", index=False)
    for kind in ("level", "power"):
        cells(rows, kind).to_csv(out / f"{kind}.csv", index=False)
    level = f"False alarms: {mean_level(rows, 'exchange')}, by the rule {mean_level(rows, 'rule')}"
    most = rows[(rows.n == NUMBERS[-1]) & rows.K.isin((0, 1, 6))]
    told = "; ".join(
        f"{name}: "
        + ", ".join(f"{r['exchange, power'].split()[0]} % by {r['K']}" for _, r in own.iterrows())
        for name, own in most.groupby("data", sort=False)
    )
    alt = (
        f"A panel for each of {rows.data.nunique()} data sets: models found, in percent, over how "
        "many samples were forgotten, by the exchangeability test with no, one and six re-trained "
        f"models and by the rule with six. {level}. With {NUMBERS[-1]} forgotten: {told}."
    )
    (out / "power.png").write_bytes(png(draw(rows, level), alt))
    return alt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=PROBLEMS, nargs="+", default=list(PROBLEMS))
    parser.add_argument("--out", type=Path, default=Path("runs/exchange"))
    given = parser.parse_args()
    rows = []
    for name in given.only:
        rows += problem(name, given.data, np.random.default_rng(0))
        alt = write(pd.DataFrame(rows), given.out)
    print(alt)


if __name__ == "__main__":
    main()
