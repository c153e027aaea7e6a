"""Unlearning methods by their names in the paper: ``METHODS``; one file each.

To add one, copy ``gd.py``, change the algorithm and the name in ``@method(...)``, and import it
here. Nothing else changes.
"""

from rurklib.unlearn.amun import amun
from rurklib.unlearn.bad_teacher import bad_teacher
from rurklib.unlearn.boundary_shrink import boundary_shrink
from rurklib.unlearn.cf_k import cf_k
from rurklib.unlearn.contract import (
    METHODS,
    SEARCH,
    check_value,
    defaults,
    method,
    unlearn,
)
from rurklib.unlearn.cr import cr
from rurklib.unlearn.eu_k import eu_k
from rurklib.unlearn.fisher import fisher
from rurklib.unlearn.ga import ga
from rurklib.unlearn.gd import gd
from rurklib.unlearn.l1_sparse import l1_sparse
from rurklib.unlearn.neggrad_plus import neggrad_plus
from rurklib.unlearn.ngd import ngd
from rurklib.unlearn.ntk import ntk
from rurklib.unlearn.random_labels import random_labels
from rurklib.unlearn.rurk import RurkLoss, rurk, rurk_loss
from rurklib.unlearn.salun import salun
from rurklib.unlearn.scrub import scrub
from rurklib.unlearn.ssd import ssd
from rurklib.unlearn.woodfisher import woodfisher

__all__ = [
    "METHODS",
    "SEARCH",
    "RurkLoss",
    "amun",
    "bad_teacher",
    "boundary_shrink",
    "cf_k",
    "check_value",
    "cr",
    "defaults",
    "eu_k",
    "fisher",
    "ga",
    "gd",
    "l1_sparse",
    "method",
    "neggrad_plus",
    "ngd",
    "ntk",
    "random_labels",
    "rurk",
    "rurk_loss",
    "salun",
    "scrub",
    "ssd",
    "unlearn",
    "woodfisher",
]
