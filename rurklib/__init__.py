"""rurklib: measure and remove residual knowledge in unlearned classifiers.

The public names::

    rurklib.residual_knowledge   how much more a model recognises near forget samples than
                                 re-trained models do
    rurklib.audit                the same with controls and a verdict, written to a folder
    rurklib.unlearn, METHODS     make a model forget, by a method's name
    rurklib.rurk_loss            the RURK loss (Eq. 6, Algorithm 1)
    rurklib.perturb              gaussian, fgsm, pgd
    rurklib.data, models, train  data sets, nets and training for the study
    rurklib.metrics              accuracy
    rurklib.InputError           what is raised for input that can't be used

Importing this loads torch, numpy and pandas, and nothing of the notebooks or figures.
"""

from rurklib import data, methods, metrics, models, perturb, train
from rurklib.audit import audit
from rurklib.check import InputError
from rurklib.methods import METHODS, rurk_loss, unlearn
from rurklib.residual import Counts, ResidualKnowledge, residual_knowledge

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Counts",
    "InputError",
    "ResidualKnowledge",
    "audit",
    "data",
    "methods",
    "metrics",
    "models",
    "perturb",
    "residual_knowledge",
    "rurk_loss",
    "train",
    "unlearn",
]
