"""One sample's residual knowledge as draws accumulate, and how sure it is after each.

*Estimand*: r = Pr[m(x') = y] / mean over k of Pr[a_k(x') = y] for this sample, this perturbation
and tau, this model m and these references a_k. Only the copies x' are random: the interval is a
Monte Carlo interval, shrinks to nothing as draws accumulate, and says nothing about models of other
seeds (:mod:`rurklib.residual.statistics` does that for a forget set).

*Interval*: on the log scale, each of the two shares with its Wilson limits, combined by the method
of variance estimates recovery (Zou and Donner 2008), less what the shared copies make them have in
common (their covariance over draws). The references' mean share is treated as that of a single
model, the worst case, as if all references always failed on the same copies; so the interval is
rather too wide. Wilson's limits leave room where a share is 0 or 1 so far.

*Zero denominators* as in :mod:`rurklib.residual.statistics`: where no reference has recognised any
copy, the ratio is undefined (NaN), and so is its interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rurklib import checks
from rurklib.perturb import PERTURBATIONS
from rurklib.study.inspector.view import STEPS, Inspector

CHUNK = 10  # draws between two reports


@dataclass(frozen=True)
class RunningRatio:
    """``ratio``, ``low`` and ``high`` [draw] after each draw of ``draws`` (1, 2, ...); ``hits``
    [draw] of the model and ``reference_hits`` [draw], the mean reference's, so far. ``certain``:
    no chance is in the perturbation, and one draw tells all. ``done`` of ``total`` are made."""

    model: str
    references: int
    draws: np.ndarray
    hits: np.ndarray
    reference_hits: np.ndarray
    ratio: np.ndarray
    low: np.ndarray
    high: np.ndarray
    total: int
    certain: bool = False

    @property
    def done(self) -> int:
        return len(self.draws)


def running(
    inspector: Inspector,
    sample: int,
    perturbation: str,
    tau: float,
    *,
    model: str = "Original",
    found_on: str = "Original",
    steps: int = STEPS,
    draws: int | None = None,
) -> Iterator[RunningRatio]:
    """The running ratio, reported every ten draws until all are made (None: the study's number).

    Draw i is the measurement's draw i, so after all of them the hits are those of its counts.
    """
    total = inspector.run.scenario.draws if draws is None else checks.count("draws", draws)
    checks.one_of("model", model, inspector.models)
    others = inspector.others(perturbation, found_on, model)
    if not others:
        raise checks.InputError(f"{model} has no reference to be compared with")
    certain = tau == 0 or not PERTURBATIONS[perturbation].random
    total = 1 if certain else total
    y, found = int(inspector.y[sample]), np.zeros((1 + len(others), 0), bool)
    while found.shape[1] < total:
        made = found.shape[1]
        more = range(made, min(made + CHUNK, total))
        copies = inspector.copies(sample, perturbation, tau, more, found_on, steps)
        said = inspector.logits(copies, (model, *others)).argmax(-1).cpu().numpy()
        found = np.concatenate([found, said == y], axis=1)
        count = np.arange(1, found.shape[1] + 1)
        ratio, low, high = ratio_so_far(found[0], found[1:])
        if certain:  # known without doubt
            low = high = ratio
        yield RunningRatio(
            model, len(others), count, found[0].cumsum(), found[1:].sum(0).cumsum() / len(others),
            ratio, low, high, total, certain,
        )  # fmt: skip


def ratio_so_far(
    own: np.ndarray, others: np.ndarray, z: float = 1.96
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ratio and its interval after each draw. own bool [draw], others bool [k, draw] -> 3 [draw].

    ``z`` is the normal quantile: 1.96 for 95 %. A model that has recognised nothing has ratio 0
    and the interval 0 ... upper share / lower share of the references.
    """
    n, k, both = np.arange(1, len(own) + 1), len(others), (own & others).sum(0)
    shares = np.stack([own.cumsum() / n, others.sum(0).cumsum() / (k * n)])
    a, b = shares
    covariance = (both.cumsum() / (k * n) - a * b) / np.maximum(n - 1, 1)
    least, most = wilson(shares, n, z)
    with np.errstate(divide="ignore", invalid="ignore"):  # where a share is 0: told apart below
        ratio = np.where(b > 0, a / b, np.nan)
        down, up = np.log(shares) - np.log(least), np.log(most) - np.log(shares)
        common = z**2 * (covariance / (a * b))

        def arm(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            return np.sqrt(first**2 + second**2 - 2 * np.minimum(common, first * second))

        low, high = ratio * np.exp(-arm(down[0], up[1])), ratio * np.exp(arm(up[0], down[1]))
        nothing = (a == 0) & (b > 0)
        low, high = np.where(nothing, 0.0, low), np.where(nothing, most[0] / least[1], high)
    return ratio, low, high


def wilson(p: np.ndarray, n: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's limits of a share p seen in n draws (Wilson 1927), inside [0, 1]."""
    middle = p + z**2 / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return np.clip((middle - half) / scale, 0, p), np.clip((middle + half) / scale, p, 1)
