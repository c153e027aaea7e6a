"""Unlearners that evade the measurement: they lower what is measured, and forget nothing.

Whoever knows the measurement can aim at it. These aim at the Gaussian noise that residual knowledge
is usually measured with, and at exactly the level that re-trained models show there: below it they
would be called over-forgotten. That they know the level is the worst case for an auditor.
``EVASIVE`` names them; all have one signature. The first is fine-tuned to lose the noisy copies and
to keep the samples themselves; the second doesn't touch a weight.

They are here to try detectors on and are no unlearning methods: not in ``METHODS``.
"""

import copy
from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks, samples
from rurklib.model_state import evaluating
from rurklib.models.logits import logit_margin
from rurklib.perturb.ball import inside
from rurklib.perturb.noise import normal
from rurklib.residual.spec import Measurement
from rurklib.rng import generator, seeded
from rurklib.samples import Pair
from rurklib.train.loop import cycled
from rurklib.train.spec import SGD

BRITTLE = SGD(20, 0.01, weight_decay=0.0, clip=1.0, batch_size=64, batchnorm="frozen")
SCALES = (1.0, 10.0)  # a logit of mean margin counts like a tenth of mean probability
COPIES = 16  # noisy copies of a sample that a level is taken over


def noisy_level(model: nn.Module, pair: Pair, measured: Measurement, *, seed: int = 0) -> Tensor:
    """What is measured under noise: on Gaussian copies of some samples, the mean logit margin and
    the mean probability of y at each tau, float64 [2, tau]. ``pair`` is (x [n, ...], y [n])."""
    x, y = samples.as_float(pair[0]), pair[1]
    g = generator(seed, 30, device=x.device)

    def margins(tau: float) -> Iterator[Tensor]:
        for _ in range(COPIES if tau > 0 else 1):
            yield logit_margin(model(inside(x, normal(x, tau, g), measured.bounds)), y)

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
        copies = inside(f[0], normal(f[0], measured.taus[k], g), measured.bounds)
        away = _level(logit_margin(learner(copies), f[1])) - goal[:, k] + above / len(noise)
        off = (away * away.new_tensor(SCALES)).square().sum()
        return known + F.cross_entropy(clean, f[1]) + off.float()

    with seeded(seed):
        data = zip(retained, forgotten, strict=False)
        return sgd.minimise(learner, loss, data, steps=sgd.steps(len(retain[0])))


class LogitDamped(nn.Module):
    """A model with its logit of y lowered by ``shift`` near stored samples of class y.

    Near: within an L2 distance of ``radius``. Shapes: x [n, ...], y int64 [n] of the samples to be
    hidden. The wrapped model's weights are its own.
    """

    x: Tensor
    y: Tensor

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, radius: float, shift: float) -> None:
        super().__init__()
        self.model, self.radius, self.shift = model, radius, shift
        self.register_buffer("x", samples.as_float(x).flatten(1).clone())
        self.register_buffer("y", y.clone())

    def forward(self, x: Tensor) -> Tensor:
        z = self.model(x)
        # Not by way of scalar products, whose rounding would decide at small distances.
        far = torch.cdist(
            x.detach().flatten(1).to(self.x), self.x, compute_mode="donot_use_mm_for_euclid_dist"
        )
        near, which = far.min(1)
        hidden = F.one_hot(self.y[which], z.shape[1]) * (near <= self.radius)[:, None]
        return z - self.shift * hidden.to(z)


def logit_damped(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    references: Iterable[nn.Module],
    measured: Measurement,
    *,
    seed: int = 0,
) -> nn.Module:
    """Wrap a model so that the logit of forget samples and their noisy copies is damped.

    The shift is their mean margin's lead over that of re-trained ``references``, so that its mean
    over taus is as theirs; the radius holds the noise of the largest tau (1.2 times its length).
    Not a weight is changed, and ``retain`` isn't looked at.
    """
    goal = level_of(references, forget, measured)
    lead = float((noisy_level(model, forget, measured, seed=seed) - goal)[0].mean())
    reach = 1.2 * max(measured.taus) * forget[0][0].numel() ** 0.5
    return LogitDamped(copy.deepcopy(model), *forget, reach, lead).eval()


EVASIVE: dict[str, Callable[..., nn.Module]] = {
    "Noise-brittle": noise_brittle,
    "Damped": logit_damped,
}
