"""Strips of images, and of what is none."""

import numpy as np
import pytest

from rurklib.study.figures.images import grey, image_rows, shown, who


def test_images_are_shown_as_they_are_words_as_columns_and_numbers_as_a_row():
    """Fails if rows and columns, or channels, are mixed up, a text is turned on its side, or
    negative numbers are shown as black."""
    one, three = np.random.rand(1, 2, 5), np.random.rand(3, 2, 5)
    assert np.array_equal(shown(one), one[0])
    assert np.array_equal(shown(three), three.transpose(1, 2, 0))
    assert grey(one[None]) == {"cmap": "gray", "vmin": 0, "vmax": 1.0,
                               "interpolation": "nearest", "aspect": "equal"}  # fmt: skip
    text = np.sign(np.random.randn(2, 8, 5)) * 2
    assert np.array_equal(shown(text[0]), text[0])
    assert shown(np.arange(4.0)).shape == (1, 4)
    look = grey(text)
    assert (look["vmin"], look["vmax"], look["aspect"]) == (-2, 2, "auto")
    assert grey(np.random.rand(3, 4))["vmin"] == 0


@pytest.mark.parametrize("shape", [(3, 4, 4), (8, 5), (4,)])
def test_every_kind_of_input_has_its_picture(shape):
    x = np.random.randn(3, *shape).clip(-1, 1) if len(shape) < 3 else np.random.rand(3, *shape)
    rows = image_rows({"a (b)": x, "c": x[:2]}, title="t")
    assert len(rows.axes[0].images) == 1
    said = {"m": np.array([[True, False, True]] * 2), "w": np.array(["1", "2", "3"])}
    picture = who(x, x, said, title="t", word="p")
    assert picture.axes[0].images[0].get_array().shape[:2] == shown(x[0]).shape[:2]
    told = " ".join(t.get_text() for t in picture.axes[0].texts)
    assert told == "forgotten p with noise m ✓✓ ✗✗ ✓✓ w 1 2 3"
    rows.draw_without_rendering()
    picture.draw_without_rendering()
