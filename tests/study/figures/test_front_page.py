"""The picture of the front page: marks and numbers are those that it was given."""

import numpy as np
import pandas as pd

from rurklib.study.figures.front_page import front_page


def test_marks_counts_and_ends_are_those_of_the_tables():
    """Fails if a mark, a count or the end of a curve is another model's."""
    images = np.random.default_rng(0).random((2, 1, 8, 8))
    band = {"null_low": 0.9, "null_high": 1.1, "predict_low": 0.8, "predict_high": 1.2}
    ends = {"Original": 1.31, "RURK": 0.72}
    rows = [{"method": m, "tau": t, "ratio_of_means": 1 + (end - 1) * t / 0.2, **band}
            for m, end in ends.items() for t in (0.0, 0.1, 0.2)]  # fmt: skip
    said = {"re-trained models": np.array([[True, False]] * 2 + [[False, False]] * 2),
            "Original": np.array([[True, True]]), "RURK": np.array([[False, True]])}  # fmt: skip
    figure = front_page(images, images, said, pd.DataFrame(rows), title="told",
                        word="nine", unit="sd")  # fmt: skip
    left, right = figure.axes
    rows = {}  # what stands in a line, by its height
    for text in left.texts:
        rows.setdefault(text.get_position()[1], []).append(text.get_text())
    assert ["re-trained models", "2 of 4", "0 of 4"] in rows.values()
    assert ["Original", "✓", "✓"] in rows.values()
    assert ["RURK", "✗", "✓"] in rows.values()
    heights = {t.get_text(): t.get_position()[1] for t in right.texts}
    assert heights["Original 1.31"] > heights["re-trained models"] > heights["RURK 0.72"]
