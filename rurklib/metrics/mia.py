"""The paper's membership inference attack: does the model's likelihood betray what it was shown?

Reference: Hsu et al. 2025, sec. 5 and B.4; the attack is that of Jia et al., "Model Sparsity Can
Simplify Machine Unlearning", NeurIPS 2023, and Fan et al., "SalUn", ICLR 2024.

Algorithm:
    1. for each sample, the likelihood p_y that the model gives to the correct label
    2. fit an RBF support vector machine to tell seen samples (1) from unseen ones (0) by p_y alone
    3. show it samples that it was not fitted on; the score is the share that it calls 0, unseen

So the score is the attack's *failure rate*: higher means better forgotten. Compare it with
Re-train's score. It says little where seen and unseen samples look alike.

The paper doesn't say how the two sides are balanced. Here both are drawn without replacement to the
size of the smaller: a large retain set would let the machine call everything seen.
"""

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.metrics.registry import metric
from rurklib.tensors import Pair, logits

CAP = 5000  # of each side: 10,000 points are fitted in seconds, 80,000 would take most of an hour


@metric(mia=("MIA %", 2))
def mia(
    model: nn.Module, retain: Pair, forget: Pair, test: Pair, held_out: Pair, whole_class: bool
) -> float:
    """Percent of forget samples called unseen, retain = 1 against test = 0, in [0, 100].

    Of a ``whole_class``: percent of ``held_out``, the part of the class that is not in ``forget``,
    called unseen, retain = 1 against forget = 0; scoring what the machine was fitted on would
    flatter it. Raises InputError if a pair (x [n, ...], y int64 [n]) doesn't fit the model.
    """
    fitted, scored = ((retain, forget), held_out) if whole_class else ((retain, test), forget)
    sides = [likelihood(model, *pair) for pair in (*(_some(*pair) for pair in fitted), scored)]
    return float(100 * (~svm_membership(*sides)).mean())


def likelihood(model: nn.Module, x: Tensor, y: Tensor) -> np.ndarray:
    """The softmax probability of the correct label, float64 [n] in [0, 1], in eval mode."""
    checks.pair((x, y), "samples", bounds=None)
    checks.logits(model, x, y)
    # In float32 all confident samples would be tied at exactly 1.
    shares = logits(model, x).double().softmax(1)
    return shares.gather(1, y[:, None])[:, 0].cpu().numpy()


def svm_membership(seen: np.ndarray, unseen: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Which of ``scored`` a machine fitted to seen = 1, unseen = 0 calls 1, bool [k].

    Likelihoods [n], [m], [k] in [0, 1].
    """
    from sklearn.svm import SVC  # a second of import time that only this needs

    size = min(len(seen), len(unseen), CAP)
    rng = np.random.default_rng([0, 2])
    fitted = np.concatenate([rng.choice(side, size, replace=False) for side in (seen, unseen)])
    machine = SVC(C=3, gamma="auto", kernel="rbf").fit(fitted[:, None], np.repeat([1, 0], size))
    return np.asarray(machine.predict(scored[:, None]) == 1)


def _some(x: Tensor, y: Tensor) -> Pair:
    """At most CAP samples, for the machine is fitted on no more."""
    if len(y) <= CAP:
        return x, y
    index = torch.from_numpy(np.random.default_rng([0, 1]).permutation(len(y))[:CAP])
    return x[index], y[index]
