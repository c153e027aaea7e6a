"""LFSSD: SSD without labels or a loss; what matters is what moves the length of the output.

Reference: Foster, Schoepf & Brintrup, "Loss-Free Machine Unlearning", ICLR 2024 Tiny Papers
(arXiv 2402.19308); the importance is that of Aljundi et al., "Memory Aware Synapses", ECCV 2018.

Algorithm:
    1. O_f, O_r: mean of  |d/dw ||m(x)||^2|  over the forget and the retain set, at Original
    2. select the weights i with  O_f,i > alpha * O_r,i
    3. w_i <- beta_i w_i  with  beta_i = min(lambda * O_r,i / O_f,i, 1); the others stay

Notes on this implementation: steps 2 and 3 are SSD's, whose notes on the retain set and on weights
that become 0 hold here too. m(x) are the logits; a net whose logits are all moved by one number
gives the same classes and other importances. The official code takes the absolute value of a
batch's mean gradient; here it is taken per sample, as SSD's square is, so its values of alpha don't
carry over exactly. They aren't SSD's either: a ratio of absolute values is about the root of a
ratio of squares. No labels are used, and nothing is drawn.

Hyper-parameters: alpha 3.5 (the paper's for samples drawn from all classes, as others report it; 5
and 10 for whole classes; math.inf selects nothing), dampening 1.0 (the paper's lambda), batch_size
16 (that many copies of the weights are held; the result doesn't depend on it).
"""

from functools import partial

import torch
from torch import Tensor, nn

from rurklib.tensors import Pair
from rurklib.unlearn.contract import method
from rurklib.unlearn.fisher_information import mean_of
from rurklib.unlearn.ssd import dampened


def squared_length(logits: Tensor, y: Tensor) -> Tensor:
    """||m(x)||^2 of one sample, whatever its label."""
    return logits.square().sum()


@method("LFSSD", search={"alpha": (1.5, 30.0), "dampening": (0.1, 3.0)})
def lfssd(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    alpha: float = 3.5,
    dampening: float = 1.0,
    batch_size: int = 16,
) -> nn.Module:
    """Dampen the weights that move the forget set's outputs far more than the others'."""
    importance = partial(mean_of, torch.abs, model, batch_size=batch_size, of=squared_length)
    return dampened(model, importance, retain, forget, alpha=alpha, dampening=dampening)
