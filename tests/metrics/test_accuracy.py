"""Avg. Gap against the numbers that the paper prints."""

import numpy as np
import pandas as pd

from rurklib.metrics.accuracy import COLUMNS, average_gap, gap_of_means

# Hsu et al., Table 1, CIFAR-10: method, retain, unlearn, test, MIA, printed Avg. Gap.
CIFAR10 = [
    ("Original", 100.00, 0.00, 94.76, 0.07, 8.34),
    ("Re-train", 100.00, 9.47, 93.30, 22.50, 0.00),
    ("GD", 99.98, 0.00, 94.29, 0.10, 8.22),
    ("NGD", 97.53, 10.67, 90.70, 3.70, 6.27),
    ("GA", 95.41, 61.37, 85.98, 0.00, 21.58),  # the paper prints 21.25; its four gaps average 21.58
    ("NegGrad+", 99.28, 14.00, 92.02, 18.18, 2.71),
    ("EU-k", 99.34, 1.12, 92.97, 0.87, 7.74),
    ("CF-k", 100.00, 0.00, 94.38, 0.42, 8.16),
    ("SCRUB", 99.61, 12.45, 92.70, 7.10, 4.84),
    ("SSD", 96.49, 66.45, 88.59, 5.12, 20.65),
    ("RURK", 99.55, 14.63, 92.60, 18.20, 2.65),
]


def test_the_papers_table_1():
    """Catches a signed difference, a sum or root mean square, a wrong or missing column, and a
    distance to Original. The tolerance is the rounding of four printed numbers and their mean."""
    rows = pd.DataFrame(CIFAR10, columns=["method", *COLUMNS, "printed"])
    np.testing.assert_allclose(average_gap(rows), rows["printed"], atol=0.0151)


def test_every_row_is_compared_with_the_mean_of_retrain():
    """Catches the first re-trained row, or the one of the same seed, taken for their mean, a
    division by four whatever the columns, and an index that isn't that of the rows."""
    rows = pd.DataFrame(
        {"method": ["GD", "Re-train", "GD", "Re-train"], "a": [10.0, 4.0, 3.0, 6.0], "b": 1.0},
        index=[7, 3, 5, 1],
    )
    gap = average_gap(rows, ["a", "b"])
    pd.testing.assert_series_equal(
        gap, pd.Series([2.5, 0.5, 1.0, 0.5], index=[7, 3, 5, 1], name="average_gap")
    )


def test_the_gap_of_means_is_that_of_the_mean_row():
    """One seed 4 above and one 2 below: gaps 4 and 2, mean 3, but of the mean 1. Re-train's own is
    0. Fails if it is the mean of gaps, or another method's rows are averaged in."""
    rows = pd.DataFrame(
        {"method": ["GD", "Re-train", "GD", "Re-train", "GA"], "a": [9.0, 4.0, 3.0, 6.0, 8.0]},
        index=[7, 3, 5, 1, 2],
    )
    assert average_gap(rows, ["a"]).tolist() == [4, 1, 2, 1, 3]
    pd.testing.assert_series_equal(
        gap_of_means(rows, ["a"]),
        pd.Series([1.0, 0.0, 1.0, 0.0, 3.0], index=rows.index, name="avg_gap_of_means"),
    )
    assert np.isnan(gap_of_means(rows.assign(a=[np.nan, 4.0, 3.0, 6.0, 8.0]), ["a"])[5])


def test_a_missing_number_is_no_small_gap():
    """Catches a mean that skips what is missing."""
    rows = pd.DataFrame({"method": ["Re-train", "GA"], "a": [1.0, 2.0], "b": [1.0, np.nan]})
    assert np.isnan(average_gap(rows, ["a", "b"])[1])
