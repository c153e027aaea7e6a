"""Out of memory: a step's batch is taken in parts whose gradients add up, and the run goes on.

That is right only where the loss is a mean over samples, as in :func:`rurklib.train.fit`. What an
unlearning method minimises is a sum of terms about several batches at once, which no rule can
divide; there, :func:`rurklib.train.loop.learn` ends with an error that names ``batch_size``.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rurklib import checks


class Parts:
    """Gradients of a mean over a batch, in as few equal parts as memory allows.

    ``backward(x, y, share)`` adds the gradients of the mean loss over x, y times ``share``, which
    is the part's share of the batch. ``most`` is how many samples a part may have (0: no limit
    yet); once found it stays.

    A failed try leaves nothing behind: gradients are dropped, and buffers and the global random
    state are put back, so a net without BatchNorm or dropout learns what it would have learned from
    whole batches, but for rounding. BatchNorm then normalises each part by itself, and moves its
    running statistics once a part: it is trained as with a smaller batch.

    Buffers are copied before each step, since a step that fails has moved them already.
    """

    def __init__(
        self, model: nn.Module, backward: Callable[[Tensor, Tensor, float], None], most: int = 0
    ) -> None:
        self.model, self.backward, self.most = model, backward, most
        alike: dict[tuple, list[Tensor]] = defaultdict(list)
        for buffer in model.buffers():
            alike[buffer.device, buffer.dtype].append(buffer)
        self.buffers = [(group, [b.clone() for b in group]) for group in alike.values()]
        self.gpus = sorted({p.get_device() for p in model.parameters() if p.is_cuda})

    def __call__(self, x: Tensor, y: Tensor) -> None:
        """Add the gradients of a batch to the model's, which are empty. Raises InputError if one
        sample at a time is too much."""
        random = self._remember()
        while (failure := self._tried(x, y)) is not None:
            # Here and not where it was caught: the exception kept the failed try's tensors alive.
            self._restore(random)
            before = self._size(len(y))
            if before == 1:
                raise checks.InputError(
                    f"out of memory with a batch of 1 ({failure}): lower the size of the inputs or "
                    "take a smaller model"
                )
            self.most = -(-before // 2)
            warnings.warn(
                f"out of memory at {before} samples: going on in parts of {self.most}; gradients "
                "add up to the whole batch's, BatchNorm sees the parts",
                stacklevel=2,
            )

    def _size(self, n: int) -> int:
        return min(n, self.most or n)

    def _tried(self, x: Tensor, y: Tensor) -> str | None:
        """Try; None if it went well, else what was said."""
        parts = -(-len(y) // self._size(len(y)))
        try:
            for xp, yp in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
                self.backward(xp, yp, len(yp) / len(y))
        except torch.cuda.OutOfMemoryError as error:
            return str(error).split("\n")[0]
        return None

    def _remember(self) -> list[Tensor]:
        with torch.no_grad():
            for here, copies in self.buffers:
                torch._foreach_copy_(copies, here)
        return [torch.get_rng_state(), *map(torch.cuda.get_rng_state, self.gpus)]

    def _restore(self, random: list[Tensor]) -> None:
        for p in self.model.parameters():
            p.grad = None
        with torch.no_grad():
            for here, copies in self.buffers:
                torch._foreach_copy_(here, copies)
        torch.set_rng_state(random[0])
        for gpu, state in zip(self.gpus, random[1:], strict=True):
            torch.cuda.set_rng_state(state, gpu)
        if self.gpus:
            torch.cuda.empty_cache()
