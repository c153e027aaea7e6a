"""Adversarial training: each batch is replaced by copies that the net, as it is, errs on most.

Reference: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018:
minimise the loss at the worst copy within a ball, which PGD looks for. The labels stay. The search
asks the net in eval mode, so running statistics of BatchNorm are those of what it learns from
alone. It costs ``STEPS`` passes more a step.
"""

import torch
from torch import Tensor, nn

from rurklib.perturb.perturbations import pgd
from rurklib.tensors import generator

STEPS = 5  # of PGD, each half of the radius: a corner of the ball is reached from any start
STREAM = 12  # of random numbers, beside those of order (10) and augmentation (11)


def led_astray(model: nn.Module, x: Tensor, y: Tensor, radius: float, *seeds: int) -> Tensor:
    """Copies within ``radius`` (L-inf) on which ``model`` has a larger loss; shaped like x.

    ``seeds`` name the stream of the starts: a training that goes on after a kill has the same ones.
    Shapes: x [n, ...] float in [0, 1] (InputError if it isn't), y int64 [n].
    """
    stream = generator(*seeds, device=x.device)
    with torch.enable_grad():
        return pgd(model, x, y, radius, steps=STEPS, generator=stream)
