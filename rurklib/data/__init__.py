"""Data sets and forgetting requests: see :mod:`rurklib.data.dataset`."""

from rurklib.data.dataset import Dataset, Pair, Split, forget_part_of_a_class, rehearsed
from rurklib.data.digits import digits
from rurklib.data.image_folder import image_folder
from rurklib.data.npz import npz
from rurklib.data.subset import first_of_each_class
from rurklib.data.torchvision_sets import cifar5, cifar10, fashion_mnist

__all__ = [
    "Dataset",
    "Pair",
    "Split",
    "cifar5",
    "cifar10",
    "digits",
    "fashion_mnist",
    "first_of_each_class",
    "forget_part_of_a_class",
    "image_folder",
    "npz",
    "rehearsed",
]
