"""The panel of the plane of two features: decision regions and a ball around a forget sample."""

from typing import Any

from rurklib.data.bundled import IRIS_FEATURES
from rurklib.study.figures.plane import Regions
from rurklib.study.inspector.plane import Plane, view
from rurklib.study.panels.panel import Choice, Panel

TEXTS = {"sample": "forget sample", "tau": "tau", "norm": "norm"}
TEXTS |= {"lam": "lambda", "steps": "RURK steps", "reference": "re-trained"}
TAUS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
COLUMNS = (("sample", "tau", "norm"), ("lam", "steps", "reference"), ("plane",))


def plane_panel(plane: Plane, **state: Any) -> Panel:
    """Decision regions and a ball around a forget sample: sliders for sample, ball and RURK's
    setting. ``state`` are the settings to begin with, of those of :func:`inspector.plane.view`."""
    choices = plane.choices
    first = {"sample": 0, "tau": 0.05, "norm": "l2", "lam": next(iter(choices["lam"]))}
    first |= {"steps": max(choices["steps"]), "reference": 0, **state}
    choices["tau"] = {tau: f"{tau:g}" for tau in sorted({*TAUS, first["tau"]})}
    offered = {name: Choice(text, choices[name]) for name, text in TEXTS.items()}
    return Panel(
        first, lambda _: offered, lambda s: view(plane, **s), {"plane": regions(plane)},
        columns=COLUMNS,
    )  # fmt: skip


def regions(plane: Plane) -> Regions:
    """The picture of the plane with nothing in it yet: ``update(view)`` draws."""
    case = plane.case
    forget, retain = ((x.numpy(), y.numpy()) for x, y in (case.forget, case.retain))
    return Regions(
        forget, retain, classes=case.data.classes, axes_names=IRIS_FEATURES[:2],
        steps=list(plane.choices["steps"]),
    )  # fmt: skip
