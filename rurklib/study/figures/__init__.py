"""Figures: frames and arrays in, matplotlib figures out. Nothing here knows of models or runs."""

from rurklib.study.figures.ablations import ablation_panels, pareto
from rurklib.study.figures.accuracies import accuracy_dots
from rurklib.study.figures.against import against_references
from rurklib.study.figures.attacked import (
    attack_heat,
    distance_strips,
    membership_dots,
    outside_bars,
    step_curves,
)
from rurklib.study.figures.brittleness import brittleness
from rurklib.study.figures.curves import QUANTITIES, residual_curves
from rurklib.study.figures.dimension import DimensionFigure
from rurklib.study.figures.disagreement import disagreement_bounds
from rurklib.study.figures.estimators import estimator_gap
from rurklib.study.figures.growth import band_growth
from rurklib.study.figures.histogram import sample_histogram
from rurklib.study.figures.panels import curve_panels
from rurklib.study.figures.regions import RegionsFigure
from rurklib.study.figures.requests import request_dots
from rurklib.study.figures.strip import copies_strip, image_rows
from rurklib.study.figures.style import STYLE, canvas, png, style

__all__ = [
    "QUANTITIES",
    "STYLE",
    "DimensionFigure",
    "RegionsFigure",
    "ablation_panels",
    "accuracy_dots",
    "against_references",
    "attack_heat",
    "band_growth",
    "brittleness",
    "canvas",
    "copies_strip",
    "curve_panels",
    "disagreement_bounds",
    "distance_strips",
    "estimator_gap",
    "image_rows",
    "membership_dots",
    "outside_bars",
    "pareto",
    "png",
    "request_dots",
    "residual_curves",
    "sample_histogram",
    "step_curves",
    "style",
]
