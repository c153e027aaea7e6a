"""Retain, unlearn and test accuracy (paper, sec. 5): how often the label is the top class.

Avg. Gap: how far a method is from Re-train, over all accuracies at once.

Reference: Hsu et al. 2025, sec. 5 and Table 1: the mean of |method - Re-train| over retain
accuracy, unlearn accuracy, test accuracy and MIA.

A small gap is not proof of forgetting, and MIA weighs most. The paper prints :func:`gap_of_means`,
at most the mean of the seeds' gaps: a method that is wrong in both directions has none.
"""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from rurklib.metrics.registry import metric
from rurklib.tensors import Pair, logits

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["retain_accuracy", "unlearn_accuracy", "test_accuracy", "mia"]


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of samples whose top class is y, in percent. Unlearn accuracy is 100 minus this
    on the forget set. x [n, ...] uint8 or float, y int64 [n]; the model is left as found."""
    return 100 * int((logits(model, x).argmax(1) == y).sum()) / len(y)


@metric(
    retain_accuracy=("retain %", 2),
    unlearn_accuracy=("unlearn %", 2),
    test_accuracy=("test %", 2),
    held_out_accuracy=("", 2),
)
def accuracies(
    model: nn.Module, retain: Pair, forget: Pair, test: Pair, held_out: Pair
) -> tuple[float, ...]:
    """Retain, unlearn (100 - forget), test and held-out accuracy (on test samples of the forget
    class: what a re-trained model's forget accuracy should be like), in percent."""
    kept, lost, tested, unseen = (accuracy(model, *p) for p in (retain, forget, test, held_out))
    return kept, 100 - lost, tested, unseen


@metric(average_gap=("Avg. Gap", 2))
def average_gap(rows: "pd.DataFrame") -> "pd.Series":
    """Mean absolute difference to the mean Re-train row, for each row, in percentage points.

    ``rows`` has a column ``method``, one or more rows of it "Re-train", and COLUMNS in percent.
    NaN where a row lacks one of its numbers: a mean over fewer would look like a gap of four.
    """
    numbers = rows[COLUMNS]
    distance = (numbers - numbers[rows["method"] == "Re-train"].mean()).abs()
    return distance.mean(axis=1, skipna=False).rename("average_gap")


@metric(avg_gap_of_means=("", 2))
def gap_of_means(rows: "pd.DataFrame") -> "pd.Series":
    """:func:`average_gap` of each method's mean row, as the paper prints it, on each of its rows.

    NaN for a method of which a row lacks a number.
    """
    means = rows.groupby("method")[COLUMNS].transform(lambda c: c.mean(skipna=False))
    return average_gap(rows.assign(**means)).rename("avg_gap_of_means")
