"""bfloat16 on a GPU, where it gives the same answers: checked on the first copies that are asked.

A GPU multiplies bfloat16 several times faster than float32, with three digits instead of seven.
For counting hits only the largest logit matters, and it is nearly always the same one. So the
first copies are asked in both precisions; if at least 99.9 % of the answers agree, and the logits
differ by no more than a hundredth of a logit on average (margins are averages), bfloat16 goes on,
else float32. What is checked is answered in float32 in either case.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

AGREE = 0.999  # least share of equal answers


DRIFT = 0.01  # most mean difference of the logits, in logits: a bias that averages would keep


CHECKED = 4096  # copies that are asked in both precisions


class Reduced(nn.Module):
    """``net`` with its convolutions and products in bfloat16, if that agrees; logits in float32.

    ``agreed`` of ``checked`` answers were the same, and their logits ``apart`` in sum; ``lower``
    says whether bfloat16 is used: None until enough is checked.
    """

    def __init__(self, net: nn.Module, device: str) -> None:
        super().__init__()
        self.net, self.device = net, device
        self.checked = self.agreed = 0
        self.apart = 0.0
        self.lower: bool | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.lower is False:
            return self.net(x)
        with torch.autocast(self.device, torch.bfloat16):
            low = self.net(x).float()
        if self.lower:
            return low
        own = self.net(x)
        self.agreed += int((own.argmax(1) == low.argmax(1)).sum())
        self.apart += float((low - own).double().mean(1).sum())
        self.checked += len(x)
        if self.checked >= CHECKED:
            steady = abs(self.apart) <= DRIFT * self.checked
            self.lower = self.agreed >= AGREE * self.checked and steady
        return own


def reducible(x: Tensor) -> bool:
    """Whether bfloat16 may pay: float32 inputs on a GPU that has it."""
    return x.is_cuda and x.dtype == torch.float32 and torch.cuda.is_bf16_supported(False)
