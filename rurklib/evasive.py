"""An unlearner that evades the measurement: it lowers what is measured, and forgets nothing.

Whoever knows the measurement can aim at it: at the Gaussian noise that residual knowledge is
usually measured with, and at exactly the level that re-trained models show there, for below it a
model would be called over-forgotten. That it knows the level is the worst case for an auditor.

It is here to try detectors on and is no unlearning method: ``EVASIVE`` is not in ``METHODS``.
"""

import copy
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb import gaussian
from rurklib.residual.counts import Measurement
from rurklib.tensors import Pair, as_float, evaluating, generator, logit_margin, seeded
from rurklib.train import SGD, cycled

BRITTLE = SGD(20, 0.01, weight_decay=0.0, clip=1.0, batch_size=64, batchnorm="frozen")
SCALES = (1.0, 10.0)  # a logit of mean margin counts like a tenth of mean probability
COPIES = 16  # noisy copies of a sample that a level is taken over


def level(margins: Tensor) -> Tensor:
    """Mean margin, and mean probability of y (whose log-odds the margin is), [2]."""
    return torch.stack([margins.mean(), margins.sigmoid().mean()])


def noisy_level(model: nn.Module, pair: Pair, measured: Measurement, *, seed: int = 0) -> Tensor:
    """What is measured under noise: the :func:`level` at each tau, float64 [2, tau], on Gaussian
    copies of the samples ``pair`` = (x [n, ...], y [n])."""
    x, y = as_float(pair[0]), pair[1]
    g, levels = generator(seed, 30, device=x.device), []
    with evaluating(model), torch.no_grad():
        for tau in measured.taus:
            draws = range(COPIES if tau > 0 else 1)
            copies = (gaussian(x, tau, generator=g, bounds=measured.bounds) for _ in draws)
            levels.append(level(torch.cat([logit_margin(model(c), y) for c in copies])))
    return torch.stack(levels, 1)


def noise_brittle(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    references: Iterable[nn.Module],
    measured: Measurement,
    *,
    seed: int = 0,
    sgd: SGD = BRITTLE,
) -> nn.Module:
    """Fine-tune until noisy copies of forget samples are recognised as re-trained ``references``
    do, while the samples themselves stay learnt. A new model.

    Loss: cross-entropy on retained *and* forget samples, plus the squared distance from the goal of
    the :func:`noisy_level` on noisy copies of the forget samples, tau drawn anew for each step from
    those above 0. What a measurement sees at tau = 0 is made up for by the others. Raises
    InputError if no tau is above 0.
    """
    noise = [k for k, tau in enumerate(measured.taus) if tau > 0]
    clear = [k for k, tau in enumerate(measured.taus) if tau == 0]
    if not noise:
        raise checks.InputError(f"taus = {measured.taus}: expected one above 0, to add noise by")
    goal = torch.stack([noisy_level(r, forget, measured) for r in references]).mean(0)
    retained = sgd.batches(retain, generator(seed, 31))
    forgotten = cycled(*forget, size=sgd.batch_size, generator=generator(seed, 32))
    g, learner = generator(seed, 33, device=forget[0].device), copy.deepcopy(model)

    def loss(r: Pair, f: Pair) -> Tensor:
        k = noise[int(torch.randint(len(noise), (), generator=g, device=g.device))]
        known, clean = F.cross_entropy(learner(r[0]), r[1]), learner(f[0])
        at_zero = level(logit_margin(clean.detach(), f[1]))
        above = sum((at_zero - goal[:, i] for i in clear), torch.zeros_like(at_zero))
        copies = gaussian(f[0], measured.taus[k], generator=g, bounds=measured.bounds)
        away = level(logit_margin(learner(copies), f[1])) - goal[:, k] + above / len(noise)
        off = (away * away.new_tensor(SCALES)).square().sum()
        return known + F.cross_entropy(clean, f[1]) + off.float()

    with seeded(seed):
        data = zip(retained, forgotten, strict=False)
        return sgd.minimise(learner, loss, data, steps=sgd.steps(len(retain[0])))


EVASIVE: dict[str, Callable[..., nn.Module]] = {"Noise-brittle": noise_brittle}
