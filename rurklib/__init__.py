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

``__init__.pyi`` has their homes. A name is imported when it is first used, so that ``rurk --help``
need not wait for PyTorch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Package(ModuleType):
    @property
    def unlearn(self) -> Any:
        """The function, also after Python has imported the package of that name."""
        return import_module("rurklib.unlearn.contract").unlearn

    @unlearn.setter
    def unlearn(self, package: ModuleType) -> None:
        """Python sets the package here when it has imported it."""


sys.modules[__name__].__class__ = _Package
