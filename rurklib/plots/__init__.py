"""Figures: frames and arrays in, matplotlib figures out. Nothing here knows of models or runs."""

from rurklib.plots.ablations import ablation_panels, pareto
from rurklib.plots.accuracies import accuracy_dots
from rurklib.plots.against import against_references
from rurklib.plots.attacked import (
    attack_heat,
    distance_strips,
    membership_dots,
    outside_bars,
    step_curves,
)
from rurklib.plots.beside import beside_curves, beside_table, beside_text, share_within
from rurklib.plots.brittleness import brittleness
from rurklib.plots.curves import QUANTITIES, residual_curves
from rurklib.plots.dimension import DimensionFigure
from rurklib.plots.disagreement import disagreement_bounds
from rurklib.plots.estimators import estimator_gap
from rurklib.plots.growth import band_growth
from rurklib.plots.histogram import sample_histogram
from rurklib.plots.panels import curve_panels
from rurklib.plots.regions import RegionsFigure
from rurklib.plots.requests import request_dots
from rurklib.plots.results import findings_table, results_table
from rurklib.plots.strip import copies_strip, image_rows
from rurklib.plots.style import STYLE, canvas, png, style

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
    "beside_curves",
    "beside_table",
    "beside_text",
    "brittleness",
    "canvas",
    "copies_strip",
    "curve_panels",
    "disagreement_bounds",
    "distance_strips",
    "estimator_gap",
    "findings_table",
    "image_rows",
    "membership_dots",
    "outside_bars",
    "pareto",
    "png",
    "request_dots",
    "residual_curves",
    "results_table",
    "sample_histogram",
    "share_within",
    "step_curves",
    "style",
]
