"""Data sets and forgetting requests: see :mod:`rurklib.data.dataset`."""

from rurklib.data.dataset import Dataset, Pair, Split, forget_part_of_a_class
from rurklib.data.digits import digits

__all__ = ["Dataset", "Pair", "Split", "digits", "forget_part_of_a_class"]
