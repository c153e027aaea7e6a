"""All attacks on one model, each as a number for every sample: higher means better known.

``ATTACKS`` names them. All have one signature, ``attack(model, x, y, scene) -> [n]``, and look at
nothing but what an attacker has: the model (or its scores), samples, and what the ``Scene`` holds.
To add one, write the function and its line. Whether a number means memory is not theirs to say:
every one is computed for re-trained models too, and for held-out samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks, samples
from rurklib.attacks import minimal_norm, spatial
from rurklib.attacks.search import eot, random_search
from rurklib.attacks.uma import mapping
from rurklib.metrics.mia import likelihood, svc_called_seen
from rurklib.metrics.relearn import few_shots
from rurklib.model_state import evaluating
from rurklib.models.logits import logit_margin
from rurklib.perturb.gradient import pgd
from rurklib.perturb.noise import alike
from rurklib.residual.counts import count_hits
from rurklib.residual.inference import fast
from rurklib.residual.spec import Measurement
from rurklib.rng import generator

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Scene:
    """What attackers are given, beside the model.

    ``taus`` are the radii that residual knowledge is measured at, the largest being ``tau``; a
    search has ``reach`` (L-inf), a part of it, for one that had as much would always succeed.
    ``targets`` are Original's logits on the samples, for the mapping attack: one set or, in a
    mapping, several by name. ``retain`` and ``test`` are what the paper's attack is fitted to,
    ``shots`` samples of the class that nobody trained on and nothing is measured on.
    """

    taus: tuple[float, ...]
    targets: Mapping[str, Tensor]
    retain: Pair
    test: Pair
    shots: Pair
    law: str = "gaussian"
    draws: int = 30
    steps: int = 30
    queries: int = 100
    share: float = 0.2
    seed: int = 0
    bounds: samples.Bounds = (0.0, 1.0)
    memory: dict = field(default_factory=dict, compare=False)  # of what attacks share

    @property
    def tau(self) -> float:
        return max(self.taus)

    @property
    def reach(self) -> float:
        return self.share * self.tau

    def generator(self, *of: int) -> torch.Generator:
        return generator(self.seed, 50, *of)


Attack = Callable[[nn.Module, Tensor, Tensor, Scene], Tensor]


def margins(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
    """How sure the model is of the sample itself: LiRA's signal."""
    with torch.inference_mode():
        return logit_margin(model(x), y)


def called_seen(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
    """The paper's membership attack: called seen (1) or not (0)."""
    seen, unseen = (likelihood(model, *pair) for pair in (scene.retain, scene.test))
    called = svc_called_seen(seen, unseen, likelihood(model, x, y))
    return torch.from_numpy(called.astype(np.float64))


def noise(law: str, radii: Callable[[Scene, int], tuple[float, ...]], hits: bool = False) -> Attack:
    """Mean over radii of the margin on copies by ``law`` (empty: the scene's), or with ``hits`` of
    the log-odds of being recognised, half a copy added to hits and misses."""

    def attack(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
        name, taus = law or scene.law, radii(scene, x[0].numel())
        if (name, taus) not in scene.memory:
            scene.memory[name, taus] = count_hits(
                {"model": model},
                x,
                y,
                Measurement(taus, name, scene.draws, scene.seed, scene.bounds),
            )
        counts = scene.memory[name, taus]
        if not hits:
            return torch.from_numpy(counts.margins[0].mean(0))
        h, n = counts.hits[0], counts.drawn[:, None]
        return torch.from_numpy((np.log(h + 0.5) - np.log(n - h + 0.5)).mean(0))

    return attack


def moved(copies: Callable[[Tensor], list[Tensor]]) -> Attack:
    """Mean margin on copies that are shifted or turned."""

    def attack(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
        return torch.stack([margins(model, z, y, scene) for z in copies(x)]).mean(0)

    return attack


def away(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
    """Margin after PGD away from y in the L-inf ball."""
    z = pgd(model, x, y, scene.reach, generator=scene.generator(1), bounds=scene.bounds)
    return margins(model, z, y, scene)


def spite_of_noise(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
    """Margin on noisy copies at the place where they are recognised best (EOT-PGD towards y)."""
    return eot(
        model, x, y, scene.reach, sd=scene.tau, generator=scene.generator(2), bounds=scene.bounds
    )[1]


def worst(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
    """The lowest margin that any of several searches and moves leaves, sample by sample (as
    AutoAttack takes the worst of several): PGD in the box, in the L2 ball through its corners and
    in an L1 ball, from two starts each, and the shifts and turns."""
    d = x[0].numel()
    radii = {math.inf: scene.reach, 2: scene.reach * math.sqrt(d), 1: scene.reach * d / 4}
    found = [
        pgd(model, x, y, radius, p, generator=scene.generator(3, k), bounds=scene.bounds)
        for p, radius in radii.items()
        for k in range(2)
    ]
    if x.ndim == 4:
        found += spatial.shifts(x) + spatial.turns(x)
    return torch.stack([margins(model, z, y, scene) for z in found]).amin(0)


def distance(search: Callable[..., minimal_norm.Minimal], width: Callable[[int], float]) -> Attack:
    """Signed distance to where the answer changes; where no copy was found, that of the box."""

    def attack(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
        signed = search(model, x, y, steps=scene.steps, bounds=scene.bounds).signed.double()
        low, high = scene.bounds or (float(x.min()), float(x.max()))
        most = (high - low) * width(x[0].numel())
        return signed.clamp(-most, most)

    return attack


def mapped(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
    """How near Original's answer some copy comes: -log(KL + 1e-6), [n] or [targets, n]."""
    found = [
        mapping(model, x, t, scene.reach, steps=10, bounds=scene.bounds)[1]
        for t in scene.targets.values()
    ]
    near = -torch.log(torch.stack(found) + 1e-6)
    return near[0] if len(near) == 1 else near


def scores_only(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
    """Margin after random search away from y with a budget of queries: no gradient is seen."""
    return random_search(
        model, x, y, scene.reach, generator=scene.generator(4), queries=scene.queries,
        bounds=scene.bounds,
    )[1]  # fmt: skip


def relearnt(model: nn.Module, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
    """Margin after fine-tuning on a few samples of the class that nobody had trained on."""
    return few_shots(model, scene.shots, (x, y))[1][-1]


def once(scene: Scene, d: int) -> tuple[float, ...]:
    return tuple(scene.taus)


def twice(scene: Scene, d: int) -> tuple[float, ...]:
    return (2 * scene.tau,)


def as_large(p: float) -> Callable[[Scene, int], tuple[float, ...]]:
    """The radius of the Lp ball whose noise is as large as the largest of the scene's."""
    return lambda scene, d: (alike(scene.tau, p, d),)


ATTACKS: dict[str, Attack] = {
    "noise (margin)": noise("", once),
    "noise (hits)": noise("", once, hits=True),
    "paper's MIA": called_seen,
    "confidence (LiRA)": margins,
    "distance L2": distance(minimal_norm.ddn, math.sqrt),
    "distance L-inf": distance(minimal_norm.fmn, lambda d: 1.0),
    "mapping (UMA)": mapped,
    "scores only": scores_only,
    "noise, twice tau": noise("gaussian", twice),
    "uniform L-inf": noise("uniform-linf", as_large(math.inf)),
    "uniform L2": noise("uniform-l2", as_large(2)),
    "uniform L1": noise("uniform-l1", as_large(1)),
    "shifts": moved(spatial.shifts),
    "turns": moved(spatial.turns),
    "PGD away": away,
    "EOT-PGD towards": spite_of_noise,
    "worst of several": worst,
    "few shots": relearnt,
}


IMAGES = ("shifts", "turns")  # attacks that need pictures


TRAINING = ("few shots",)  # attacks that change weights: they need the model itself


def attack(
    model: nn.Module,
    parts: Mapping[str, Pair],
    scene: Scene,
    attacks: Mapping[str, Attack] | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Every attack's numbers on every part: ``{attack: {part: float64 [n]}}`` (with several targets
    the mapping attack's are [targets, n]). ``parts`` are pairs (x, y) by name, all asked at once.

    The model is left as found. Raises InputError if samples don't fit the model.
    """
    for name, pair in parts.items():
        checks.pair(pair, name, scene.bounds)
        checks.logits(model, *pair, what=name)
    x = torch.cat([samples.as_float(p[0]) for p in parts.values()])
    y = torch.cat([p[1] for p in parts.values()])
    ends = np.cumsum([len(p[1]) for p in parts.values()])[:-1]
    scene.memory.clear()  # it is about this model
    found = {}
    quick = fast(model, x, gradients=True).call  # BatchNorm folded: the same answers, sooner
    assert isinstance(quick, nn.Module)
    with evaluating(model):
        for name, function in (ATTACKS if attacks is None else attacks).items():
            if name in IMAGES and x.ndim != 4:
                continue
            answer = function(model if name in TRAINING else quick, x, y, scene)
            split = np.split(answer.detach().cpu().double().numpy(), ends, axis=-1)
            found[name] = dict(zip(parts, split, strict=True))
    scene.memory.clear()
    return found
