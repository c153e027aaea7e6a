"""The perturbation inspector: what can be chosen, and what is shown of it.

Nothing is computed here. A slider is answered by ``Inspector.view``; what takes longer is behind
buttons and vanishes as soon as it is about something else than what is set.
"""

import contextlib
import html
import io
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import ipywidgets

from rurklib import checks
from rurklib.perturb import PERTURBATIONS
from rurklib.study.figures.inspector import Copy, Probabilities, RunningRatio
from rurklib.study.inspector.running_ratio import running
from rurklib.study.inspector.view import (
    AIMS,
    KINDS,
    NORMS,
    STEPS,
    TITLE,
    Inspector,
    View,
    export,
    perturbation_named,
    reach,
)
from rurklib.study.panels.panel import Choice, Panel, Slow, State, png, status
from rurklib.study.run import open_existing

MOST_STEPS, TAUS = 40, 40

ASKED = ("tau", "draw", "kind", "norm", "aim", "found_on", "steps")  # about the copy
HELP = {
    "sample": "a forget sample; first the one with the largest ratio",
    "tau": "how large the change is",
    "draw": "which of the random copies",
    "kind": "how copies are changed: at random (Gaussian, uniform), or by a search on a model",
    "norm": "how a change is measured: its largest number (L-inf), its length (L2), its sum (L1)",
    "aim": "towards y: copies for which the model says y; away from y: for which it does not",
    "found_on": "the model that FGSM and PGD search on",
    "steps": "how many steps PGD takes",
    "model": "whose running ratio is drawn",
}
COLUMNS = (
    ("sample", "copy", *ASKED),
    ("probabilities", "export"),
    ("model", "ratio"),
)


class InspectorPanel(Panel):
    """The panel of an inspector; ``state`` are settings to begin with, by the names of its
    controls. :meth:`export` writes what is seen into the run's ``inspect/``."""

    def __init__(self, inspector: Inspector, **state: Any) -> None:
        self.inspector = inspector
        self.taus, self.pixels = inspector.run.scenario.taus, inspector.x[0].numel()
        order, ratios = inspector.order.tolist(), inspector.ratios
        texts = [f"ratio {r:.2f}" if r == r else "no ratio" for r in ratios]
        self._samples = {i: f"{k + 1}: {texts[i]}" for k, i in enumerate(order)}
        first = {
            "sample": order[0], "kind": "Gaussian", "norm": NORMS[0],
            "aim": AIMS[0], "tau": float(self.taus[-1]), "draw": 0, "found_on": "Original",
            "steps": STEPS, "model": "Original",
        }  # fmt: skip
        opened = self._seen(first)
        copy = {"sample", *ASKED}
        super().__init__(
            first,
            self._offered,
            self._seen,
            {
                "copy": Copy(opened, inspector.classes),
                "probabilities": Probabilities(opened, inspector.classes),
            },
            {
                "ratio": Slow(
                    "running ratio",
                    lambda s: running(inspector, **_asked(s, "tau", "found_on", "steps", "model")),
                    RunningRatio(),
                    "how often the model recognises copies of the sample, relative to re-trained "
                    "models, as copies are added: 1 is as if it never saw it",
                    unasked=True,
                ),
            },
            columns=COLUMNS,
            about={
                "copy": copy, "probabilities": copy,
                "ratio": copy - {"draw"} | {"model"},
            },
            adapt=self._adapted,
        )  # fmt: skip
        self.set(**state)

    def reach(self, state: State | None = None) -> float:
        """The largest tau to offer for the perturbation that is set."""
        return reach(_name(state or self.state), self.taus, self.pixels)

    def export(self) -> tuple[Path, Path]:
        """Write the pictures and a row of numbers into the run's ``inspect/``: (PNG, CSV)."""
        slow = {n: self.slow[n].picture for n, job in self.jobs.items() if job.report is not None}
        shown = [png(picture.figure) for picture in {**self.pictures, **slow}.values()]
        return export(self.inspector.run.folder, self.view, shown, self.inspector.classes)

    # --- what can be chosen ---------------------------------------------------------------------

    def _offered(self, s: State) -> dict[str, Choice]:
        rule, most = PERTURBATIONS[_name(s)], self.reach(s)
        taus = {round(most * k / TAUS, 6) for k in range(TAUS + 1)} | {s["tau"]}
        models, norms = {name: name for name in self.inspector.models}, KINDS[s["kind"]]
        draws = range(self.inspector.run.scenario.draws)
        offered = {
            "sample": Choice("sample", self._samples),
            "kind": Choice("perturbation", {kind: kind for kind in KINDS}),
            "norm": Choice("norm", {n: n for n in norms or NORMS}, len(norms) > 1),
            "aim": Choice("search", {aim: aim for aim in AIMS}, rule.gradient_based),
            # Steps to choose among rather than a range: a browser answers a new range of a float
            # slider with the old value, moved to the new range's nearest step.
            "tau": Choice("tau", {tau: f"{tau:.3g}" for tau in sorted(taus)}),
            "draw": Choice("draw", draws, rule.random),
            "found_on": Choice("found on", models, rule.gradient_based),
            "steps": Choice("PGD steps", range(1, MOST_STEPS + 1), s["kind"] == "PGD"),
            "model": Choice("model", models),
        }  # fmt: skip
        return {name: replace(choice, help=HELP[name]) for name, choice in offered.items()}

    def _adapted(self, old: State, values: State) -> State:
        """A norm that the new kind hasn't becomes L-inf; tau keeps its share of the perturbation's
        reach unless it is given."""
        new = {**old, **values}
        for name, known in (("kind", KINDS), ("norm", NORMS), ("aim", AIMS)):
            checks.one_of(name, new[name], known)
        norms = KINDS[new["kind"]]
        if norms and "norm" not in values and new["norm"] not in norms:
            new["norm"] = norms[0]
        most = self.reach(new)
        if "tau" not in values:
            new["tau"] *= most / self.reach(old)
        tau = checks.number("tau", new["tau"], 0.0, most * (1 + 1e-6))
        step = round(most * round(tau / most * TAUS) / TAUS, 6)  # the nearest: only rounding apart?
        return new | {"tau": step if abs(tau - step) < 1e-4 * most / TAUS else round(tau, 6)}

    def _seen(self, s: State) -> View:
        return self.inspector.view(**_asked(s, "tau", "draw", "found_on", "steps"))

    # --- the button that exports ----------------------------------------------------------------

    def part(self, name: str) -> list[ipywidgets.Widget]:
        return self._export if name == "export" else super().part(name)

    @cached_property
    def _export(self) -> list[Any]:
        button = ipywidgets.Button(description="export PNG and CSV row", layout={"width": "auto"})
        words = ipywidgets.HTML()

        def press(_: Any) -> None:
            try:
                picture, table = self.export()
                words.value = status(f"written: {picture} and a row of {table.name}")
            except (OSError, checks.InputError) as error:
                words.value = status(f"not written: {error}")

        button.on_click(press)
        return [button, words]


def _name(s: State) -> str:
    return perturbation_named(s["kind"], s["norm"], s["aim"])


def _asked(s: State, *names: str) -> dict[str, Any]:
    """Arguments of the inspector's functions: sample and perturbation, and what more is named."""
    return {"sample": s["sample"], "perturbation": _name(s), **{name: s[name] for name in names}}


def inspector_page(folder: str | Path, seed: int | None = None) -> ipywidgets.Widget:
    """The panel of the finished run in ``folder``, under a heading; a message if it can't be."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # a log line is no part of a page
            inspector = Inspector(open_existing(folder), seed)
            body = InspectorPanel(inspector).widget
    except (OSError, checks.InputError) as error:
        return ipywidgets.HTML(
            '<div role="alert" style="line-height: 1.5"><h1>No run to inspect</h1>'
            f"<p>{html.escape(str(error))}</p>"
            "<p>Mend the folder, then load this page again.</p></div>"
        )
    head = ipywidgets.HTML(
        '<div style="line-height: 1.4"><h1 style="font-size: 1.5em; margin: 0.3em 0">'
        f"{TITLE}</h1><p style='margin: 0 0 0.6em'>{html.escape(inspector.run.title)}; "
        f"models of seed {inspector.seed} and {len(inspector.references)} models re-trained "
        "without them. Choose a sample and a small change to it, and see which models still know "
        "its class.</p>"
        "</div>"
    )
    return ipywidgets.VBox([head, body], layout={"overflow": "visible"})
