"""The perturbation inspector: controls, pictures and buttons over a :class:`Inspector`.

Nothing is computed here. A slider is answered by ``Inspector.view``; what takes longer is behind
buttons (:class:`rurklib.study.panels.Job`) and vanishes as soon as it is about something else than
what is set.
"""

from __future__ import annotations

import html
from collections.abc import Set
from typing import Any

import ipywidgets

from rurklib import checks, samples
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.study.figures.closer import Map, Radius, RunningRatio
from rurklib.study.figures.inspector import Copy, Probabilities, Thumbnails
from rurklib.study.inspector.choices import (
    AIMS,
    KINDS,
    NORMS,
    STEPS,
    law_named,
    norms_of,
    reach,
    rescaled,
)
from rurklib.study.inspector.cut import cut
from rurklib.study.inspector.export import export
from rurklib.study.inspector.radius import radii
from rurklib.study.inspector.running_ratio import running
from rurklib.study.inspector.view import Inspector, View
from rurklib.study.panels.controls import FIELDS, inspector_controls, snapped, tau_options
from rurklib.study.panels.job import Job
from rurklib.study.panels.picture import Picture

# What each button's result is about: it is taken back when one of these changes.
ABOUT = {
    "ratio": {"sample", "kind", "norm", "aim", "tau", "found_on", "steps", "model"},
    "radius": {"sample", "kind", "norm", "draw", "found_on", "steps"},
    "map": {"sample", "model"},
}


COLUMN = {"width": "372px", "max_width": "100%", "margin": "0 14px 0 0"}


class InspectorPanel:
    """``widget`` is what to display; ``state`` what is set, by the names of ``FIELDS``; ``view``
    what is seen; ``controls``, ``pictures`` and ``jobs`` the parts by name; ``said`` each picture
    in words."""

    def __init__(self, inspector: Inspector, **state: Any) -> None:
        self.inspector = inspector
        self.taus, self.pixels = inspector.run.scenario.taus, inspector.x[0].numel()
        first = inspector.run.scenario.taus[-1]
        self.state: dict[str, Any] = {
            "sample": int(inspector.order[0]), "kind": KINDS[0], "norm": NORMS[0], "aim": AIMS[0],
            "tau": float(first), "draw": 0, "found_on": "Original", "steps": STEPS,
            "model": "Original",
        }  # fmt: skip
        self.view: View = self._seen()
        images = samples.as_float(inspector.x).cpu().numpy()
        self._thumbnails = Thumbnails(images, inspector.order.tolist(), inspector.ratios)
        self._copy = Copy(self.view, inspector.classes)
        self._bars = Probabilities(self.view, inspector.classes)
        self._heavy: dict[str, Any] = {
            "ratio": RunningRatio(),
            "radius": Radius(self.view.names),
            "map": Map(),
        }
        drawn = {"samples": self._thumbnails, "copy": self._copy, "probabilities": self._bars}
        self.pictures = {n: Picture(d.figure) for n, d in {**drawn, **self._heavy}.items()}
        self.jobs = {
            "ratio": Job("running ratio", self._ratio, lambda r: self._report("ratio", r)),
            "radius": Job(
                "radius of each model", self._radius, lambda r: self._report("radius", r)
            ),
            "map": Job("map of the plane", self._map, lambda r: self._report("map", r)),
        }
        self.controls = inspector_controls(inspector, self.state)
        self.export_button = ipywidgets.Button(
            description="export PNG and CSV row", layout={"width": "auto"}
        )
        self.export_button.on_click(lambda _: self.export())
        self._message = ipywidgets.HTML()
        self.exported: tuple[Any, Any] | None = None
        self._quiet = False
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self._moved(name, change["new"]), "value")
        self.widget = self._laid_out()
        self._show({"sample"})
        if state:
            self.set(**state)

    @property
    def said(self) -> dict[str, str]:
        return {name: picture.said for name, picture in self.pictures.items()}

    @property
    def law(self) -> str:
        """The law's name in ``rurklib.perturb.PERTURBATIONS``."""
        return law_named(*(self.state[k] for k in ("kind", "norm", "aim")))

    @property
    def reach(self) -> float:
        """The largest tau of the law."""
        return reach(self.law, self.taus, self.pixels)

    def set(self, **values: Any) -> None:
        """Change fields of the state; the controls follow. Raises InputError, with nothing
        changed, for a field or a value that there isn't.

        A norm that the new kind of law hasn't becomes L-inf; tau keeps its share of the law's reach
        unless it is given.
        """
        for name in values:
            checks.one_of("setting", name, FIELDS)
        new, old = {**self.state, **values}, self.law
        checks.one_of("kind", new["kind"], KINDS)
        checks.one_of("norm", new["norm"], NORMS)
        checks.one_of("aim", new["aim"], AIMS)
        norms = norms_of(new["kind"])
        if norms and new["norm"] not in norms:
            if "norm" in values and "kind" not in values:
                checks.one_of(f"norm of {new['kind']}", new["norm"], norms)
            new["norm"] = norms[0]
        law = law_named(new["kind"], new["norm"], new["aim"])
        if "tau" not in values:
            new["tau"] = rescaled(new["tau"], old, law, self.taus, self.pixels)
        most = reach(law, self.taus, self.pixels)
        new["tau"] = snapped(checks.number("tau", new["tau"], 0.0, most * (1 + 1e-6)), most)
        for name in ("found_on", "model"):
            checks.one_of(name, new[name], self.inspector.models)
        checks.count("steps", new["steps"])
        checks.count("draw", new["draw"], 0)
        if new["draw"] >= self.inspector.run.scenario.draws:
            raise checks.InputError(
                f"draw = {new['draw']}: the study has draws 0 ... "
                f"{self.inspector.run.scenario.draws - 1}"
            )
        if new["sample"] not in self.inspector.order:
            raise checks.InputError(f"sample = {new['sample']!r}: not a forget sample of this run")
        changed = {n for n in FIELDS if new[n] != self.state[n]}
        if changed:
            self.state = new
            self._show(changed)

    def export(self) -> None:
        """Write what is seen into the run's ``inspect/``, and say where."""
        shown = [p.png for n, p in self.pictures.items() if n not in self._heavy]
        shown += [self.pictures[n].png for n, job in self.jobs.items() if job.report is not None]
        run = self.inspector.run
        try:
            self.exported = export(run.folder, self.view, shown, self.inspector.classes)
            said = f"written: {self.exported[0]} and a row of {self.exported[1].name}"
        except (OSError, checks.InputError) as error:
            self.exported, said = None, f"not written: {error}"
        self._message.value = f'<div role="status" aria-live="polite">{html.escape(said)}</div>'

    # --- what is seen ---------------------------------------------------------------------------

    def _seen(self) -> View:
        s = self.state
        return self.inspector.view(
            s["sample"], self.law, s["tau"], s["draw"], s["found_on"], s["steps"]
        )

    def _moved(self, name: str, value: Any) -> None:
        if not self._quiet:
            self.set(**{name: value})

    def _show(self, changed: Set[str]) -> None:
        """Everything after a change: controls, pictures, and what is out of date taken back."""
        self._follow()
        for name, job in self.jobs.items():
            if changed & ABOUT[name]:
                job.forget()
                self.pictures[name].widget.layout.display = "none"
        if "sample" in changed:
            self.pictures["samples"].show(self._thumbnails.update(self.state["sample"]))
        if changed - {"model"}:
            self.view = self._seen()
            self.pictures["copy"].show(self._copy.update(self.view))
            self.pictures["probabilities"].show(self._bars.update(self.view))

    def _report(self, name: str, report: Any) -> None:
        about: tuple[str, ...] = ()
        if name == "map":
            about = (self.state["model"], self.inspector.classes[self.view.truth])
        self.pictures[name].show(self._heavy[name].update(report, *about))
        self.pictures[name].widget.layout.display = ""

    def _ratio(self) -> Any:
        s = self.state
        options = {k: s[k] for k in ("model", "found_on", "steps")}
        return running(self.inspector, s["sample"], self.law, s["tau"], **options)

    def _radius(self) -> Any:
        s, most = self.state, self.reach
        options = {k: s[k] for k in ("draw", "found_on", "steps")}
        return radii(self.inspector, s["sample"], self.law, most, **options)

    def _map(self) -> Any:
        s = self.state
        most = reach("uniform-l2", self.taus, self.pixels)
        return cut(self.inspector, s["sample"], most, model=s["model"])

    def _follow(self) -> None:
        """Set the controls as the state is, and those that mean nothing now out of use."""
        self._quiet = True
        law, c = PERTURBATIONS[self.law], self.controls
        try:
            taus = tau_options(self.reach, self.state["tau"])
            if c["tau"].options != taus:
                with c["tau"].hold_sync():  # one message: in two, the slider would jump between
                    c["tau"].options, c["tau"].value = taus, self.state["tau"]
            norms = norms_of(self.state["kind"]) or NORMS
            if tuple(c["norm"].options) != norms:
                c["norm"].options = norms
            for name, value in self.state.items():
                if c[name].value != value:
                    c[name].value = value
            for name, used in (
                ("norm", len(norms_of(self.state["kind"])) > 1),
                ("aim", law.gradient_based),
                ("found_on", law.gradient_based),
                ("draw", law.random),
                ("steps", PERTURBATIONS[self.law].search is not None),
            ):
                c[name].disabled = not used
        finally:
            self._quiet = False

    def _laid_out(self) -> ipywidgets.Widget:
        """Columns as wide as a phone that wrap: side by side on a desk, in a row on a phone."""
        c, p = self.controls, {n: picture.widget for n, picture in self.pictures.items()}
        j, box = {n: job.widget for n, job in self.jobs.items()}, ipywidgets.VBox
        asked = [c[n] for n in FIELDS if n not in ("sample", "model")]
        columns = [
            [p["samples"], c["sample"], p["copy"], *asked],
            [p["probabilities"], self.export_button, self._message],
            [c["model"], j["ratio"], p["ratio"], j["radius"], p["radius"], j["map"], p["map"]],
        ]
        parts = [box(column, layout=COLUMN) for column in columns]
        flow = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start"}
        return ipywidgets.Box(parts, layout={**flow, "width": "100%", "overflow": "visible"})
