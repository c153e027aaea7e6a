"""``fashion``: half of the shirts forgotten, on a part of Fashion-MNIST that a CPU can train on.

The first 200 train and the first 200 test images of each of the ten classes. Shirts, because they
are easily taken for T-shirts, pullovers and coats: what is recognised, was remembered.
"""

from rurklib.data import Dataset, fashion_mnist, first_of_each_class
from rurklib.scenarios.cifar5 import BORROWED
from rurklib.scenarios.scenario import Scenario


def small_fashion(path: str) -> Dataset:
    """2,000 + 2,000 images of 28x28 pixels; see :func:`rurklib.data.fashion_mnist` for ``path``."""
    return first_of_each_class(fashion_mnist(path), name="fashion-small", train=200, test=200)


FASHION = Scenario(
    name="fashion",
    title="Fashion-MNIST, 200 images a class",
    data=small_fashion,
    model="small-cnn-32",
    forget_class=6,
    taus=(0.0, 0.02, 0.04, 0.06, 0.08, 0.1),
    methods=BORROWED,  # tuned on small CIFAR-5
)
