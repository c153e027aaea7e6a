"""The transfer attack: copies found on another model, shown to the one in question.

Not in the paper, which measures each model on copies found on itself. Copies that Original fails on
ask whether a model still errs where Original does: a low margin is no sign of memory but of
descent, as a near answer is to the mapping attack. Copies that a re-trained model fails on know of
no forget sample: who withstands them better than other re-trained models do, has something that
these lack.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rurklib.residual.counts import count_hits

STARTS = 2  # of PGD, each from a random place


def transferred(model: nn.Module, x: Tensor, y: Tensor, setting: Any, kind: str) -> Tensor:
    """Mean logit margin on copies by which PGD, within the setting's reach (L-inf), leads each of
    its ``sources`` of this kind away from y: float64 [n] with one source, else [sources, n].

    ``setting`` is an :class:`rurklib.attacks.AttackSetting`, which stands above this file.
    Shapes: x [n, ...], y int64 [n].
    """
    reach = (setting.reach,)
    asked = replace(setting.measured, taus=reach, perturbation="pgd-untargeted", draws=STARTS)
    sources = setting.sources[kind]
    pairs = [{"model": model, "source": net} for net in sources]
    counts = [count_hits(pair, x, y, asked, found_on="source") for pair in pairs]
    margins = np.stack([c.margins[0, 0] for c in counts])
    return torch.from_numpy(margins[0] if len(margins) == 1 else margins)
