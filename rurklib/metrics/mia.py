"""The paper's membership inference attack: does the model's likelihood betray what it was shown?

Reference: Hsu et al. 2025, sec. 5 and B.4; the attack is that of Jia et al., "Model Sparsity Can
Simplify Machine Unlearning", NeurIPS 2023, and Fan et al., "SalUn", ICLR 2024.

Algorithm:
    1. for each sample, the likelihood p_y that the model gives to the correct label
    2. fit an RBF support vector machine to tell seen samples (1) from unseen ones (0) by p_y alone
    3. show it samples that it was not fitted on; the score is the share that it calls 0, unseen

So the score is the attack's *failure rate*: higher means better forgotten, and what to compare it
with is Re-train's score, not 50 or 100. It says little where seen and unseen samples look alike
(a net that is right about nearly all test samples), and the seen and unseen samples are of all
classes while the forget samples may be of one.

Notes on this implementation: the paper doesn't say how the two sides are balanced. A retain set
many times larger than the test set would let the machine call everything seen. The published code
of the attack takes the first ``len(test)`` retain samples; here both sides are drawn without
replacement to the size of the smaller, by ``seed``, so the order of the data set (often by class)
has no say. At most CAP of each are used, because fitting takes time quadratic in their number.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.metrics.registry import metric
from rurklib.tensors import Pair, logits

CAP = 5000  # of each side: 10,000 points are fitted in seconds, 80,000 would take the better hour


def mia(model: nn.Module, retain: Pair, test: Pair, forget: Pair, *, seed: int = 0) -> float:
    """Sample unlearning: percent of forget samples called unseen, retain = 1 against test = 0.

    Each pair is (x [n, ...], y int64 [n]). Returns a value in [0, 100], higher = better forgotten;
    the model is left as found. Raises InputError if a pair is empty or doesn't fit the model.
    """
    fitted = (_some(*pair, seed=seed) for pair in (retain, test))
    seen, unseen, scored = (likelihood(model, *pair) for pair in (*fitted, forget))
    return float(100 * (~svm_membership(seen, unseen, scored, seed=seed)).mean())


def _some(x: Tensor, y: Tensor, *, seed: int) -> Pair:
    """At most CAP samples: the machine is fitted on no more, so no others are asked about."""
    if len(y) <= CAP:
        return x, y
    index = torch.from_numpy(np.random.default_rng([seed, 1]).permutation(len(y))[:CAP])
    return x[index], y[index]


@metric(mia=("MIA %", 2))
def papers_mia(
    model: nn.Module, retain: Pair, forget: Pair, test: Pair, held_out: Pair, whole_class: bool
) -> float:
    """:func:`mia` as it suits what is forgotten: samples, or a ``whole_class``.

    Then it is retain = 1 against forget = 0, and the score is the percent of ``held_out`` called
    unseen, a part of the class that is not in ``forget`` (scoring what the machine was fitted on
    would flatter it).
    """
    parts = (retain, forget, held_out) if whole_class else (retain, test, forget)
    return mia(model, *parts)


def likelihood(model: nn.Module, x: Tensor, y: Tensor) -> np.ndarray:
    """The softmax probability of the correct label, float64 [n] in [0, 1], in eval mode."""
    checks.pair((x, y), "samples", bounds=None)
    checks.logits(model, x, y)
    # In float32 all confident samples would be tied at exactly 1.
    shares = logits(model, x).double().softmax(1)
    return shares.gather(1, y[:, None])[:, 0].cpu().numpy()


def svm_membership(
    seen: Sequence[float] | np.ndarray,
    unseen: Sequence[float] | np.ndarray,
    scored: Sequence[float] | np.ndarray,
    *,
    seed: int = 0,
) -> np.ndarray:
    """Which of ``scored`` a machine fitted to seen = 1, unseen = 0 calls 1, bool [k].

    Likelihoods [n], [m], [k] in [0, 1]; ``seed`` decides which of them are fitted.
    """
    from sklearn.svm import SVC  # a second of import time that only this needs

    sides = [np.asarray(side, dtype=np.float64) for side in (seen, unseen, scored)]
    size = min(len(sides[0]), len(sides[1]), CAP)
    rng = np.random.default_rng([seed, 2])
    fitted = np.concatenate([rng.choice(side, size, replace=False) for side in sides[:2]])
    machine = SVC(C=3, gamma="auto", kernel="rbf")
    machine.fit(fitted[:, None], np.repeat([1, 0], size))
    return np.asarray(machine.predict(sides[2][:, None]) == 1)
