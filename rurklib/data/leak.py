"""Test samples that were trained on: what is said of data that hold some."""

from rurklib import tensors
from rurklib.data.dataset import Dataset, Split


def trained_on(dataset: Dataset, split: Split) -> str:
    """A sentence on the test samples that stand among the training samples too, byte for byte;
    "" if none do.

    A study says so and goes on, for a few copies among many images change little; an audit refuses
    forget samples that are among its held-out ones.
    """
    x, y = dataset.test
    again = tensors.copies(x, dataset.train[0])
    if not bool(again.any()):
        return ""
    own = int((again & split.of_class(y).cpu()).sum())
    return (
        f"{int(again.sum())} of {len(y)} test samples ({own} of what is forgotten) are among the "
        "training samples too: accuracy on them isn't that on unseen ones, and as held-out samples "
        "they are no control; remove them from one side"
    )
