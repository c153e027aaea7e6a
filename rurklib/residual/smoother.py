"""What the third control is trained on: noisy copies of the samples that re-trained models saw.

Apart from the other controls, whose words about a verdict no trained model depends on.
"""

import torch
from torch import Tensor

from rurklib import checks, tensors
from rurklib.perturb import gaussian
from rurklib.tensors import generator


def noisy_copies(
    x: Tensor,
    y: Tensor,
    tau: float,
    *,
    copies: int = 3,
    seed: int = 0,
    bounds: tensors.Bounds = (0.0, 1.0),
) -> tensors.Pair:
    """(x, y) with ``copies`` Gaussian copies of each sample (sd tau) beside it: what to train the
    third control on, a model that is smoother and remembers no more.

    Train it on the retain set as the references were, but for the noise, and measure it as a model:
    its curve is what smoothness alone does. (Or on all that Original saw: what smoothness adds.)

    Shapes: x [n, ...] -> [n (1 + copies), ...] float, y int64 [n] -> [n (1 + copies)].

    >>> import torch, rurklib
    >>> x, y = torch.rand(20, 1, 4, 4), torch.arange(20) % 2
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    >>> smooth = rurklib.train.fit(net, *noisy_copies(x, y, 0.1), seed=0, epochs=1, lr=0.1)
    """
    checks.inputs(x, bounds)
    checks.labels(y, len(x))
    checks.number("tau", tau, 0.0)
    checks.count("copies", copies)
    x = tensors.as_float(x)
    noisy = [
        gaussian(x, tau, generator=generator(seed, 0, 0, i, device=x.device), bounds=bounds)
        for i in range(copies)
    ]
    return torch.cat([x, *noisy]), y.repeat(1 + copies)
