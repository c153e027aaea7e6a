"""How often the verdict's rule, a flag, the exchange test and the intervals are wrong.

    python tests/benchmarks/rule.py --fashion FOLDER     # five minutes of one core

FOLDER has Fashion-MNIST's .gz files; without it three of six problems are left. On each these nets
are trained, all of a kind at once, by plain PyTorch that shares nothing with the package:

- *re-trained*: without the forget samples; the references, and what no rule should find;
- *Original*: with them; *fine-tuned*: Original, five more epochs without them; *an eighth seen*:
  trained with a random eighth of them. These know more: residual knowledge is to be found;
- *random labels*: Original, five more epochs with the forget samples under wrong labels; *a few
  mislabelled*: trained with one in 32 of them under wrong labels. These are over-forgotten.

**Rule**: every net is judged against K random re-trained ones, many times, by the package's rule
and by the same with fewer statistics; for CHECKED sets a net the first edition's arithmetic is done
by hand, and has to agree. Standard errors are over nets (an Original and its descendants are one).
**Exchange test**: its samples are a random eighth of the forget set, "held out" are the others,
which no re-trained net saw either; power is about nets that saw just that eighth.
"""

import argparse
import gzip
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import special
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor

from rurklib.residual import Counts, Measurement, ResidualKnowledge, statistics, verdict
from rurklib.residual.exchange import exchange
from rurklib.residual.flags import of_result
from rurklib.residual.verdict import LEVEL, STATISTICS

RETRAINED, MODELS, DRAWS, SIZES = 48, 16, 40, (3, 6, 12)
DRAWN, CHECKED, FLAGGED, TRIES, RELABELLINGS, WORLDS = 100, 2, 300, 6, 499, 5000
SIDES = {  # kinds of nets, and on which side they are to be found: 0 on neither
    "false alarms": (0, "re-trained"),
    "residual knowledge": (1, "Original", "fine-tuned", "an eighth seen"),
    "over-forgotten": (-1, "random labels", "a few mislabelled"),
}
KINDS = {kind: side for side, *kinds in SIDES.values() for kind in kinds}
MARGIN, SCALED, SOFT, HITS, FIRST = STATISTICS
SETS = {
    "five": STATISTICS,
    "margin, hits, first hits": (MARGIN, HITS, FIRST),
    "margin, scaled margin, first hits": (MARGIN, SCALED, FIRST),
    "margin, hits": (MARGIN, HITS),
    **{f"{name} alone": (name,) for name in STATISTICS},
}


def digits(_: Path) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:900]
    return x[order] / 16, y[order]


def cancer(_: Path) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:350]
    return ((x - x.min(0)) / (x.max(0) - x.min(0)))[order], y[order]


def fashion(folder: Path) -> tuple[Tensor, np.ndarray]:
    """The first 200 images of each class, at 14x14."""
    images, labels = (
        np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=head)
        for name, head in (("train-images-idx3-ubyte.gz", 16), ("train-labels-idx1-ubyte.gz", 8))
    )
    first = np.concatenate([np.flatnonzero(labels == c)[:200] for c in range(10)])
    x = torch.tensor(images.reshape(-1, 1, 28, 28)[first]).float() / 255
    return F.avg_pool2d(x, 2).flatten(1), labels[first]


# Data, forgotten class, share of it, hidden units, epochs, taus. Wide taus spread margins.
PROBLEMS = {
    "digits, nines": (digits, 9, 0.5, 64, 30, (0, 0.1, 0.15, 0.2, 0.3)),
    "digits, fours, wide": (digits, 4, 0.5, 64, 30, (0, 0.1, 0.2, 0.3, 0.5, 0.8)),
    "breast cancer": (cancer, 0, 0.5, 32, 60, (0, 0.05, 0.1, 0.2)),
    "Fashion, sneakers": (fashion, 7, 0.75, 100, 25, (0, 0.1, 0.2, 0.3, 0.4)),
    "Fashion, trousers": (fashion, 1, 0.75, 100, 25, (0, 0.1, 0.2, 0.3, 0.4)),
    "Fashion, ankle boots": (fashion, 9, 0.75, 100, 25, (0, 0.1, 0.2, 0.3, 0.4)),
}


def logits(weights: list[Tensor], x: Tensor) -> Tensor:
    """Of all nets at once: x [n, d] or [net, n, d] -> [net, n, classes]."""
    x = x.expand(len(weights[0]), *x.shape[-2:])
    return torch.baddbmm(weights[3], torch.baddbmm(weights[1], x, weights[0]).relu(), weights[2])


def train(x, y, seen, hidden: int, epochs: int, lr: float, seed: int, start=()) -> list[Tensor]:
    """Nets trained on the samples ``seen`` [net, m] of x [n, d] under the labels y [net, n]."""
    g = torch.Generator().manual_seed(seed)
    nets, d, classes = len(seen), x.shape[1], int(y.max()) + 1
    sizes = ((d, d, hidden), (d, 1, hidden), (hidden, hidden, classes), (hidden, 1, classes))
    fresh = [(2 * torch.rand(nets, *s, generator=g) - 1) / fan**0.5 for fan, *s in sizes]
    weights = [w.clone().requires_grad_() for w in start or fresh]
    sgd = torch.optim.SGD(weights, lr, momentum=0.9, weight_decay=5e-4)
    batches = seen.shape[1] // 32
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, epochs * batches)
    for _ in range(epochs):
        order = torch.stack([s[torch.randperm(len(s), generator=g)] for s in seen])
        for batch in order[:, : batches * 32].split(32, 1):
            z = logits(weights, x[batch])
            loss = F.cross_entropy(z.flatten(0, 1), y.gather(1, batch).flatten(), reduction="sum")
            sgd.zero_grad()
            (loss / 32).backward()
            sgd.step()
            schedule.step()
    return [w.detach() for w in weights]


def count(weights: list[Tensor], x: Tensor, y: Tensor, taus) -> tuple[np.ndarray, np.ndarray]:
    """Hits out of DRAWS, and mean margins, each [net, tau, sample]."""
    hits, margins = np.zeros((2, len(weights[0]), len(taus), len(x)))
    mine = F.one_hot(y, weights[3].shape[-1]).bool()
    for t, tau in enumerate(taus):
        for i in range(DRAWS):
            noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(i))
            z = logits(weights, (x + tau * noise).clamp(0, 1))
            rest = z.masked_fill(mine, -torch.inf).logsumexp(-1)
            margins[:, t] += (z[:, mine] - rest).numpy() / DRAWS
            hits[:, t] += (z.argmax(-1) == y).numpy()
    return hits, margins


def measured(name: str, folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Of all nets, by kind; and which eighth of the forget samples some saw, [model, sample]."""
    load, label, share, hidden, epochs, taus = PROBLEMS[name]
    x, y = map(torch.as_tensor, load(folder))
    x, y = x.float(), y.long()
    forget = (y == label).nonzero().flatten()
    forget = forget[torch.randperm(len(forget), generator=torch.Generator().manual_seed(1))]
    forget = forget[: int(len(forget) * share)]
    everything, labels = torch.arange(len(y)).expand(MODELS, -1), y.expand(MODELS, -1)
    rest = everything[:, ~torch.isin(everything[0], forget)]
    g, wrong = torch.Generator().manual_seed(4), labels.clone()
    shift = torch.randint(1, int(y.max()) + 1, (MODELS, len(forget)), generator=g)
    wrong[:, forget] = (label + shift) % (int(y.max()) + 1)
    n = round(len(forget) / 8)
    eighth = torch.stack([torch.randperm(len(forget), generator=g)[:n] for _ in range(MODELS)])
    more = torch.cat([rest, forget[eighth]], 1)
    how = hidden, epochs, 0.05
    original = train(x, labels, everything, *how, 2)
    nets = (
        train(x, y.expand(RETRAINED, -1), rest[:1].expand(RETRAINED, -1), *how, 1),
        original,
        train(x, labels, rest, hidden, 5, 0.025, 3, start=original),
        train(x, labels, more, *how, 5),
        train(x, wrong, everything, hidden, 5, 0.025, 6, start=original),
        train(x, wrong, more[:, : rest.shape[1] + max(1, n // 4)], *how, 7),
    )
    joined = [torch.cat(weights) for weights in zip(*nets, strict=True)]
    hits, margins = count(joined, x[forget], y[forget], taus)
    is_seen = torch.zeros(MODELS, len(forget), dtype=torch.bool).scatter(1, eighth, True)
    kinds = np.repeat(list(KINDS), [len(net[0]) for net in nets])
    return {"hits": hits, "margins": margins, "kinds": kinds}, is_seen.numpy()


def by_hand(hits: np.ndarray, margins: np.ndarray) -> tuple[list[float], float, int]:
    """The first edition's p of each statistic, their combination, and the side on which it finds a
    model among k references [1 + k, tau, sample], or 0."""
    k, n, share = len(hits) - 1, hits.shape[-1], hits / DRAWS
    accuracies = np.stack([share, special.expit(margins)]).mean(-1)
    odds, soft = special.logit((n * accuracies + 0.5) / (n + 1))
    mean, sd = margins.mean((1, 2)), margins.mean(1).std(-1, ddof=1)
    numbers = mean, mean / sd, soft.mean(-1), odds.mean(-1), odds[:, 0]
    # Half a sample, where accuracy is a rare event or a whole number of samples.
    q = share[1:].mean((0, 2))
    is_rare = n * DRAWS * np.minimum(q, 1 - q) < 5
    is_alike = np.isin(share[1:], (0, 1)).all((0, 2))
    p = (n * q + 0.5) / (n + 1)
    least = np.where(is_rare | is_alike, 0.5 / ((n + 1) * p * (1 - p)), 0.0)
    ps, shifts = [], []
    for (own, *others), floor in zip(numbers, (0, 0, 0, least.mean(), least[0]), strict=True):
        left_out = [b - (sum(others) - b) / (k - 1) for b in others]  # less the mean of the rest
        s = max(np.std(left_out, ddof=1) * (k - 1) / k, floor) * (1 + 1 / k) ** 0.5
        shifts.append(own - np.mean(others))
        ps.append(2 * special.stdtr(k - 1, -abs(shifts[-1]) / s))
    far = np.mean([np.tan(np.pi * (0.5 - p)) if p < 0.5 else 0.0 for p in ps])
    joined = 0.5 - np.arctan(far) / np.pi if far > 0 else min(ps)
    return ps, joined, int(np.sign(shifts[int(np.argmin(ps))])) if joined < LEVEL else 0


def shares(hits: np.ndarray, margins: np.ndarray, kinds: np.ndarray, k: int) -> pd.DataFrame:
    """How often each net is found where its kind should be (re-trained: at all), in % of DRAWN
    sets of k references: a row a net, a column a set of statistics."""
    rng, rows, numbers = np.random.default_rng(k), [], verdict.values(hits, margins, DRAWS)
    for i, kind in enumerate(kinds):
        pool, right = np.setdiff1d(np.arange(RETRAINED), i), KINDS[kind]
        picks = np.stack([rng.choice(pool, k, replace=False) for _ in range(DRAWN)])
        floors = pd.DataFrame([verdict.least(hits[pick], DRAWS) for pick in picks])
        ps, shifts = pd.DataFrame(), pd.DataFrame()
        for name, value in numbers.items():
            ps[name] = statistics.p_value(value[i], value[picks.T], floors[name].to_numpy())
            shifts[name] = value[i] - value[picks].mean(1)
        rows.append({"kind": kind, "net": (kinds[:i] == kind).sum()})
        for title, names in SETS.items():
            p, shift = ps[[*names]].to_numpy(), shifts[[*names]].to_numpy()
            side = np.sign(shift[np.arange(DRAWN), np.nan_to_num(p, nan=1.0).argmin(1)])
            side[[not verdict.combined(of_set) < LEVEL for of_set in p]] = 0
            rows[i][title] = 100 * np.mean(side == right if right else side != 0)
            if title == "five":
                check(hits, margins, i, picks[:CHECKED], ps, side)
    return pd.DataFrame(rows)


def check(hits: np.ndarray, margins: np.ndarray, i: int, picks, ps: pd.DataFrame, sides) -> None:
    """Raise AssertionError unless ``judge`` and the arithmetic by hand say the same of net i."""
    for at, pick in enumerate(picks):
        judged = verdict.judge(hits[i], margins[i], hits[pick], margins[pick], DRAWS)
        by_itself, p, side = by_hand(hits[[i, *pick]], margins[[i, *pick]])
        package = np.array([[*ps.iloc[at], judged.p], [*judged.p_values.values(), judged.p]])
        assert np.abs(package - [*by_itself, p]).max() < 1e-9, (judged, p)
        finding = (verdict.NONE, verdict.RESIDUAL, verdict.OVER)[side]
        assert (sides[at], judged.finding) == (side, finding), (judged, finding)


def flagged(hits: np.ndarray, margins: np.ndarray, kinds: np.ndarray, sixth: str) -> float:
    """% of sets of six references in which one is called unlike the others: the sixth, of another
    kind than the five, or any of six re-trained ones."""
    rng, found, names = np.random.default_rng(6), [], "123456"
    asked = Measurement(taus=range(hits.shape[1]), draws=DRAWS)  # whatever the taus are
    for _ in range(FLAGGED):
        pick = rng.choice(np.flatnonzero(kinds == "re-trained"), 6, replace=False)
        if sixth != "re-trained":
            pick[5] = rng.choice(np.flatnonzero(kinds == sixth))
        answers = [dict(zip(names, values[pick], strict=True)) for values in (hits, margins)]
        result = ResidualKnowledge(Counts(asked, *answers), (), (*names,), np.zeros(hits.shape[-1]))
        flags = {flag.name: flag.message for flag in of_result(result, 2)}
        odd = flags.get("reference unlike the others", "")[:1]
        found.append(odd == "6" or (odd != "" and sixth == "re-trained"))
    return 100 * float(np.mean(found))


def exchanged(margins: np.ndarray, kinds: np.ndarray, eighth: np.ndarray, k: int):
    """% of re-trained nets (level) and of nets that saw an eighth (power) that the test finds."""
    rng, found, pool = np.random.default_rng(k), {}, np.flatnonzero(kinds == "re-trained")
    for title, kind in (("level", "re-trained"), ("power", "an eighth seen")):
        ps = []
        for j, i in enumerate(np.repeat(np.flatnonzero(kinds == kind), TRIES)):
            seen = eighth[j // TRIES] if title == "power" else rng.permutation(eighth[0])
            nets = margins[[i, *rng.choice(np.setdiff1d(pool, i), k, replace=False)]]
            labels = np.zeros(seen.sum()), np.zeros((~seen).sum())
            how = {"relabellings": RELABELLINGS, "seed": int(rng.integers(1 << 30))}
            ps.append(exchange(nets[..., seen], nets[..., ~seen], *labels, **how).p)
        found[f"{title}, K = {k}"] = 100 * np.mean(np.array(ps) <= LEVEL)
    return found


def coverage(k: int, n: int) -> float:
    """% of made-up worlds whose 95 % interval of the ratio holds the true one: one fixed model, k
    references that differ by luck over all samples and by luck of each sample."""
    rng = np.random.default_rng([k, n])
    ability = 1 + rng.standard_normal((1, n))
    luck = 0.15 * rng.standard_normal((k, WORLDS, 1)) + 0.3 * rng.standard_normal((k, WORLDS, n))
    p = special.ndtr(ability + 0.3 + 0.3 * rng.standard_normal((1, n)))
    others = rng.binomial(100, special.ndtr(ability + luck))
    own = rng.binomial(100, np.broadcast_to(p, (WORLDS, n)))
    low, high = statistics.ratio_interval(own, others, 100)
    truth = p.mean() / special.ndtr(ability / np.sqrt(1 + 0.15**2 + 0.3**2)).mean()
    return 100 * float(np.mean((low <= truth) & (truth <= high)))


def errors(of_net: pd.DataFrame) -> pd.DataFrame:
    """Standard errors of averages over problems, by how nets of a problem differ: a row for K."""
    of_problem = of_net.groupby(["problem", "K"]).sem().groupby("K")
    return of_problem.agg(lambda error: np.sqrt((error**2).sum()) / len(error))


def show(title: str, table: pd.DataFrame) -> None:
    """A table in Markdown, numbers to one decimal."""
    print(f"\n### {title}\n\n{table.to_markdown(floatfmt='.1f')}", flush=True)


def show_rule(nets: pd.DataFrame) -> None:
    """Tables of the rule, from the share of sets in which each net is found."""
    rule = nets.pivot_table(index=["problem", "K"], columns="kind", values="five", sort=False)
    show("the package's rule: % found", rule[[*KINDS]].reset_index("K").astype({"K": str}))
    averages, paired = {}, {}
    for title, (_, *kinds) in SIDES.items():
        rows = nets[nets.kind.isin(kinds)]
        of_net = rows.groupby(["problem", "K", "net"], sort=False)[list(SETS)].mean()
        of_problem = of_net.groupby(["problem", "K"], sort=False).mean()
        show(f"{title}, %", of_problem.reset_index("K").astype({"K": str}))
        means, less = of_problem.groupby("K").mean(), of_net.rsub(of_net["five"], axis=0)
        means["standard error of five's"] = errors(of_net)["five"]
        averages |= {f"{title}, K = {k}": means.loc[k] for k in SIZES}
        paired[f"{title}: five less this"] = less.xs(6, level="K").mean()
        paired[f"± ({title})"] = errors(less).loc[6]
    show("averages over problems, %", pd.DataFrame(averages))
    show("K = 6: paired differences, % points", pd.DataFrame(paired).drop(index="five"))


def problem(name: str, folder: Path) -> tuple[pd.DataFrame, dict, dict]:
    """What all tables say of one problem: of the rule by net, of the flag, of the exchange test."""
    data, eighth = measured(name, folder)
    of_sizes = [shares(**data, k=k).assign(problem=name, K=k) for k in SIZES]
    flags = {f"the sixth is {kind}": flagged(**data, sixth=kind) for kind in [*KINDS][:3]}
    tests = [exchanged(data["margins"], data["kinds"], eighth, k) for k in (0, 1, 6)]
    return pd.concat(of_sizes), flags, tests[0] | tests[1] | tests[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fashion", type=Path, help="folder with Fashion-MNIST's .gz files")
    folder = parser.parse_args().fashion
    torch.set_num_threads(1)
    names = [name for name in PROBLEMS if folder or "Fashion" not in name]
    with ProcessPoolExecutor() as pool:
        found = [*pool.map(problem, names, [folder] * len(names))]
    parts, *rows = zip(*found, strict=True)
    nets, flags, tests = pd.concat(parts), *(pd.DataFrame(r, names) for r in rows)
    print(f"By hand, p and finding are the same in {CHECKED * len(nets)} cases.")
    show_rule(nets)
    flags.loc["average"], tests.loc["average"] = flags.mean(), tests.mean()
    show("flag 'reference unlike the others' (of six): % found", flags)
    show("exchange test: % found", tests)
    worlds = {f"K = {k}": {n: coverage(k, n) for n in (10, 30, 100)} for k in (3, 6, 10)}
    show("95 % intervals of the ratio: coverage, %, by number of samples", pd.DataFrame(worlds))


if __name__ == "__main__":
    main()
