"""The inspector's controls, each as it is set at first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets

from rurklib.study.inspector.choices import AIMS, KINDS, NORMS
from rurklib.study.inspector.view import Inspector

FIELDS = ("sample", "kind", "norm", "aim", "tau", "draw", "found_on", "steps", "model")


MOST_STEPS, TAUS = 40, 40


def inspector_controls(inspector: Inspector, state: Mapping[str, Any]) -> dict[str, Any]:
    """A control for each of ``FIELDS``; all of them can be reached and moved by keys alone."""
    everyone, draws = list(inspector.models), inspector.run.scenario.draws
    ratios = [f"ratio {r:.2f}" if r == r else "no ratio" for r in inspector.ratios]
    places = [(f"{k + 1}: {ratios[i]}", int(i)) for k, i in enumerate(inspector.order)]

    def made(kind: Any, name: str, text: str, **options: Any) -> Any:
        return kind(
            value=state[name],
            description=text,
            style={"description_width": "6.2em"},
            layout={"width": "auto", "margin": "2px 0"},
            **options,
        )

    w = ipywidgets
    return {
        "sample": made(w.SelectionSlider, "sample", "sample", options=places),
        "kind": made(w.Dropdown, "kind", "law", options=KINDS),
        "norm": made(w.Dropdown, "norm", "norm", options=NORMS),
        "aim": made(w.Dropdown, "aim", "search", options=AIMS),
        "tau": made(w.SelectionSlider, "tau", "tau", options=[state["tau"]]),
        "draw": made(w.IntSlider, "draw", "draw", min=0, max=draws - 1),
        "found_on": made(w.Dropdown, "found_on", "found on", options=everyone),
        "steps": made(w.IntSlider, "steps", "PGD steps", min=1, max=MOST_STEPS),
        "model": made(w.Dropdown, "model", "model", options=everyone),
    }


def tau_options(reach: float, tau: float) -> tuple[tuple[str, float], ...]:
    """Forty even steps up to ``reach``, and ``tau`` if it is none of them: (label, value).

    Steps to choose among rather than a range: a browser answers a new range of a float slider with
    the old value, moved to the new range's nearest step.
    """
    values = {round(reach * k / TAUS, 6) for k in range(TAUS + 1)}
    return tuple((f"{v:.3g}", v) for v in sorted(values | {tau}))


def snapped(tau: float, reach: float) -> float:
    """``tau``, as the step that it is but for rounding."""
    nearest = round(reach * round(tau / reach * TAUS) / TAUS, 6)
    return nearest if abs(tau - nearest) < 1e-4 * reach / TAUS else round(tau, 6)
