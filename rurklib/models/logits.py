"""A model's logits on many samples, a batch at a time.

How sure a model is of a label, from its logits.
"""

import torch
from torch import Tensor, nn

from rurklib import tensors
from rurklib.tensors import evaluating

# Numbers in the inputs of a batch: 256 images of CIFAR-10, 5 of 224 pixels. What a net makes of
# them grows alike, and ResNet-50 would take ten gigabytes for 1,000 of the latter.
MOST = 256 * 3 * 32 * 32


def logits(model: nn.Module, x: Tensor) -> Tensor:
    """Logits [n, classes] in eval mode, without gradients; the model is left as found.

    x [n, ...] uint8 or float, on the model's device.
    """
    size = min(1000, max(1, MOST // x.shape[1:].numel()))
    with evaluating(model), torch.inference_mode():
        return torch.cat([model(tensors.as_float(xb)) for xb in x.split(size)])


def logit_margin(logits: Tensor, y: Tensor) -> Tensor:
    """Logit of y minus the log-sum-exp of the other logits, i.e. the log-odds of y, in float64.

    Not squashed at probability 1, where log-softmax rounds to 0. Shapes: logits [..., n, classes],
    y [n] -> [..., n].
    """
    z = logits.double()
    at_y = y.expand(z.shape[:-1])[..., None]
    others = z.scatter(-1, at_y, -torch.inf).logsumexp(-1)
    return z.gather(-1, at_y)[..., 0] - others
