"""A long training that is killed at any moment goes on from its last kept pass, to the same bits.

The order of batches and the augmentation come from generators that follow from the seed, and the
schedule's rates are computed one from the other: ``fit`` draws and steps those of the passes done
again. All else is kept: weights, buffers, momentum, and the global random state (dropout).
"""

import time
import warnings
from pathlib import Path

import torch
from torch import nn

from rurklib.checks import InputError
from rurklib.study import files


class Kept:
    """The hook of one training: ``fit(net, x, y, seed=0, each_pass=Kept(path, key, every=5))``.

    The state is written to ``path`` after every ``every`` passes; whoever calls deletes it. ``key``
    says what is trained, and how. A file with another key, or a damaged one, is not used, with a
    warning. ``before`` is how many seconds the killed processes took for the passes that they kept.
    """

    def __init__(self, path: Path, key: str, *, every: int) -> None:
        self.path, self.key, self.every = path, key, every
        self.before, self.began = 0.0, time.perf_counter()

    def __call__(self, model: nn.Module, optimizer: torch.optim.SGD, done: int) -> int:
        """Called before the first pass with ``done = 0``, and after each; returns the passes that
        are done, which are more than 0 where a killed training left some."""
        if done == 0:
            return self._read(model, optimizer)
        if done % self.every == 0:
            self._write(model, optimizer, done)
        return done

    def _write(self, model: nn.Module, optimizer: torch.optim.SGD, passes: int) -> None:
        tensors = {f"state.{name}": tensor for name, tensor in _tensors(model).items()}
        for name, parameter in model.named_parameters():
            momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{name}"] = momentum
        # As tensors, not as words in the header: the digest is of tensors.
        spent = self.before + time.perf_counter() - self.began
        tensors |= {"passes": torch.tensor(passes), "seconds": torch.tensor(spent)}
        tensors["random.cpu"] = torch.get_rng_state()
        if (device := next(model.parameters()).device).type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(device)
        files.save_weights(self.path, tensors, self.key)

    def _read(self, model: nn.Module, optimizer: torch.optim.SGD) -> int:
        if not self.path.exists():
            return 0
        try:
            state, found, _ = files.load_weights(self.path)
            reason = "" if found == self.key else "it is of another training"
        except InputError as error:
            reason = str(error)
        if reason:
            warnings.warn(f"{self.path} is not used: {reason}", stacklevel=3)
            return 0
        with torch.no_grad():
            for name, tensor in _tensors(model).items():
                tensor.copy_(state[f"state.{name}"])
        for name, parameter in model.named_parameters():
            if (momentum := state.get(f"momentum.{name}")) is not None:
                buffer = torch.empty_like(parameter).copy_(momentum)
                optimizer.state[parameter]["momentum_buffer"] = buffer
        torch.set_rng_state(state["random.cpu"])
        if "random.cuda" in state:
            torch.cuda.set_rng_state(state["random.cuda"], next(model.parameters()).device)
        self.before = float(state["seconds"])
        return int(state["passes"])


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
