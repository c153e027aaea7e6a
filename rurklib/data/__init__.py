"""Data sets and forgetting requests: see :mod:`rurklib.data.dataset`."""

from rurklib.data.bundled import breast_cancer, digits, iris
from rurklib.data.dataset import ANY, Dataset, Split
from rurklib.data.requests import difficulty, forget_part_of_a_class, rehearsed
from rurklib.data.subsets import head_of_each_class, hold_out_validation, subsample

__all__ = [
    "ANY",
    "Dataset",
    "Split",
    "breast_cancer",
    "difficulty",
    "digits",
    "forget_part_of_a_class",
    "head_of_each_class",
    "hold_out_validation",
    "iris",
    "rehearsed",
    "subsample",
]
