"""Do re-trained models guess? All of them, or one that guesses alone.

Models that guess alike acquit, and so does one among references that guesses where the others
don't: it widens what a re-trained model is believed to show.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rurklib.models.logits import logits
from rurklib.residual.flags import Flag, flag, some
from rurklib.tensors import Pair

CHANCE, ALONE = "references at chance", "reference at chance"  # flags


def of_all_classes(
    nets: Mapping[Any, nn.Module], pairs: Sequence[Pair], own: Any
) -> tuple[dict[str, int], list[Flag]]:
    """On samples (x, y) of several classes: how many of the first pair's each net is right on,
    {"of": n, name: hits}, and a flag if the references (all but ``own``) guess on every pair, or
    one of them does.

    Guessing is a mean over classes of one in their number, within two standard errors; one alone
    guesses if it also is below the mean of all, by two of each.
    """
    rows, said, alone = [], [], []
    for x, y in pairs:
        hits = {str(name): logits(net, x).argmax(1) == y for name, net in nets.items()}
        rows.append({"of": len(y)} | {name: int(its.sum()) for name, its in hits.items()})
        others = {name: its.double() for name, its in hits.items() if name != str(own)}
        if not others:
            return rows[0], []
        share, error = _recall(torch.stack([*others.values()]), y)
        chance = 1 / len(y.unique())
        if share - 2 * error <= chance:
            kinds = f"on average over {len(y.unique())} classes"
            said.append(f"{100 * share:.0f} % of each class, {kinds}")
        each = {name: _recall(its[None], y) for name, its in others.items()}
        low = share - 2 * error
        alone.append({n for n, (r, e) in each.items() if r - 2 * e <= chance and r + 2 * e < low})
    if len(said) == len(pairs):
        return rows[0], flag(CHANCE, said[0])
    return rows[0], flag(ALONE, some(sorted(set.intersection(*alone))))


def _recall(hits: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean over classes of the share that models [k, n] are right on, and its standard error."""
    classes = y.unique()
    recall = torch.stack([hits[:, y == c].mean() for c in classes])
    many = len(hits) * torch.stack([(y == c).sum() for c in classes])
    return float(recall.mean()), float((recall * (1 - recall) / many).sum().sqrt()) / len(classes)
