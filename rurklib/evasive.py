"""An unlearner that evades the measurement: it lowers what is measured, and forgets nothing.

Whoever knows the measurement can aim at it: at the Gaussian noise that residual knowledge is
usually measured with, and at exactly the level that re-trained models show there, for below it a
model would be called over-forgotten. That it knows the level is the worst case for an auditor.

It is here to try detectors on and is no unlearning method: ``EVASIVE`` is not in ``METHODS``.
"""

import copy
from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.perturb import gaussian
from rurklib.residual.counts import Measurement
from rurklib.tensors import Pair, evaluating, generator, logit_margin, seeded
from rurklib.train import SGD, cycled

BRITTLE = SGD(20, 0.01, weight_decay=0.0, clip=1.0, batch_size=64, batchnorm="frozen")
SCALES = (1.0, 10.0)  # a logit of mean margin counts like a tenth of mean probability
COPIES = 16  # noisy copies of a sample that a level is taken over


def noisy_level(model: nn.Module, pair: Pair, measured: Measurement, *, seed: int = 0) -> Tensor:
    """What is measured under noise: on Gaussian copies of some samples, the mean logit margin and
    the mean probability of y at each tau, float64 [2, tau]. ``pair`` is (x [n, ...], y [n])."""
    x, y = tensors.as_float(pair[0]), pair[1]
    g = generator(seed, 30, device=x.device)

    def margins(tau: float) -> Iterator[Tensor]:
        for _ in range(COPIES if tau > 0 else 1):
            yield logit_margin(model(gaussian(x, tau, generator=g, bounds=measured.bounds)), y)

    with evaluating(model), torch.no_grad():
        return torch.stack([_level(torch.cat(list(margins(t)))) for t in measured.taus], 1)


def level_of(references: Iterable[nn.Module], pair: Pair, measured: Measurement) -> Tensor:
    """The mean of :func:`noisy_level` over re-trained models, float64 [2, tau]."""
    return torch.stack([noisy_level(r, pair, measured) for r in references]).mean(0)


def _level(margins: Tensor) -> Tensor:
    """Mean margin, and mean probability of y (whose log-odds the margin is), [2]."""
    return torch.stack([margins.mean(), margins.sigmoid().mean()])


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
    goal = level_of(references, forget, measured)
    retained = sgd.batches(retain, generator(seed, 31))
    forgotten = cycled(*forget, size=sgd.batch_size, generator=generator(seed, 32))
    g, learner = generator(seed, 33, device=forget[0].device), copy.deepcopy(model)

    def loss(r: Pair, f: Pair) -> Tensor:
        k = noise[int(torch.randint(len(noise), (), generator=g, device=g.device))]
        known, clean = F.cross_entropy(learner(r[0]), r[1]), learner(f[0])
        at_zero = _level(logit_margin(clean.detach(), f[1]))
        above = sum((at_zero - goal[:, i] for i in clear), torch.zeros_like(at_zero))
        copies = gaussian(f[0], measured.taus[k], generator=g, bounds=measured.bounds)
        away = _level(logit_margin(learner(copies), f[1])) - goal[:, k] + above / len(noise)
        off = (away * away.new_tensor(SCALES)).square().sum()
        return known + F.cross_entropy(clean, f[1]) + off.float()

    with seeded(seed):
        data = zip(retained, forgotten, strict=False)
        return sgd.minimise(learner, loss, data, steps=sgd.steps(len(retain[0])))


EVASIVE: dict[str, Callable[..., nn.Module]] = {
    "Noise-brittle": noise_brittle,
}
