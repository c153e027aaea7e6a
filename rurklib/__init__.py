"""rurklib: measure and remove residual knowledge in unlearned classifiers.

The public names::

    rurklib.residual_knowledge   how much more a model recognises near forget samples than
                                 re-trained models do: a ResidualKnowledge, made of Counts
    rurklib.audit                the same for one model, with controls, a report and files
    rurklib.unlearn, METHODS     make a model forget, by a method's name; defaults(name)
    rurklib.rurk_loss            the RURK loss (Eq. 6, Algorithm 1)
    rurklib.gaussian, fgsm, pgd  perturbed copies, away from y unless told; PERTURBATIONS: by name
    rurklib.data, models, train  data sets, nets and training
    rurklib.metrics              numbers about a model: accuracy, attacks, re-learning
    rurklib.InputError           what is raised for input that can't be used

Importing this loads torch, numpy, pydantic and scipy.special, nothing of notebooks or figures.
"""

from typing import Any

from rurklib import data, metrics, models, perturb, train
from rurklib.checks import InputError
from rurklib.perturb import PERTURBATIONS, fgsm, gaussian, pgd
from rurklib.residual.counts import Counts
from rurklib.residual.measure import residual_knowledge
from rurklib.residual.result import ResidualKnowledge
from rurklib.unlearn.contract import METHODS, defaults, unlearn
from rurklib.unlearn.rurk import rurk_loss

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """``audit`` belongs to the study and is imported when it is first asked for."""
    if name == "audit":
        from rurklib.study.audit.audit import audit

        return audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
