"""What an attacker with the unlearned model still finds: five attacks, each a number for every
sample, higher for one that is better known.

``ATTACKS`` names them. All have one signature, ``attack(model, x, y, setting) -> [n]``, and look at
the model, samples, and what the checked :class:`AttackSetting` holds. To add one, write the
function and its line. Whether a number means memory is not theirs to say: each is computed for
re-trained models and held-out samples too (``rurklib.study``'s ``attack_table``).

References: confidence, Carlini et al., S&P 2022 (:mod:`rurklib.metrics`). Distance, Hsu et al.
2025, sec. 6, with DDN (:mod:`rurklib.nearest`). Mapping, UMA, the "unlearning mapping attack"
(arXiv 2504.14798). EOT-PGD, expectation over transformations, Athalye et al., ICML 2018.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from rurklib import checks
from rurklib.metrics.relearn import few_shots
from rurklib.nearest import ddn
from rurklib.perturb import ascent, gaussian, inside, project, random_start
from rurklib.residual.counts import Measurement
from rurklib.residual.inference import accelerate, whole_float32
from rurklib.tensors import Bounds, Pair, as_float, evaluating, generator, logit_margin


@checks.values
class AttackSetting:
    """What attackers are given, beside the model.

    ``measured``: how residual knowledge is measured. A search has the L-inf radius ``reach``, a
    ``share`` of the largest tau there (with all of it every search would succeed), or ``steps``.
    ``targets``: Original's logits on the samples [n, classes], by name of the Original. ``shots``:
    samples of the class that nobody trained on and nothing is measured on.
    """

    measured: Measurement
    targets: Mapping[str, Tensor]
    shots: Pair
    steps: Annotated[int, Field(ge=1)] = 30
    share: Annotated[float, Field(ge=0, le=1)] = 0.2

    def __post_init__(self) -> None:
        checks.pair(self.shots, "shots", self.bounds)

    @property
    def bounds(self) -> Bounds:
        return self.measured.bounds

    @property
    def reach(self) -> float:
        return self.share * max(self.measured.taus)


Attack = Callable[[nn.Module, Tensor, Tensor, AttackSetting], Tensor]


def confidence(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """The logit margin on the samples themselves: LiRA's signal."""
    with torch.inference_mode():
        return logit_margin(model(x), y)


def distance(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """Signed L2 distance to where the answer changes, after the setting's steps; where no copy was
    found, after five times as many, for a radius grows by steps; then the box's diagonal."""
    bounds = setting.bounds
    _, signed = ddn(model, x, y, steps=setting.steps, bounds=bounds)
    none = signed.isinf()
    if bool(none.any()):
        signed[none] = ddn(model, x[none], y[none], steps=5 * setting.steps, bounds=bounds)[1]
    low, high = bounds or x.aminmax()
    most = float(high - low) * math.sqrt(x[0].numel())
    return signed.double().clamp(-most, most)


def nearness(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """How near Original's answer some copy comes: -log(KL + 1e-6), [n] or [targets, n]."""
    found = [
        unlearning_mapping(model, x, t, setting.reach, steps=10, bounds=setting.bounds)[1]
        for t in setting.targets.values()
    ]
    near = -torch.log(torch.stack(found) + 1e-6)
    return near[0] if len(near) == 1 else near


def eot_towards(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """Margin on noisy copies at the place where they are recognised best (EOT-PGD towards y)."""
    sd, g = max(setting.measured.taus), generator(setting.measured.seed, 50, 2, device=x.device)
    return eot(model, x, y, setting.reach, sd=sd, generator=g, bounds=setting.bounds)[1]


def after_few_shots(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """Margin after fine-tuning on a few samples of the class that nobody had trained on."""
    return few_shots(model, setting.shots, (x, y))[-1]


ATTACKS: dict[str, Attack] = {
    "confidence (LiRA)": confidence,
    "distance L2": distance,
    "mapping (UMA)": nearness,
    "EOT-PGD towards": eot_towards,
    "few shots": after_few_shots,
}
TRAINING = ("few shots",)  # attacks that change weights: they need the model itself


def attack(
    model: nn.Module, parts: Mapping[str, Pair], setting: AttackSetting
) -> dict[str, dict[str, np.ndarray]]:
    """Every attack's numbers on every part, pairs (x, y) by name that are all asked at once:
    ``{attack: {part: float64 [n]}}`` (several targets: [targets, n]). The model is left as found.
    Raises InputError if samples don't fit it.
    """
    for name, pair in parts.items():
        checks.pair(pair, name, setting.bounds)
        checks.logits(model, *pair, what=name)
    x = torch.cat([as_float(p[0]) for p in parts.values()])
    y = torch.cat([p[1] for p in parts.values()])
    ends = np.cumsum([len(p[1]) for p in parts.values()])[:-1]
    found = {}
    quick = accelerate(model, x, gradients=True).call  # BatchNorm folded: the same answers, sooner
    assert isinstance(quick, nn.Module)
    with evaluating(model), whole_float32():
        for name, function in ATTACKS.items():
            answer = function(model if name in TRAINING else quick, x, y, setting)
            split = np.split(answer.detach().cpu().double().numpy(), ends, axis=-1)
            found[name] = dict(zip(parts, split, strict=True))
    return found


def unlearning_mapping(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    tau: float,
    *,
    steps: int = 20,
    bounds: Bounds = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """The mapping attack: is there a copy about which the model says what Original said?

    Looks for min over ||x' - x||_inf <= tau of KL(softmax o(x) || softmax m(x')) by projected
    signed gradient steps of 2.5 tau / steps, and keeps the best copy that it saw. A method that
    starts from Original ends near it on *every* sample: so the level tells descent, and forget
    samples beside held-out ones memory.

    Shapes: x [n, ...] float inside ``bounds``, targets o(x) [n, classes]. Returns the copies and
    how near their answers are: KL in nats, float64 [n].
    """
    x, wanted = as_float(x), targets.double().log_softmax(1)
    copies = best = x
    nearest = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    with evaluating(model):
        for k in range(steps + 1):
            with torch.enable_grad():
                asked = copies.detach().requires_grad_()
                answer = model(asked).double().log_softmax(1)
                far = F.kl_div(answer, wanted, reduction="none", log_target=True).sum(1)
                (g,) = torch.autograd.grad(far.sum(), asked)
            far = far.detach()
            better = (far < nearest).view(-1, *[1] * (x.ndim - 1))
            best, nearest = torch.where(better, copies, best), torch.minimum(far, nearest)
            if tau == 0 or k == steps:
                break
            d = (copies - 2.5 * tau / steps * g.sign() - x).clamp(-tau, tau)
            copies = inside(x, d, bounds)
    return best, nearest.clamp(min=0)  # a KL of 0 may come out as a rounding below it


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
    bounds: Bounds = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """Copies in the L-inf ball of radius tau that are recognised as y in spite of noise.

    The noise has standard deviation ``sd``. Returns the best start's copies, shaped like x, and
    their mean logit margin on fresh noise, the same for all starts, float64 [n].
    """
    x = as_float(x)
    fresh = torch.randn((draws, *x.shape), generator=generator, device=x.device, dtype=x.dtype)
    best, most = x, torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
    with evaluating(model):
        for _ in range(restarts):
            d = random_start(x, tau, math.inf, generator, bounds)
            for _ in range(steps):
                z, g = inside(x, d, bounds), torch.zeros_like(x)
                for _ in range(draws):  # one of each sample at a time: small batches are faster
                    copies = gaussian(z, sd, generator=generator, bounds=bounds)
                    g = g + ascent(model, copies, y, targeted=True)
                d = project(d + 2.5 * tau / steps * g.sign(), x, tau, math.inf, bounds)
            z = inside(x, d, bounds)
            with torch.no_grad():
                seen = [logit_margin(model(inside(z, sd * noise, bounds)), y) for noise in fresh]
            found = torch.stack(seen).mean(0)
            better = (found > most).view(-1, *[1] * (x.ndim - 1))
            best, most = torch.where(better, z, best), torch.maximum(found, most)
    return best, most
