"""The one loop that every training and fine-tuning here goes through.

Data are tensors on the model's device, so a batch is an index: no DataLoader, no workers. The
order of batches comes from a generator of its own, so a seed decides it and nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rurklib import check
from rurklib.check import as_float

BatchNorm = Literal["frozen", "train"]
Batch = tuple[Tensor, Tensor]


def batches(
    x: Tensor, y: Tensor, *, size: int, epochs: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Shuffled batches (x float, y) for ``epochs`` passes, each sample once a pass.

    A pass is cut into ceil(n / size) batches of nearly equal length, so there is no tiny last
    batch (BatchNorm can't be trained on a batch of one).
    """
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator).to(x.device)
        for index in order.tensor_split(-(-len(x) // size)):
            yield as_float(x[index]), y[index]


def cycled(x: Tensor, y: Tensor, *, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Shuffled batches without end: the paper's ``nextIter(FLoader)``, whose rule for starting
    over is not given; here the set is shuffled anew whenever it is used up."""
    while True:
        yield from batches(x, y, size=size, epochs=1, generator=generator)


def descend(
    model: nn.Module,
    loss: Callable[..., Tensor],
    data: Iterable[tuple],
    *,
    steps: int,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    clip: float | None = None,
    batchnorm: BatchNorm = "train",
    warmup: int = 0,
) -> nn.Module:
    """Minimise ``loss(*item)`` over ``data`` in place with SGD and a cosine schedule.

    ``steps`` is how many items ``data`` yields (the schedule falls from ``lr`` to 0 over them,
    after ``warmup`` linear steps). ``clip`` bounds the gradient's global norm.

    ``batchnorm="train"`` normalises with each batch's statistics and moves the running ones, as
    ``model.train()`` does; ``"frozen"`` keeps every BatchNorm layer in eval mode, so running
    statistics neither act on a batch of forget samples alone nor move. Weights learn either way.
    The model is returned in eval mode.
    """
    check.one_of("batchnorm", batchnorm, get_args(BatchNorm))
    model.train()
    if batchnorm == "frozen":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=lr, momentum=momentum, weight_decay=weight_decay)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps - warmup, 1))
    schedule: torch.optim.lr_scheduler.LRScheduler = cosine
    if warmup:
        rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, cosine], [warmup])
    with torch.enable_grad():
        for item in data:
            optimizer.zero_grad(set_to_none=True)
            loss(*item).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(weights, clip)
            optimizer.step()
            schedule.step()
    return model.eval()
