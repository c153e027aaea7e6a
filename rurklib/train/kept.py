"""Where a training had got to, on disk: killed at any moment, it goes on to the same weights.

After every few passes everything that the rest depends on is written as one safetensors file, moved
into place when it is whole: weights and buffers, the optimiser's momentum, how many passes are
done, the global random state (dropout), and the size of parts that memory allowed. The order of
batches and the augmentation are drawn from generators that follow from the seed, so those of the
passes done are drawn again and dropped; the schedule is stepped again likewise, since its floats
are computed one from the other.

The file bears the fingerprint of all arguments, data and code, and the digest of its content. One
that is damaged or another call's is never used.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.study import files, memo

ROWS = 256  # looked at together; of inputs that aren't a tensor in memory, at all


def mark(model: nn.Module, x: Any, y: Tensor, **arguments: Any) -> str:
    """Fingerprint of a call of ``fit``: the model with its weights, the data, arguments, code.

    Of a tensor every byte counts. Rows that lie on disk may be many gigabytes: of those it is the
    labels, the shape, and 256 rows evenly spread.
    """
    here = torch.arange(len(x))
    if not isinstance(x, Tensor):
        here = torch.linspace(0, len(x) - 1, min(len(x), ROWS), dtype=torch.float64).long()
    sha = hashlib.sha256(f"{x.dtype}{tuple(x.shape)}".encode())
    for index in here.split(ROWS):
        sha.update(x[index.to(x.device)].cpu().contiguous().numpy().tobytes())
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    return memo.fingerprint(
        x=sha.hexdigest(),
        y=files.weights_digest({"y": y}),
        model=re.sub(r"0x[0-9a-f]+", "", repr(model)),  # addresses differ from process to process
        start=files.weights_digest(state),
        learning=[n for n, p in model.named_parameters() if p.requires_grad],
        device=next(model.parameters()).device.type,
        torch=torch.__version__,
        code=memo.code("train", "models", "rng", "model_state"),
        **arguments,
    )


def write(
    path: Path, mark: str, model: nn.Module, optimizer: torch.optim.SGD, epoch: int, most: int
) -> None:
    """Write the state after ``epoch`` passes."""
    names = dict(model.named_parameters()) | dict(model.named_buffers())
    tensors = {f"state.{name}": tensor for name, tensor in names.items()}
    for name, parameter in model.named_parameters():
        momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    # As tensors, not as words in the header: the digest is of tensors.
    tensors["epoch"], tensors["most"] = torch.tensor(epoch), torch.tensor(most)
    tensors["random.cpu"] = torch.get_rng_state()
    if (device := next(model.parameters()).device).type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    files.save_weights(path, tensors, mark, epoch=epoch)


def read(path: Path, mark: str) -> dict[str, Tensor]:
    """The state in ``path`` if it is whole and this call's, else an empty dict, with a warning if
    there is a file."""
    if not path.exists():
        return {}
    try:
        tensors, found, _ = files.load_weights(path)
        why = "" if found == mark else "it is of another training (arguments, data or code)"
    except checks.InputError as error:
        tensors, why = {}, str(error).split("; ")[0]
    if why:
        warnings.warn(f"{path} is not used: {why}; training from the beginning", stacklevel=3)
        return {}
    return tensors


def restore(state: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.SGD) -> None:
    """Put a state back into the model, the optimiser and the global random state."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            tensor.copy_(state[f"state.{name}"])
            if (momentum := state.get(f"momentum.{name}")) is not None:
                optimizer.state[tensor]["momentum_buffer"] = torch.empty_like(tensor).copy_(
                    momentum
                )
    torch.set_rng_state(state["random.cpu"])
    if "random.cuda" in state:
        torch.cuda.set_rng_state(state["random.cuda"], next(model.parameters()).device)
