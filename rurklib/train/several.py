"""One net trained by several processes, each with a part of every batch; under ``torchrun``.

    torchrun --nproc-per-node 4 -m rurklib train --scenario imagenet100 --out runs/imagenet100

Lightning Fabric (``pip install -e ".[several]"``) finds the other processes and averages
gradients (DistributedDataParallel). Every process draws the same order and takes its part of each
batch; a part's loss is weighted by its length, so the average is that of the whole batch also where
it can't be divided evenly. So more processes make the same net faster, within rounding.

Two things are not the same. BatchNorm normalises a part by itself on the CPU (gloo knows no
SyncBatchNorm), and its running statistics are the first process's; on GPUs the layers are replaced
by SyncBatchNorm while training. Layers that draw random numbers draw others in each process.

Started without torchrun, or with one process, everything here says "alone" and does nothing. Tried
with two processes on a CPU; not on GPUs, and not on several machines. All processes must make the
same calls, on the same data and, with a run, on a disk that all of them see.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rurklib.checks import InputError
from rurklib.rng import mixed_seed

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def size() -> int:
    """How many processes train together, as torchrun says; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """Which of them this is; 0 is the one that writes files."""
    return int(os.environ["RANK"]) if size() > 1 else 0


def wait() -> None:
    """Go on when all processes are here."""
    if size() > 1:
        fabric().barrier()


@functools.cache
def fabric() -> Fabric:
    """The processes, connected on first use. Raises InputError where Fabric isn't installed."""
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise InputError(
            f'{error.name} is needed to train in {size()} processes: pip install -e ".[several]" '
            "in the clone of rurklib"
        ) from None
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        strategy="ddp",
        devices=here,
        num_nodes=size() // here,
    )
    fabric.launch()
    return fabric


def spread(
    model: nn.Module, compiled: bool = False
) -> tuple[nn.Module, Callable[[Tensor], Tensor], Callable[[Tensor], None]]:
    """(the net that learns, what to call, how to go backward) for a model.

    Alone that is the model, the model (compiled or not), and ``loss.backward``. Among several
    processes the first one's weights are everybody's. Where BatchNorm is synchronised the net is a
    copy, whose state :func:`gathered` puts back: the caller's model keeps its layers.
    """
    learner = model
    if size() > 1 and next(model.parameters()).is_cuda:
        learner = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(model))
    called: Any = torch.compile(learner) if compiled else learner
    if size() == 1:
        return learner, called, torch.Tensor.backward
    return learner, fabric().setup_module(called, move_to_device=False), fabric().backward


def gathered(model: nn.Module, learner: nn.Module) -> None:
    """Put into ``model`` what ``learner`` has learned, the same in every process."""
    if learner is not model:
        model.load_state_dict(learner.state_dict())
    for buffer in model.buffers() if size() > 1 else ():
        torch.distributed.broadcast(buffer, 0)  # BatchNorm's on the CPU are each process's own


def reseed(seed: int, epoch: int) -> None:
    """Among several processes, each one's global random state at the beginning of a pass.

    It follows from the pass, so that a run can go on in another number of processes; alone, the
    state goes on from pass to pass and is kept with the rest.
    """
    if size() > 1:
        torch.manual_seed(mixed_seed(seed, 12, rank(), epoch))


def agree(value: int, what: str) -> None:
    """Raise InputError unless ``value`` is the same in all processes."""
    if size() == 1:
        return
    ends = torch.tensor([value, -value], device=fabric().device)
    torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
    high, low = ends.tolist()
    if high != -low:
        raise InputError(
            f"{what} is {-low} in one process and {high} in another: expected the same; use a disk "
            "that all of them see"
        )
