"""Is anyone treated differently? An exact test that needs few re-trained models, or none.

If a model never saw the forget samples, they and held-out samples of the same classes are
exchangeable for it: who was forgotten was decided by chance, and the model doesn't know how. So its
margins on noisy copies of the ones and of the others are two draws from one population, and how far
their means lie apart is compared with every other way of calling so many of them "forgotten"::

    z[tau] = (mean margin of the forget samples - of the held-out ones) / its sd over relabellings
    T      = the largest |z[tau]| over the curve
    p      = the share of relabellings whose T is at least as large, the true one included

Relabellings stay within a class, and each class weighs as its forget samples do. The level is exact
for any number of samples, any perturbation and any dependence between radii (Fisher 1935; Phipson &
Smyth 2010, for the true one's place among them), provided that forgetting was by chance and every
copy has noise of its own. Our measurement gives the i-th forget sample and the i-th held-out one
the same noise: with a few draws the test is conservative, with a hundred it makes no difference.

Re-trained models aren't needed, and sharpen it: how hard a sample is, all models share, and it is
taken away by subtracting the mean margin of the references, sample by sample. They never saw the
ones or the others, so exchangeability stays as it was, whatever their number.

Where it fails: a forget set that is no random part of its class (one person's photographs, the
hardest samples) differs from held-out samples without having been seen. Compare then with samples
that were chosen the same way, such as photographs of another such person, or ask the re-trained
models (:func:`rurklib.residual.verdict.judge`).

This asks another question than residual knowledge does. A model that lowers the whole class alike
is over-forgetting by the ratio and treats nobody differently; one that lowers the forgotten alone
is found here, to the one side as to the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rurklib import checks
from rurklib.tensors import mixed_seed

RELABELLINGS = 9_999
SURER, LESS_SURE, ALIKE = "surer of the forgotten", "less sure of the forgotten", "treated alike"


@dataclass(frozen=True)
class Exchange:
    """The outcome for one model.

    ``z`` [tau] is how far apart the two groups' margins are at each radius, in standard deviations
    of a relabelling (positive: surer of the forgotten); ``difference`` [tau] the same in logits;
    ``p`` of the largest over the curve. ``n``: samples (forgotten, held out) that were compared;
    ``taus``, if they were named.
    """

    p: float
    z: np.ndarray
    difference: np.ndarray
    n: tuple[int, int]
    references: int
    level: float = 0.05
    taus: tuple[float, ...] = ()

    @property
    def finding(self) -> str:
        if not self.p <= self.level:
            return ALIKE
        return SURER if self.z[np.abs(self.z).argmax()] > 0 else LESS_SURE

    def __str__(self) -> str:
        at, k = int(np.abs(self.z).argmax()), self.references
        where = f"at tau = {self.taus[at]:g} " if self.taus else ""
        return (
            f"{self.finding.capitalize()} (p = {self.p:.2g}): {where}margins of {self.n[0]} forget "
            f"samples are {self.difference[at]:+.3g} logits from those of {self.n[1]} held-out "
            f"samples, less {k} re-trained models' mean."
        )


def exchange(
    forget: np.ndarray,
    held_out: np.ndarray,
    y: np.ndarray,
    held_out_y: np.ndarray,
    *,
    taus: Sequence[float] = (),
    relabellings: int = RELABELLINGS,
    seed: int = 0,
    level: float = 0.05,
) -> Exchange:
    """Test whether a model's margins treat forget and held-out samples of a class alike.

    ``forget`` [1 + k, tau, n] and ``held_out`` [1 + k, tau, m]: mean logit margins over copies, of
    the model first and then of k >= 0 references, in logits. ``y`` [n], ``held_out_y`` [m]:
    labels. Classes that only one of the groups has are left out. ``taus`` name the radii in words.

    Raises InputError where no class has samples of both.

    >>> margins = np.random.default_rng(0).normal(size=(1, 2, 30))
    >>> found = exchange(margins + 3, margins, np.zeros(30), np.zeros(30))
    >>> found.finding, found.p
    ('surer of the forgotten', 0.0001)
    """
    classes = np.intersect1d(y, held_out_y)
    if not len(classes):
        raise checks.InputError(
            f"forget samples are of classes {np.unique(y).tolist()} and held-out ones of "
            f"{np.unique(held_out_y).tolist()}: expected held-out samples of the same classes"
        )
    own = [m[0] - m[1:].mean(axis=0) if len(m) > 1 else m[0] for m in (forget, held_out)]
    rng = np.random.default_rng(mixed_seed(seed, relabellings))
    n = int(np.isin(y, classes).sum())
    apart = np.zeros((relabellings + 1, own[0].shape[0]))  # [the true labels first, tau]
    for c in classes:
        a, b = own[0][:, y == c], own[1][:, held_out_y == c]
        apart += a.shape[1] / n * _means_apart(a, b, relabellings, rng)
    spread = apart.std(axis=0)  # of all alike, the true one among them: so the level is exact
    z = np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0)
    largest = np.abs(z).max(axis=1)
    p = float((largest >= largest[0] * (1 - 1e-9)).mean())
    m = int(np.isin(held_out_y, classes).sum())
    return Exchange(p, z[0], apart[0], (n, m), len(forget) - 1, level, tuple(taus))


def _means_apart(
    a: np.ndarray, b: np.ndarray, relabellings: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean of ``a`` less that of ``b`` [tau, ...], as they are and relabelled: [1 + r, tau]."""
    both, n, m = np.concatenate([a, b], axis=1), a.shape[1], b.shape[1]
    both = both - both.mean(axis=1, keepdims=True)  # sums of small numbers lose no digits
    sums = np.empty((relabellings + 1, len(both)))
    sums[0] = both[:, :n].sum(axis=1)
    for k in range(1, relabellings + 1):
        sums[k] = both[:, rng.choice(n + m, n, replace=False, shuffle=False)].sum(axis=1)
    return sums * (1 / n + 1 / m)  # what the others sum to is minus this
