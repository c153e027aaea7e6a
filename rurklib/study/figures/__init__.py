"""Figures: frames and arrays in, matplotlib figures out. Nothing here knows of models or runs."""

from rurklib.study.figures.curves import QUANTITIES, against_references, residual_curves
from rurklib.study.figures.dots import dots
from rurklib.study.figures.five_minutes import five_minutes
from rurklib.study.figures.heat_and_bars import attack_heat, outside_bars, sample_histogram
from rurklib.study.figures.images import image_rows, who
from rurklib.study.figures.lines import band_growth, estimator_gap, lines

__all__ = [
    "QUANTITIES",
    "against_references",
    "attack_heat",
    "band_growth",
    "dots",
    "estimator_gap",
    "five_minutes",
    "image_rows",
    "lines",
    "outside_bars",
    "residual_curves",
    "sample_histogram",
    "who",
]
