"""Unlearning methods by their names in the paper: ``METHODS``; one file each.

To add one, copy ``gd.py``, change the algorithm and the name in ``@method(...)``, and import it
here. Nothing else changes.
"""

from rurklib.methods.amun import amun
from rurklib.methods.bad_teacher import bad_teacher
from rurklib.methods.boundary_shrink import boundary_shrink
from rurklib.methods.cf_k import cf_k
from rurklib.methods.contract import (
    METHODS,
    SEARCH,
    check_value,
    defaults,
    method,
    takes_held_out,
    unlearn,
)
from rurklib.methods.cr import cr
from rurklib.methods.eu_k import eu_k
from rurklib.methods.fisher import fisher
from rurklib.methods.ga import ga
from rurklib.methods.gd import gd
from rurklib.methods.l1_sparse import l1_sparse
from rurklib.methods.neggrad_plus import neggrad_plus
from rurklib.methods.ngd import ngd
from rurklib.methods.ntk import ntk
from rurklib.methods.random_labels import random_labels
from rurklib.methods.rurk import RurkLoss, rurk, rurk_loss
from rurklib.methods.rurk_calibrated import rurk_calibrated
from rurklib.methods.salun import salun
from rurklib.methods.scrub import scrub
from rurklib.methods.ssd import ssd
from rurklib.methods.woodfisher import woodfisher

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
    "rurk_calibrated",
    "rurk_loss",
    "salun",
    "scrub",
    "ssd",
    "takes_held_out",
    "unlearn",
    "woodfisher",
]
