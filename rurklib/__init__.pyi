from . import data, metrics, models, perturb, train
from .checks import InputError
from .perturb import PERTURBATIONS, fgsm, gaussian, pgd
from .residual.counts import Counts
from .residual.measure import residual_knowledge
from .residual.result import ResidualKnowledge
from .study.audit import audit
from .unlearn.contract import METHODS, defaults, unlearn
from .unlearn.rurk import rurk_loss

__all__ = [
    "METHODS",
    "PERTURBATIONS",
    "Counts",
    "InputError",
    "ResidualKnowledge",
    "audit",
    "data",
    "defaults",
    "fgsm",
    "gaussian",
    "metrics",
    "models",
    "perturb",
    "pgd",
    "residual_knowledge",
    "rurk_loss",
    "train",
    "unlearn",
]
__version__: str
