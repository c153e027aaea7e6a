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
"""

import argparse
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
from rurklib.residual.uncertainty import held_out
from rurklib.residual.verdict import NONE, judge

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
        null = [held_out(its) for _, its in pairs]
        rule = judge(pairs[0], null[0], DRAWS, pairs[1], null[1])
        outcome["rule"] = rule.finding != NONE
    return outcome


def shown(called: list[bool]) -> str:
    """A share in percent with its 95 % interval (Clopper-Pearson; draws of K share their nets)."""
    low, high = stats.binomtest(int(sum(called)), len(called)).proportion_ci()
    return f"{100 * np.mean(called):.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=PROBLEMS, nargs="+", default=list(PROBLEMS))
    parser.add_argument("--out", type=Path, default=Path("runs/exchange.csv"))
    given = parser.parse_args()
    rows = []
    for name in given.only:
        rows += problem(name, given.data, np.random.default_rng(0))
        given.out.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(given.out, index=False)
    print(pd.DataFrame(rows).to_string())


if __name__ == "__main__":
    main()
