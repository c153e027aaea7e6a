"""Data sets and forgetting requests: see :mod:`rurklib.data.dataset`."""

from rurklib.data.breast_cancer import breast_cancer
from rurklib.data.dataset import ANY, Dataset, Pair, Split
from rurklib.data.digits import digits
from rurklib.data.few import forget_few
from rurklib.data.image_folder import image_folder
from rurklib.data.iris import iris
from rurklib.data.npz import npz
from rurklib.data.parts import fewer, set_aside
from rurklib.data.request import difficulty, forget_part_of_a_class, rehearsed
from rurklib.data.subset import first_of_each_class
from rurklib.data.text import text
from rurklib.data.torchvision_sets import cifar5, cifar10, fashion_mnist

__all__ = [
    "ANY",
    "Dataset",
    "Pair",
    "Split",
    "breast_cancer",
    "cifar5",
    "cifar10",
    "difficulty",
    "digits",
    "fashion_mnist",
    "fewer",
    "first_of_each_class",
    "forget_few",
    "forget_part_of_a_class",
    "image_folder",
    "iris",
    "npz",
    "rehearsed",
    "set_aside",
    "text",
]
