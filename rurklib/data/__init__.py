"""Data sets and forgetting requests: see :mod:`rurklib.data.dataset`."""

from rurklib.data.bundled import breast_cancer, digits, iris
from rurklib.data.dataset import ANY, Dataset, Pair, Split
from rurklib.data.requests import difficulty, forget_part_of_a_class, rehearsed
from rurklib.data.subsets import fewer, first_of_each_class, set_aside

__all__ = [
    "ANY",
    "Dataset",
    "Pair",
    "Split",
    "breast_cancer",
    "difficulty",
    "digits",
    "fewer",
    "first_of_each_class",
    "forget_part_of_a_class",
    "iris",
    "rehearsed",
    "set_aside",
]
