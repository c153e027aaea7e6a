"""Searches of other kinds than RURK is trained on, and one that sees scores alone.

``eot``: expectation over transformations (Athalye et al., ICML 2018), the way to attack a defence
that works by noise: the gradient is averaged over noisy copies, from several random starts.
``random_search``: squares of random place and sign, kept if the margin falls (the idea of Square
Attack, Andriushchenko et al., ECCV 2020, in its simplest form): no gradient, a budget of queries.
"""

import math

import torch
from torch import Tensor, nn

from rurklib import samples
from rurklib.model_state import evaluating
from rurklib.models.logits import logit_margin
from rurklib.perturb.ball import inside, project
from rurklib.perturb.gradient import ascent, start
from rurklib.perturb.noise import normal

FIRST = 0.5  # share of the picture that the first square covers
HALVED = (0.05, 0.2, 0.5)  # shares of the budget after which a square's area is halved


def eot(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    tau: float,
    *,
    sd: float,
    generator: torch.Generator,
    draws: int = 4,
    restarts: int = 2,
    steps: int = 10,
    targeted: bool = True,
    bounds: samples.Bounds = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """Copies in the L-inf ball of radius tau whose *noisy* copies are (not) recognised as y.

    ``targeted`` looks for a place where y is recognised in spite of noise of standard deviation
    ``sd``, else for one where it isn't. Returns the best start's copies, shaped like x, and their
    mean logit margin on fresh noise, the same for all starts, float64 [n].
    """
    x, sign = samples.as_float(x), 1.0 if targeted else -1.0
    fresh = torch.randn((draws, *x.shape), generator=generator, device=x.device, dtype=x.dtype)
    best, most = x, torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
    with evaluating(model):
        for _ in range(restarts):
            d = start(x, tau, generator, bounds, math.inf)
            for _ in range(steps):
                z, g = inside(x, d, bounds), torch.zeros_like(x)
                for _ in range(draws):  # one of each sample at a time: small batches are faster
                    copies = inside(z, normal(z, sd, generator), bounds)
                    g = g + ascent(model, copies, y, targeted)
                d = project(d + 2.5 * tau / steps * g.sign(), x, tau, math.inf, bounds)
            z = inside(x, d, bounds)
            with torch.no_grad():
                seen = [logit_margin(model(inside(z, sd * noise, bounds)), y) for noise in fresh]
            found = sign * torch.stack(seen).mean(0)
            better = (found > most).view(-1, *[1] * (x.ndim - 1))
            best, most = torch.where(better, z, best), torch.maximum(found, most)
    return best, sign * most


def random_search(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    tau: float,
    *,
    generator: torch.Generator,
    queries: int = 100,
    targeted: bool = False,
    bounds: samples.Bounds = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """Copies in the L-inf ball of radius tau, found with ``queries`` questions for scores.

    Away from y, or with ``targeted`` towards it. The first copy has a random sign in every column
    (images) or coordinate; each further one flips a square (a run of coordinates) to a random
    corner of the ball, and is kept sample by sample if it is better. Returns the copies and their
    logit margin, float64 [n]; the sample itself is the first question, so no copy is worse.
    """
    x, sign = samples.as_float(x), 1.0 if targeted else -1.0
    n, c, h, w = shape = x.shape if x.ndim == 4 else torch.Size((len(x), 1, 1, x[0].numel()))

    def signs(*size: int) -> Tensor:
        drawn = torch.randint(0, 2, size, generator=generator, device=x.device)
        return tau * (2 * drawn - 1).to(x.dtype)

    def place(size: int, whole: int) -> slice:
        first = int(torch.randint(whole - size + 1, (), generator=generator, device=x.device))
        return slice(first, first + size)

    with evaluating(model), torch.no_grad():
        d, best = torch.zeros(shape, device=x.device, dtype=x.dtype), sign * _margin(model, x, y)
        for k in range(queries - 1):
            if k == 0:
                tried = signs(n, c, 1, w).expand(shape).clone()
            else:
                area, tried = FIRST / 2 ** sum(k / queries > share for share in HALVED), d.clone()
                high = max(1, round(h * math.sqrt(area))) if h > 1 else 1
                wide = max(1, round(w * (math.sqrt(area) if h > 1 else area)))
                rows, columns = place(high, h), place(wide, w)
                tried[:, :, rows, columns] = signs(n, c, 1, 1)
            found = sign * _margin(model, inside(x, tried.view_as(x), bounds), y)
            better = found > best
            d, best = torch.where(better.view(-1, 1, 1, 1), tried, d), torch.maximum(found, best)
        return inside(x, d.view_as(x), bounds), sign * best


def _margin(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return logit_margin(model(x), y)
