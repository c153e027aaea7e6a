"""Data that come as files: a reader for each kind, which returns a ``rurklib.data.Dataset``."""

from rurklib.study.sources.cifar_fashion import cifar5, cifar10, fashion_mnist
from rurklib.study.sources.image_folder import image_folder
from rurklib.study.sources.npz import npz
from rurklib.study.sources.text import text

__all__ = ["cifar5", "cifar10", "fashion_mnist", "image_folder", "npz", "text"]
