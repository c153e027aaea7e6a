"""Edits of a text: tokens taken out, exchanged with a neighbour, or misspelt; tau is their rate.

A text is x [n, dim, length]: a column for each token, and zero columns after the last, as
:mod:`rurklib.study.readers.text` embeds it. Edits are no ball: one token changes by a whole
embedding, or not at all. Every draw decides for each token by a number of its own, so for one
generator the edits at a larger rate include those at a smaller one. All give copies shaped like x.
"""

import torch
from torch import Tensor

from rurklib import checks
from rurklib.tensors import Bounds


def delete(x: Tensor, tau: float, *, generator: torch.Generator, bounds: Bounds = None) -> Tensor:
    """Each token is taken out with probability ``tau``; those behind it move up, in their order."""
    there = x.ne(0).any(1)  # [n, length]: a token, no padding
    kept = there & (torch.rand(there.shape, generator=generator, device=x.device) >= tau)
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)  # kept first, in their order
    copies = torch.where(kept[:, None], x, torch.zeros_like(x))
    return copies.gather(2, order[:, None].expand_as(x))


def swap(x: Tensor, tau: float, *, generator: torch.Generator, bounds: Bounds = None) -> Tensor:
    """Tokens are paired with a neighbour, and each pair exchanged with probability ``tau``.

    Pairs begin with the first token or with the second, as chance has it for each text, so every
    two neighbours can change places and no token moves further than one place.
    """
    there = x.ne(0).any(1)
    n, length = there.shape
    first = torch.randint(0, 2, (n, 1), generator=generator, device=x.device)
    place = torch.arange(length, device=x.device).expand(n, length)
    pair = place + first  # (0 1)(2 3)... or 0(1 2)(3 4)...
    partner = (pair ^ 1) - first
    inside = (partner >= 0) & (partner < there.sum(1, keepdim=True))  # one without a partner stays
    number = torch.rand(n, length // 2 + 1, generator=generator, device=x.device)
    exchanged = there & inside & (number.gather(1, pair // 2) < tau)
    return x.gather(2, torch.where(exchanged, partner, place)[:, None].expand_as(x))


def typo(x: Tensor, tau: float, *, generator: torch.Generator, bounds: Bounds = None) -> Tensor:
    """Each token is misspelt with probability ``tau``: its numbers get signs drawn anew.

    A changed letter makes another word, mostly one that nobody has seen, and the embedding of such
    a word is random signs: so is a column of signs with signs drawn anew.
    """
    there = x.ne(0).any(1)
    wrong = there & (torch.rand(there.shape, generator=generator, device=x.device) < tau)
    sign = torch.randint(0, 2, x.shape, generator=generator, device=x.device).to(x.dtype) * 2 - 1
    return torch.where(wrong[:, None], x * sign, x)


def check_texts(x: Tensor, tau: float, bounds: Bounds) -> None:
    """Raise InputError for what is no embedded text, or for a rate above 1."""
    checks.inputs(x, bounds)
    checks.number("tau", tau, 0.0, 1.0)
    if x.ndim != 3 or not x.is_floating_point():
        raise checks.InputError(
            f"x is {x.dtype} {tuple(x.shape)}: edits are for embedded texts, floats [n, dim, "
            "length] with a column for each token; for images take gaussian, for example"
        )
