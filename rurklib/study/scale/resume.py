"""Where a training had got to, in a file: killed at any moment, it goes on to the same weights.

Everything that the rest depends on is written as one safetensors file, moved into place when it is
whole: weights and buffers, the optimiser's momentum, how many passes are done, the global random
state (dropout). The order of batches and the augmentation are drawn from generators that follow
from the seed, so those of the passes done are drawn again and dropped; the schedule is stepped
again likewise, since its floats are computed one from the other.

The file bears the key of the model that it is the beginning of, and the digest of its content. One
that is damaged, or another model's, is never used.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.study import files


def write(
    path: Path,
    key: str,
    model: nn.Module,
    optimizer: torch.optim.SGD,
    passes: int,
    seconds: float = 0.0,
) -> None:
    """Write the state after so many passes, which took so many seconds."""
    names = dict(model.named_parameters()) | dict(model.named_buffers())
    tensors = {f"state.{name}": tensor for name, tensor in names.items()}
    for name, parameter in model.named_parameters():
        momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    # As a tensor, not as a word in the header: the digest is of tensors.
    tensors["passes"], tensors["random.cpu"] = torch.tensor(passes), torch.get_rng_state()
    tensors["seconds"] = torch.tensor(seconds)
    if (device := next(model.parameters()).device).type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    files.save_weights(path, tensors, key, passes=passes)


def read(path: Path, key: str) -> dict[str, Tensor]:
    """The state in ``path`` if it is whole and bears the key, else an empty dict, with a warning if
    there is a file."""
    if not path.exists():
        return {}
    try:
        tensors, found, _ = files.load_weights(path)
        reason = "" if found == key else "it is of another training (settings, data or code)"
    except checks.InputError as error:
        tensors, reason = {}, str(error).split("; ")[0]
    if reason:
        warnings.warn(f"{path} is not used: {reason}; training from the beginning", stacklevel=3)
        return {}
    return tensors


def restore(state: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.SGD) -> int:
    """Put a state back into the model, the optimiser and the global random state; returns how many
    passes are done."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            tensor.copy_(state[f"state.{name}"])
            if (momentum := state.get(f"momentum.{name}")) is not None:
                own = torch.empty_like(tensor).copy_(momentum)
                optimizer.state[tensor]["momentum_buffer"] = own
    torch.set_rng_state(state["random.cpu"])
    if "random.cuda" in state:
        torch.cuda.set_rng_state(state["random.cuda"], next(model.parameters()).device)
    return int(state["passes"])
