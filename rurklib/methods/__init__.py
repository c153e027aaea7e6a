"""Unlearning methods by their names in the paper: ``METHODS``; one file each.

To add one, copy ``gd.py``, change the algorithm and the name in ``@method(...)``, and import it
here. Nothing else changes.
"""

from rurklib.methods.contract import METHODS, check_value, defaults, method, unlearn
from rurklib.methods.ga import ga
from rurklib.methods.gd import gd
from rurklib.methods.neggrad_plus import neggrad_plus
from rurklib.methods.rurk import RurkLoss, rurk, rurk_loss

__all__ = [
    "METHODS",
    "RurkLoss",
    "check_value",
    "defaults",
    "ga",
    "gd",
    "method",
    "neggrad_plus",
    "rurk",
    "rurk_loss",
    "unlearn",
]
