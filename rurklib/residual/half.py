"""Answers of float32 at the price of bfloat16, where a processor multiplies in bfloat16.

Whether a copy is recognised depends on the largest logit alone, and bfloat16 moves logits by a few
hundredths. So all copies are asked in bfloat16, and those whose two best logits are so close that
this might decide are asked again in float32: hits and misses are float32's. How close that is, is
measured on the copies at hand: one in sixteen of each batch is asked both ways, and a lead of less
than four times the largest difference found there is in doubt (two errors, one a logit, and as much
again). So a hit could differ where errors are twice those of the copies asked both ways; none was
seen to.

Logits that nobody doubted stay bfloat16's, less their mean error on the copies asked both ways: it
is mostly that of rounded weights, the same for all copies, and would stay in a mean of margins.
``tests/residual/test_half.py`` says how little is left, for samples of one class.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

EVERY = 16  # of the copies in a batch, one is asked both ways
SAFE = 4  # a lead of so many times the largest difference isn't in doubt
BATCH = 256  # copies at once, so that some are asked both ways


def in_half(
    net: nn.Module, call: Callable[[Tensor], Tensor], example: Tensor
) -> Callable[[Tensor], Tensor]:
    """A function that gives ``call``'s answers, sooner: logits whose argmax is that of ``call``.

    ``net`` is the same model as ordinary layers, of which a copy in bfloat16 is made; ``example``
    are inputs that it is tried on. Raises ValueError if too many answers would be in doubt for it
    to be any faster, and whatever the net raises in bfloat16.
    """
    half = copy.deepcopy(net).to(torch.bfloat16)

    def rough(x: Tensor) -> Tensor:
        return half(x.to(torch.bfloat16)).float()

    def answers(x: Tensor) -> Tensor:
        logits = rough(x)
        asked = torch.zeros(len(x), dtype=torch.bool)
        asked[::EVERY] = True
        exact = call(x[asked])
        logits += (exact - logits[asked]).mean(0)
        doubt = SAFE * (exact - logits[asked]).abs().max()
        logits[asked] = exact
        # NaN and infinity: "not", so that they are asked again.
        again = ~(lead(logits) > doubt) & ~asked
        if again.any():
            logits[again] = call(x[again])
        return logits

    with torch.inference_mode():
        own = call(example)
        doubted = lead(own) <= SAFE * (own - rough(example)).abs().max()
    if not own.isfinite().all() or doubted.float().mean() > 0.5:
        raise ValueError(f"{int(doubted.sum())} of {len(own)} answers in bfloat16 are in doubt")
    return answers


def lead(logits: Tensor) -> Tensor:
    """How far the largest logit is ahead of the next one, [n]."""
    best = logits.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]
