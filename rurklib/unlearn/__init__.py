"""Unlearning methods by their names in the paper: ``METHODS``; a file for each family.

To add one, write a file like the first method in ``fine_tuning.py``, with the algorithm and a name
in ``@method(...)``. Nothing else changes: every module of this folder is imported here.
"""

import importlib
import pkgutil

from rurklib.unlearn.contract import METHODS, SEARCH, check, defaults, method, unlearn

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["METHODS", "SEARCH", "check", "defaults", "method", "unlearn"]
