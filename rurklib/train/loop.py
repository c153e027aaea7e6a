"""The one loop that every training and fine-tuning here goes through.

Data are tensors, so a batch is an index: no DataLoader, no workers. On the model's device nothing
is copied; elsewhere a batch at a time is moved there. The order of batches
comes from a generator of its own, so a seed decides it and nothing else does.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from rurklib.checks import InputError
from rurklib.tensors import as_float
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
    start: int = 0,
    augment: str = "none",
    choices: torch.Generator | None = None,
) -> Iterator[Batch]:
    """Shuffled batches (x float, y) for ``epochs`` passes, each sample once a pass.

    A pass is cut into ceil(n / size) batches of nearly equal length, so there is no tiny last
    batch (BatchNorm can't be trained on a batch of one). A batch is moved to ``device`` (default:
    it stays where x is), as bytes if it is bytes, and there changed by an augmentation that draws
    from the generator ``choices``. The first ``start`` passes are left out; the others are as if
    they had been made.
    """
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
            part = slice(int(place[0]), int(place[-1]) + 1)
            xb, yb = moved(x[order[part]], device), moved(y[order[part]], device)
            if change is not None and drawn is not None:
                xb = change.apply(xb, drawn[part])
            yield as_float(xb), yb


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


def learn(
    model: nn.Module,
    gradients: Callable[..., None],
    data: Iterable[tuple],
    optimizer: torch.optim.SGD,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    clip: float | None = None,
    batchnorm: BatchNorm = "train",
) -> nn.Module:
    """Take a step for each item of ``data``; return the model in eval mode.

    ``gradients(*item)`` adds to the gradients of the weights that ``optimizer`` has; their global
    norm is bounded by ``clip``. ``batchnorm`` as in :class:`rurklib.train.spec.SGD`. Nothing in it
    waits for a GPU. Raises InputError, which names what to change, if a step doesn't fit into a
    GPU's memory.
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
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            "a batch of one sample, of which BatchNorm in train mode makes nothing: expected two "
            'at least; with batchnorm="frozen" one will do'
        ) from error
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(
            f"out of memory in a step ({str(error).splitlines()[0]}): lower batch_size, as in "
            "--set batch_size=32 or --set RURK.batch_size=32"
        ) from error
    return model.eval()
