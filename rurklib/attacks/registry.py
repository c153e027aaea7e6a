"""All attacks on one model, each as a number for every sample: higher means better known.

``ATTACKS`` names them. All have one signature, ``attack(model, x, y, setting) -> [n]``, and look at
nothing but what an attacker has: the model (or its scores), samples, and what the checked
:class:`AttackSetting` holds. To add one, write the function and its line. Whether a number means
memory is not theirs to say: each is computed for re-trained models and held-out samples too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.attacks import spatial
from rurklib.attacks.search import eot, random_search
from rurklib.attacks.transfer import transferred
from rurklib.attacks.uma import unlearning_mapping
from rurklib.metrics.mia import likelihood, svm_membership
from rurklib.metrics.relearn import few_shots
from rurklib.model_state import evaluating
from rurklib.models.logits import logit_margin
from rurklib.perturb import matched_radius, minimal_norm, pgd
from rurklib.residual.counts import count_hits
from rurklib.residual.inference import accelerate
from rurklib.residual.spec import Measurement
from rurklib.residual.whole_float32 import whole_float32
from rurklib.rng import generator
from rurklib.samples import Bounds, Pair, as_float


@dataclass(frozen=True)
class AttackSetting:
    """What attackers are given, beside the model.

    ``measured``: how residual knowledge is; its largest radius is ``tau``. A search has ``reach``
    (L-inf), ``share`` (in [0, 1]) of tau, for one that had as much would always succeed; the one
    for the nearest copy has ``steps``, the one that sees scores alone ``queries``. ``targets`` are
    Original's logits on the samples [n, classes], by name where there are several Originals.
    ``retain`` and ``test`` are what the paper's attack is fitted to, ``shots`` samples of the class
    that nobody trained on and nothing is measured on. ``sources``: other models, by kind (of
    ``SHOWN``), whose copies this one is shown. Raises InputError for what can't be used.
    """

    measured: Measurement
    targets: Mapping[str, Tensor]
    retain: Pair
    test: Pair
    shots: Pair
    steps: int = 30
    queries: int = 100
    share: float = 0.2
    sources: Mapping[str, Sequence[nn.Module]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.count("steps", self.steps)
        checks.count("queries", self.queries)
        checks.number("share", self.share, 0.0, 1.0)
        for name in ("retain", "test", "shots"):
            checks.pair(getattr(self, name), name, self.bounds)

    @property
    def bounds(self) -> Bounds:
        return self.measured.bounds

    @property
    def tau(self) -> float:
        return max(self.measured.taus)

    @property
    def reach(self) -> float:
        return self.share * self.tau

    def generator(self, x: Tensor, *of: int) -> torch.Generator:
        return generator(self.measured.seed, 50, *of, device=x.device)


Attack = Callable[[nn.Module, Tensor, Tensor, AttackSetting], Tensor]


def margin(
    model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting,
    copies: Callable[..., Sequence[Tensor]], lowest: bool = False,
) -> Tensor:  # fmt: skip
    """The logit margin on copies that a function of model, x, y and setting finds: their mean, or
    the ``lowest``, sample by sample (as AutoAttack takes the worst of several attacks)."""
    found = copies(model, x, y, setting)
    with torch.inference_mode():
        margins = torch.stack([logit_margin(model(z), y) for z in found])
    return margins.amin(0) if lowest else margins.mean(0)


def pgd_away(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> list[Tensor]:
    """PGD away from y in the L-inf ball."""
    g, bounds = setting.generator(x, 1), setting.bounds
    return [pgd(model, x, y, setting.reach, generator=g, bounds=bounds)]


def several(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> list[Tensor]:
    """PGD away from y in the box, in the L2 ball through its corners and in an L1 ball, from two
    starts each, and the shifts and turns."""
    d = x[0].numel()
    radii = {math.inf: setting.reach, 2: setting.reach * math.sqrt(d), 1: setting.reach * d / 4}
    found = [
        pgd(model, x, y, radius, p, generator=setting.generator(x, 3, k), bounds=setting.bounds)
        for p, radius in radii.items()
        for k in range(2)
    ]
    return found + (spatial.shifts(x) + spatial.turns(x) if x.ndim == 4 else [])


def noise(
    model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting,
    radius: Callable[[float, int], float] | None = None, name: str = "", hits: bool = False,
) -> Tensor:  # fmt: skip
    """The margin on perturbed copies, mean over the radii that are measured; or at a ``radius`` (of
    the largest of them and the number of dimensions) by the perturbation ``name``. With ``hits``
    the log-odds of being recognised, half a copy added to hits and misses."""
    asked = setting.measured
    if radius is not None:
        taus = (radius(setting.tau, x[0].numel()),)
        asked = replace(asked, taus=taus, perturbation=name)
    counts = count_hits({"model": model}, x, y, asked, found_on="model")
    h, n = counts.hits[0], counts.draws
    seen = np.log(h + 0.5) - np.log(n - h + 0.5) if hits else counts.margins[0]
    return torch.from_numpy(seen.mean(0))


def eot_towards(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """Margin on noisy copies at the place where they are recognised best (EOT-PGD towards y)."""
    g, bounds = setting.generator(x, 2), setting.bounds
    return eot(model, x, y, setting.reach, sd=setting.tau, generator=g, bounds=bounds)[1]


def scores_only(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """Margin after random search away from y with a budget of queries: no gradient is seen."""
    g, queries, bounds = setting.generator(x, 4), setting.queries, setting.bounds
    return random_search(model, x, y, setting.reach, generator=g, queries=queries, bounds=bounds)[1]


def distance(
    model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting,
    search: Callable[..., minimal_norm.MinimalNorm], width: Callable[[int], float], times: int = 1,
) -> Tensor:  # fmt: skip
    """Signed distance to where the answer changes, after ``times`` the setting's steps; where no
    copy was found, after five times as many, for a radius grows by steps; then that of the box."""
    steps, bounds = times * setting.steps, setting.bounds
    found = search(model, x, y, steps=steps, bounds=bounds)
    signed, none = found.signed, found.distance.isinf()
    if bool(none.any()):
        signed[none] = search(model, x[none], y[none], steps=5 * steps, bounds=bounds).signed
    low, high = bounds if bounds and math.isfinite(bounds[1] - bounds[0]) else x.aminmax()
    most = float(high - low) * width(x[0].numel())
    return signed.double().clamp(-most, most)


def nearness(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """How near Original's answer some copy comes: -log(KL + 1e-6), [n] or [targets, n]."""
    found = [
        unlearning_mapping(model, x, t, setting.reach, steps=10, bounds=setting.bounds)[1]
        for t in setting.targets.values()
    ]
    near = -torch.log(torch.stack(found) + 1e-6)
    return near[0] if len(near) == 1 else near


def papers_mia(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """The paper's membership attack, a support vector machine: called seen (1) or not (0)."""
    pairs = (setting.retain, setting.test, (x, y))
    called = svm_membership(*(likelihood(model, *pair) for pair in pairs))
    return torch.from_numpy(called.astype(np.float64))


def after_few_shots(model: nn.Module, x: Tensor, y: Tensor, setting: AttackSetting) -> Tensor:
    """Margin after fine-tuning on a few samples of the class that nobody had trained on."""
    return few_shots(model, setting.shots, (x, y))[1][-1]


def matched(p: float) -> Callable[[float, int], float]:
    """The radius of the Lp ball whose uniform noise is as large as Gaussian noise of sd tau."""
    return lambda tau, d: matched_radius(tau, p, d)


SHOWN = {"transfer, Original": "Original", "transfer, re-trained": "Re-train"}  # copies of others
ATTACKS: dict[str, Attack] = {
    "noise (margin)": noise,
    "noise (hits)": partial(noise, hits=True),
    "paper's MIA": papers_mia,
    "confidence (LiRA)": partial(margin, copies=lambda model, x, y, setting: [x]),
    "distance L2": partial(distance, search=minimal_norm.ddn, width=math.sqrt),
    # FMN still falls by a percent or two after thirty steps, which has decided findings.
    "distance L-inf": partial(distance, search=minimal_norm.fmn, width=lambda d: 1.0, times=5),
    "mapping (UMA)": nearness,
    "scores only": scores_only,
    "noise, twice tau": partial(noise, radius=lambda tau, d: 2 * tau, name="gaussian"),
    "uniform L-inf": partial(noise, radius=matched(math.inf), name="uniform-linf"),
    "uniform L2": partial(noise, radius=matched(2), name="uniform-l2"),
    "uniform L1": partial(noise, radius=matched(1), name="uniform-l1"),
    "shifts": partial(margin, copies=lambda model, x, y, setting: spatial.shifts(x)),
    "turns": partial(margin, copies=lambda model, x, y, setting: spatial.turns(x)),
    "PGD away": partial(margin, copies=pgd_away),
    "EOT-PGD towards": eot_towards,
    "worst of several": partial(margin, copies=several, lowest=True),
    **{name: partial(transferred, kind=kind) for name, kind in SHOWN.items()},
    "few shots": after_few_shots,
}
IMAGES = ("shifts", "turns")  # attacks that need pictures
TRAINING = ("few shots",)  # attacks that change weights: they need the model itself


def attack(
    model: nn.Module,
    parts: Mapping[str, Pair],
    setting: AttackSetting,
    attacks: Mapping[str, Attack] | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Every attack's numbers on every part: ``{attack: {part: float64 [n]}}`` (with several targets
    or sources those that look at them are [targets, n]). ``parts`` are pairs (x, y) by name, all
    asked at once.

    The model is left as found. Raises InputError if samples or targets don't fit the model.
    """
    for name, pair in parts.items():
        checks.pair(pair, name, setting.bounds)
        classes = checks.logits(model, *pair, what=name)
    x = torch.cat([as_float(p[0]) for p in parts.values()])
    y = torch.cat([p[1] for p in parts.values()])
    for name, target in setting.targets.items():
        if target.shape != (len(x), classes) or not bool(target.isfinite().all()):
            raise checks.InputError(
                f"targets {name!r} {tuple(target.shape)}: expected finite logits of Original on "
                f"the samples of all parts, [{len(x)}, {classes}]"
            )
    ends = np.cumsum([len(p[1]) for p in parts.values()])[:-1]
    found = {}
    quick = accelerate(model, x, gradients=True).call  # BatchNorm folded: the same answers, sooner
    assert isinstance(quick, nn.Module)
    with evaluating(model), whole_float32():
        for name, function in (ATTACKS if attacks is None else attacks).items():
            unfit = name in IMAGES and x.ndim != 4
            if unfit or (name in SHOWN and SHOWN[name] not in setting.sources):
                continue
            answer = function(model if name in TRAINING else quick, x, y, setting)
            split = np.split(answer.detach().cpu().double().numpy(), ends, axis=-1)
            found[name] = dict(zip(parts, split, strict=True))
    return found
