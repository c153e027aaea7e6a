"""``Measurement``: what models are asked: which copies of samples, at which radii, how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from rurklib import checks
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.tensors import Bounds
from rurklib.train.precision import Precision


@dataclass(frozen=True)
class Measurement:
    """The perturbed copies that residual knowledge is measured on, and how they are counted.

    ``taus``: radii >= 0, in units of the input, any sequence, kept as a tuple of floats.
    ``perturbation``: a name in ``rurklib.perturb.PERTURBATIONS``. ``draws``: copies per sample and
    tau (the paper's c = 100). ``seed`` decides the copies. ``bounds``: the lowest and the highest
    value of an input, or None. ``batch_size``: most samples that a model is shown at once; None:
    what suits it. ``precision``: "float32", or "bfloat16" or "auto", which find the same hits in
    bfloat16 on processors that have it (:mod:`rurklib.residual.half`); margins are those of
    bfloat16.

    Making one raises InputError for a value that can't be used; nobody checks them again.
    """

    taus: Sequence[float]
    perturbation: str = "gaussian"
    draws: int = 100
    seed: int = 0
    bounds: Bounds = (0.0, 1.0)
    batch_size: int | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        checks.one_of("perturbation", self.perturbation, PERTURBATIONS)
        object.__setattr__(self, "taus", checks.taus(self.taus))
        checks.count("draws", self.draws)
        checks.count("seed", self.seed, 0)
        checks.limits(self.bounds)
        if self.batch_size is not None:
            checks.count("batch_size", self.batch_size)
        checks.one_of("precision", self.precision, get_args(Precision))

    @property
    def gradient_based(self) -> bool:
        """Whether copies are found on a model, so that which one matters."""
        return PERTURBATIONS[self.perturbation].gradient_based
