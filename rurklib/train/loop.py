"""The one loop that every training and fine-tuning here goes through.

Data are tensors, so a batch is an index: no DataLoader, no workers. On the model's device nothing
is copied; elsewhere (too large, or on disk) a batch at a time is moved there. The order of batches
comes from a generator of its own, so a seed decides it and nothing else does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.samples import as_float
from rurklib.train.augment import augmentation

BatchNorm = Literal["frozen", "train"]


Batch = tuple[Tensor, Tensor]


def batches(
    x: Tensor,
    y: Tensor,
    *,
    size: int,
    epochs: int,
    generator: torch.Generator,
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """Shuffled batches (x float, y) for ``epochs`` passes, each sample once a pass.

    A pass is cut into ceil(n / size) batches of nearly equal length, so there is no tiny last
    batch (BatchNorm can't be trained on a batch of one). ``x`` is a tensor, or anything on the CPU
    that gives ``x[index]``, ``len``, ``shape``, ``dtype`` and ``device`` as one does; a batch is
    moved to ``device`` (default: it stays where x is), as bytes if it is bytes.
    """
    for xb, yb, _ in shares(x, y, size=size, epochs=epochs, generator=generator, device=device):
        yield xb, yb


def shares(
    x: Tensor,
    y: Tensor,
    *,
    size: int,
    epochs: int,
    generator: torch.Generator,
    device: torch.device | None = None,
    start: int = 0,
    augment: str = "none",
    choices: torch.Generator | None = None,
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """(x, y, length of the whole batch) for the part ``share`` = (which, of how many) of each of
    :func:`batches`, changed by an augmentation that draws from the generator ``choices``.

    The first ``start`` passes are left out; the others are as if they had been made.
    """
    which, many = share
    change = augmentation(augment, tuple(x.shape[1:]))
    y = y.to(x.device)
    device = x.device if device is None else device
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        drawn = None
        if change is not None:
            assert choices is not None
            drawn = change.draw(len(x), tuple(x.shape[1:]), choices)
        if epoch < start:
            continue
        # Moved once a pass: an index that comes from the host makes every step wait.
        order = order.to(x.device)
        drawn = None if drawn is None else drawn.to(device)
        for place in torch.arange(len(x)).tensor_split(-(-len(x) // size)):
            part = place.tensor_split(many)[which]
            here = slice(int(part[0]), int(part[-1]) + 1)
            index = order[here]
            xb, yb = moved(x[index], device), moved(y[index], device)
            if change is not None and drawn is not None:
                xb = change.apply(xb, drawn[here])
            yield as_float(xb), yb, len(place)


def moved(x: Tensor, device: torch.device) -> Tensor:
    """A tensor on ``device``; to a GPU without waiting for it, through page-locked memory."""
    if x.device == device:
        return x
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


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
    The model is returned in eval mode. Raises InputError, which names what to change, if a step
    doesn't fit into a GPU's memory.
    """
    checks.one_of("batchnorm", batchnorm, get_args(BatchNorm))
    optimizer, schedule = sgd(
        model, steps=steps, lr=lr, momentum=momentum, weight_decay=weight_decay, warmup=warmup
    )

    def gradients(*item: Tensor) -> None:
        loss(*item).backward()

    return learn(model, gradients, data, optimizer, schedule, clip=clip, batchnorm=batchnorm)


def sgd(
    model: nn.Module,
    *,
    steps: int,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
    warmup: int = 0,
    done: int = 0,
) -> tuple[torch.optim.SGD, torch.optim.lr_scheduler.LRScheduler]:
    """SGD on the weights that learn, and its schedule after ``done`` steps: ``warmup`` linear ones,
    then half a cosine, ``steps`` in all."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        weights, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov
    )
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps - warmup, 1))
    schedule: torch.optim.lr_scheduler.LRScheduler = cosine
    if warmup:
        rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, cosine], [warmup])
    if done:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            for _ in range(done):
                schedule.step()
    return optimizer, schedule


def learn(
    model: nn.Module,
    gradients: Callable[..., None],
    data: Iterable[tuple],
    optimizer: torch.optim.SGD,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    *,
    clip: float | None = None,
    batchnorm: BatchNorm = "train",
    after: Callable[[], None] | None = None,
) -> nn.Module:
    """Take a step for each item of ``data``; return the model in eval mode.

    ``gradients(*item)`` adds to the gradients of the weights that ``optimizer`` has. ``after`` is
    called after each step. Nothing in it waits for a GPU.
    """
    model.train()
    if batchnorm == "frozen":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    try:
        with torch.enable_grad():
            for item in data:
                optimizer.zero_grad(set_to_none=True)
                gradients(*item)
                if clip is not None:
                    nn.utils.clip_grad_norm_(weights, clip)
                optimizer.step()
                schedule.step()
                if after is not None:
                    after()
    except torch.cuda.OutOfMemoryError as error:
        raise checks.InputError(
            f"out of memory in a step ({str(error).splitlines()[0]}): lower batch_size, as in "
            "--set batch_size=32 or --set RURK.batch_size=32"
        ) from error
    return model.eval()
