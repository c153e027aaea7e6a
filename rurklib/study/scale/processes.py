"""One net trained by several processes, each with a part of every batch; under ``torchrun``.

    torchrun --nproc-per-node 4 -m rurklib train --scenario imagenet100 --out runs/imagenet100

Lightning Fabric (``pip install -e ".[several]"``) finds the other processes and averages
gradients (DistributedDataParallel). Every process draws the same order and takes its part of each
batch; a part's loss is weighted by its length, so the average is that of the whole batch also where
it can't be divided evenly. So more processes make the same net faster, within rounding.

Two things are not the same. BatchNorm normalises a part by itself on the CPU (gloo knows no
SyncBatchNorm), and its running statistics are the first process's; on GPUs SyncBatchNorm stands in
for the layers while the net is trained. Layers that draw random numbers draw others in each
process.

Started without torchrun, or with one process, everything here says "alone" and does nothing. Tried
with two processes on a CPU; not on GPUs, and not on several machines. All processes must make the
same calls, on the same data and, with a run, on a disk that all of them see.
"""

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rurklib.checks import InputError
from rurklib.rng import mixed_seed
from rurklib.study.environment import needs

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
def fabric() -> "Fabric":
    """The processes, connected on first use. Raises InputError where Fabric isn't installed."""
    needs("lightning_fabric", extra="several")
    from lightning_fabric import Fabric

    here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        strategy="ddp",
        devices=here,
        num_nodes=size() // here,
    )
    fabric.launch()
    return fabric


def wrap(model: nn.Module) -> tuple[Callable[[Tensor], Tensor], Callable[[], None]]:
    """(what to call instead of the model, how to give it back when it is trained).

    The first process's weights are everybody's from now on. Giving back puts the model's own
    BatchNorm layers in again, and the first process's buffers into every process's model.
    """
    restore = synchronise_batchnorm(model) if next(model.parameters()).is_cuda else lambda: None

    def unwrap() -> None:
        restore()
        for buffer in model.buffers():  # BatchNorm's on the CPU are each process's own
            torch.distributed.broadcast(buffer, 0)

    return fabric().setup_module(model, move_to_device=False), unwrap


def synchronise_batchnorm(model: nn.Module) -> Callable[[], None]:
    """Put SyncBatchNorm in the place of BatchNorm layers, on their own weights and buffers; returns
    how to put the layers themselves back."""
    layers = {
        name: part
        for name, part in model.named_modules()
        if name and isinstance(part, nn.modules.batchnorm._BatchNorm)
    }
    nn.SyncBatchNorm.convert_sync_batchnorm(model)

    def restore() -> None:
        for name, layer in layers.items():
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer)

    return restore


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
