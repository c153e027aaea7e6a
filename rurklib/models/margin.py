"""How sure a model is of a label, from its logits."""

from __future__ import annotations

import torch
from torch import Tensor


def logit_margin(logits: Tensor, y: Tensor) -> Tensor:
    """Logit of y minus the log-sum-exp of the other logits, i.e. the log-odds of y, in float64.

    Not squashed at probability 1, where log-softmax rounds to 0. Shapes: logits [..., n, classes],
    y [n] -> [..., n].
    """
    z = logits.double()
    at_y = y.expand(z.shape[:-1])[..., None]
    others = z.scatter(-1, at_y, -torch.inf).logsumexp(-1)
    return z.gather(-1, at_y)[..., 0] - others
