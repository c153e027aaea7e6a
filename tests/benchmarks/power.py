"""False alarms and power of the verdict's rule and of its parts, on many models of six problems.

    python tests/benchmarks/power.py                        # digits and breast cancer: minutes
    python tests/benchmarks/power.py --fashion FOLDER       # with Fashion-MNIST's four .gz files

On each problem 48 nets are re-trained without the forget samples, 16 Originals trained with them,
and each Original fine-tuned without them: one hidden layer, by forty lines of plain PyTorch that
train all nets at once and share nothing with the package. Every re-trained net is then judged
against K random others, many times: what is found is a false alarm. Every Original and fine-tuned
net is judged against K re-trained ones: what is not found is a miss. Last, sets of six references,
one of which saw the forget samples: how often is it flagged?
"""

import argparse
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor

from rurklib.residual import statistics
from rurklib.residual.flags import outstanding
from rurklib.residual.verdict import PARTS, combined, values_of_parts

RETRAINED, ORIGINALS, DRAWS, SIZES = 48, 16, 40, (3, 6, 12)
KINDS = ("re-trained", "Original", "fine-tuned")


def halves(x, y, n: int) -> tuple[Tensor, Tensor]:
    order = np.random.default_rng(0).permutation(len(y))[:n]
    return torch.tensor(x[order]).float(), torch.tensor(y[order]).long()


def digits(_: Path) -> tuple[Tensor, Tensor]:
    found = load_digits()
    return halves(found.data / 16, found.target, 900)


def cancer(_: Path) -> tuple[Tensor, Tensor]:
    found = load_breast_cancer()
    low, high = found.data.min(0), found.data.max(0)
    return halves((found.data - low) / (high - low), found.target, 350)


def fashion(folder: Path, each: int = 200) -> tuple[Tensor, Tensor]:
    """The first images of each class, at 14x14."""
    images, labels = (
        np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=head)
        for path, head in (
            (folder / "train-images-idx3-ubyte.gz", 16),
            (folder / "train-labels-idx1-ubyte.gz", 8),
        )
    )
    first = np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(10)])
    x = torch.tensor(images.reshape(-1, 1, 28, 28)[first]).float() / 255
    return F.avg_pool2d(x, 2).flatten(1), torch.tensor(labels[first]).long()


# Data, forgotten class, share of it, hidden units, epochs, taus. The fours are near the ceiling,
# and their large radii spread margins; of sneakers and trousers three quarters are forgotten.
PROBLEMS: dict[str, tuple[Callable, int, float, int, int, tuple[float, ...]]] = {
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


def train(x, y, seen: Tensor | list[Tensor], nets: int, hidden: int, epochs: int, lr: float,
          seed: int, start: list[Tensor] | None = None) -> list[Tensor]:  # fmt: skip
    """Nets that have ``seen`` these samples, or each its own, as many of them: [net, ...]."""
    seen = seen if isinstance(seen, list) else [seen] * nets
    g = torch.Generator().manual_seed(seed)
    d, classes = x.shape[1], int(y.max()) + 1
    shapes = ((d, hidden), (1, hidden), (hidden, classes), (1, classes))
    fans = (d, d, hidden, hidden)
    fresh = [
        (2 * torch.rand(nets, *s, generator=g) - 1) / f**0.5
        for s, f in zip(shapes, fans, strict=True)
    ]
    weights = [w.clone().requires_grad_() for w in start or fresh]
    steps = epochs * (len(seen[0]) // 32)
    sgd = torch.optim.SGD(weights, lr, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, steps)
    for _ in range(epochs):
        order = torch.stack([s[torch.randperm(len(s), generator=g)] for s in seen])
        for batch in order[:, : len(seen[0]) // 32 * 32].split(32, 1):
            z = logits(weights, x[batch])
            loss = F.cross_entropy(z.flatten(0, 1), y[batch].flatten(), reduction="sum") / 32
            sgd.zero_grad()
            loss.backward()
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
            own, rest = z[:, mine], z.masked_fill(mine, -torch.inf)
            hits[:, t] += (z.argmax(-1) == y).numpy()
            margins[:, t] += (own - rest.logsumexp(-1)).numpy() / DRAWS
    return hits, margins


def counted(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, margins and kinds of all nets of a problem."""
    load, label, share, hidden, epochs, taus = PROBLEMS[name]
    x, y = load(folder)
    own = (y == label).nonzero().flatten()
    forget = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(1))]
    forget = forget[: int(len(own) * share)]
    seen = torch.ones(len(y), dtype=torch.bool)
    seen[forget] = False
    rest, everything = seen.nonzero().flatten(), torch.arange(len(y))
    retrained = train(x, y, rest, RETRAINED, hidden, epochs, 0.05, 1)
    original = train(x, y, everything, ORIGINALS, hidden, epochs, 0.05, 2)
    tuned = train(x, y, rest, ORIGINALS, hidden, 5, 0.025, 3, start=original)
    nets = [torch.cat(parts) for parts in zip(retrained, original, tuned, strict=True)]
    hits, margins = count(nets, x[forget], y[forget], taus)
    kinds = np.repeat(KINDS, (RETRAINED, ORIGINALS, ORIGINALS))
    return hits, margins, kinds


def shares(hits, margins, kinds, k: int, sets: int, level: float) -> pd.DataFrame:
    """% of sets in which each net is found, by kind: a row a net, a column a test."""
    rng, values = np.random.default_rng(k), values_of_parts(hits, margins, DRAWS)
    ratio = np.log((hits[:, 0].mean(-1) + 1e-9) / DRAWS)  # the ratio at tau 0 alone
    rows = []
    for i, kind in enumerate(kinds):
        others = np.delete(np.arange(RETRAINED), i) if i < RETRAINED else np.arange(RETRAINED)
        found = []
        for _ in range(sets):
            pick = rng.choice(others, k, replace=False)
            least = statistics.least_spread(hits[pick], DRAWS)
            floors = {"hits": least.mean(), PARTS[-1]: least[0]}

            def p(value: np.ndarray, floor: float = 0.0, pick=pick, i=i) -> float:
                below = (value[pick] - value[pick].mean()) * k / (k - 1)
                return float(statistics.p_value(value[i] - value[pick].mean(), below, floor))

            ps = {n: p(v, floors.get(n, 0.0)) for n, v in values.items()}
            found.append({"the rule": combined(list(ps.values())), **ps,
                          "log ratio at the first tau": p(ratio)})  # fmt: skip
        rows.append({"kind": kind, **(100 * (pd.DataFrame(found) < level).mean())})
    return pd.DataFrame(rows)


def flagged(hits, margins, kinds, extra: str, sets: int) -> float:
    """% of sets of six references in which one is flagged: the one of kind ``extra``, if any is."""
    rng, found = np.random.default_rng(6), []
    good, bad = np.flatnonzero(kinds == KINDS[0]), np.flatnonzero(kinds == extra)
    for _ in range(sets):
        pick = rng.choice(good, 6 if extra == KINDS[0] else 5, replace=False)
        if extra != KINDS[0]:
            pick = np.append(pick, rng.choice(bad))
        odd = outstanding(hits[pick], margins[pick], DRAWS)
        found.append(odd is not None and (extra == KINDS[0] or odd[0] == 5))
    return 100 * float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fashion", type=Path, help="folder with Fashion-MNIST's .gz files")
    parser.add_argument("--sets", type=int, default=100, help="sets of references a net")
    parser.add_argument("--level", type=float, default=0.05)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in (n for n in PROBLEMS if given.fashion or "Fashion" not in n):
        hits, margins, kinds = counted(name, given.fashion)
        known = hits[kinds == KINDS[0]].mean((0, 2)) / DRAWS
        print(f"\n### {name}: {hits.shape[-1]} forgotten, which re-trained nets know to "
              f"{', '.join(f'{100 * a:.0f}' for a in known)} % at the radii\n")  # fmt: skip
        tables = [shares(hits, margins, kinds, k, given.sets, given.level) for k in SIZES]
        head = [f"{kind}, K = {k}" for kind in KINDS for k in SIZES]
        print("| % found by | " + " | ".join(head) + " |\n| --- |" + " ---: |" * len(head))
        for test in tables[0].columns[1:]:
            cells = [t[t.kind == kind][test] for kind in KINDS for t in tables]
            print(
                f"| {test} | " + " | ".join(f"{c.mean():.1f} ± {c.sem():.1f}" for c in cells) + " |"
            )
        said = [
            f"{kind} {flagged(hits, margins, kinds, kind, 3 * given.sets):.0f} %" for kind in KINDS
        ]
        print(f"\nSets of six flagged, the sixth being: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
