"""The perturbation inspector's panel: controls, and pictures that follow them.

Building a matplotlib figure takes longer than drawing one. So each picture's figure is drawn once;
``update`` moves its artists, and the same canvas is rendered again. A picture is an ``img`` in an
HTML widget, with its title as alternative text, which ``ipywidgets.Image`` can't carry.
"""

import base64
import contextlib
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rurklib.checks import InputError
from rurklib.study import store
from rurklib.study.figures.images import BAD, GOOD, grey, shown
from rurklib.study.figures.style import DOTTED, INK, canvas, style
from rurklib.study.inspector import (
    AIMS,
    KINDS,
    NORMS,
    STEPS,
    TITLE,
    Inspector,
    View,
    perturbation_named,
    radius,
    row_of,
    running,
)
from rurklib.study.run import open_existing

FIRST = ("Original", "Re-train", "GD", "SCRUB", "RURK", "Retrain-quarter")  # rows to begin with
WIDE, SMALL = 4.2, 9  # inches at 100 dots, points
TAUS = 40  # steps of the slider


def freeze(figure: Figure) -> None:
    """Lay a figure out once: the layout engine would work at every draw."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


class Copy:
    """The image, a perturbed copy of it, and their difference, magnified."""

    def __init__(self, view: View, classes: Sequence[str]) -> None:
        self.classes = classes
        self.figure, axes = canvas(1, 3, width=WIDE, height=2.1)
        self.figure.suptitle(" \n ", x=0.01, ha="left", fontsize=9.5)
        image, look = shown(view.image), grey(view.image[None])
        signed = look | ({"cmap": "PuOr_r", "vmin": -1, "vmax": 1} if image.ndim == 2 else {})
        looks = {"forget image": look, "copy": look, "difference": signed}
        for axis, (name, kind) in zip(axes, looks.items(), strict=True):
            axis.imshow(image, **kind)
            axis.set_axis_off()
            axis.set_title(name, fontsize=SMALL, loc="center", pad=3)
        self.axes = axes
        freeze(self.figure)

    def update(self, view: View) -> None:
        """Show the view's image and copy."""
        largest = float(np.abs(view.difference).max())
        times = magnification(largest)
        change = shown(view.difference) * times
        change = change if change.ndim == 2 else np.clip(0.5 + change / 2, 0, 1)
        for axis, data in zip(
            self.axes, (shown(view.image), shown(view.copy), change), strict=True
        ):
            axis.images[0].set_data(data)
        self.axes[2].set_title(f"difference x {times:g}", fontsize=SMALL, loc="center", pad=3)
        far = ", ".join(f"{norm} {distance:.3g}" for norm, distance in view.distances.items())
        what = f"Class {self.classes[view.truth]}; {view.perturbation}, tau {view.tau:g}"
        self.figure.suptitle(f"{what}\ndistance {far}", x=0.01, ha="left", fontsize=9.5)


def magnification(largest: float) -> float:
    """1, 2, 5, 10, ...: the most that keeps the largest difference at 1 or below."""
    steps = [m * 10.0**e for e in range(7) for m in (1, 2, 5)]
    return max((s for s in steps if 0 < s * largest <= 1), default=1.0)


class Answers:
    """How likely each model finds the copy's true class, a bar each, and what it answers. The
    re-trained models share a row: the bar is their mean, the line their range."""

    def __init__(self, view: View, classes: Sequence[str], rows: Sequence[str] = FIRST) -> None:
        self.classes, self.rows = classes, [name for name in view.names if name in rows]
        n = len(self.rows)
        self.figure, axis = canvas(width=WIDE, height=1.1 + 0.27 * n)
        self.figure.suptitle(" \n ", x=0.01, ha="left", fontsize=9.5)
        self.bars = axis.barh(range(n), [0.0] * n, height=0.7)
        (self.range,) = axis.plot([], [], color=INK, lw=1.5)
        self.texts = [
            axis.text(
                1.03, k, "✗ says " + max((*classes, "1234"), key=len), va="center", fontsize=SMALL
            )
            for k in range(n)
        ]
        axis.set_yticks(range(n), self.rows, fontsize=SMALL)
        axis.set(xlim=(0, 1), xticks=[0, 0.5, 1], ylim=(n - 0.5, -0.5))
        axis.set_xlabel("probability of the true class", fontsize=SMALL)
        axis.tick_params(labelsize=SMALL)
        axis.spines[["top", "right"]].set_visible(False)
        freeze(self.figure)

    def update(self, view: View) -> None:
        """Show the view's probabilities and answers."""
        y, right = view.truth, dict(zip(view.models, view.recognised, strict=True))
        answers = dict(zip(view.models, view.answers, strict=True))
        for k, row in enumerate(self.rows):
            p = view.row(row)[:, y]
            if row == "Re-train":
                known = sum(right[r] for r in view.references)
                share, text = known / len(p), f"{known} of {len(p)}"
                self.range.set_data([p.min(), p.max()], [k, k])
            else:
                share, text = float(right[row]), f"says {self.classes[answers[row]]}"
            color = GOOD if share >= 0.5 else BAD
            self.bars[k].set(width=p.mean(), color=color)
            self.texts[k].set(text=f"{'✓' if share >= 0.5 else '✗'} {text}", color=color)
        what = f"{view.perturbation}, tau {view.tau:g}, draw {view.draw}"
        title = f"What models make of the copy (class {self.classes[y]})\n{what}"
        self.figure.suptitle(title, x=0.01, ha="left", fontsize=9.5)


def draw_ratio(rows: pd.DataFrame, model: str) -> Figure:
    """A figure of one sample's ratio after each draw; ``rows`` as :func:`running` gives them."""
    figure, axis = canvas(width=WIDE, height=2.9)
    color, last = style(model.split(" ")[0])["color"], rows.iloc[-1]
    axis.axhline(1, **DOTTED)
    axis.fill_between(rows.draws, rows.low, rows.high, color=color, alpha=0.25, lw=0)
    axis.plot(rows.draws, rows.ratio, color=color, lw=1.8, marker="o" if len(rows) == 1 else "")
    top = max(2.0, 1.15 * np.nan_to_num(rows.high[9:].max(), nan=2.0))
    axis.set(xlim=(0, max(len(rows), 2)), ylim=(0, min(top, 12.0)))
    axis.set_xlabel("draws", fontsize=SMALL)
    axis.set_ylabel("ratio, 95 % interval", fontsize=SMALL)
    after = f"{last.ratio:.2f} ({last.low:.2f} to {last.high:.2f}) after {len(rows)} draws"
    title = f"Recognised copies: {model} / re-trained\n{after}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5)
    return figure


def image(figure: Figure) -> str:
    """The figure as it is now, as an ``img``."""
    kept, buffer = figure.canvas, io.BytesIO()
    drawn = kept if isinstance(kept, FigureCanvasAgg) else FigureCanvasAgg(figure)
    # Little compression: the time goes into drawing, and the bytes travel only to a browser.
    drawn.print_png(buffer, pil_kwargs={"compress_level": 1})
    width, height = drawn.get_width_height()
    return (
        f'<img alt="{html.escape(figure.get_suptitle())}" width="{width}" height="{height}" '
        'style="display: block; max-width: 100%; height: auto" '
        f'src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
    )


class Panel:
    """``widget`` is what to display, ``controls`` are its widgets by name, ``view`` is what is to
    be seen, ``shown`` holds the HTML of each picture."""

    def __init__(self, inspector: Inspector) -> None:
        self.inspector, w = inspector, widgets
        taus, models = inspector.run.scenario.taus, list(inspector.models)
        samples = [(f"{k}.", i) for k, i in enumerate(inspector.order.tolist(), start=1)]
        rows = tuple(dict.fromkeys("Re-train" if m in inspector.references else m for m in models))
        draws, most = inspector.run.scenario.draws - 1, max(taus)
        self.controls: dict[str, Any] = {
            "sample": w.SelectionSlider(options=samples),
            "kind": w.Dropdown(options=KINDS, description="perturbation"),
            "tau": w.FloatSlider(
                most, min=0, max=2 * most, step=2 * most / TAUS, readout_format=".3f"
            ),
            "draw": w.IntSlider(0, min=0, max=draws),
            "norm": w.Dropdown(options=NORMS),
            "aim": w.Dropdown(options=AIMS, description="search"),
            "found_on": w.Dropdown(options=models, description="found on"),
            "steps": w.IntSlider(STEPS, min=1, max=4 * STEPS, description="PGD steps"),
            "model": w.Dropdown(options=models, description="ratio of"),
            "rows": w.SelectMultiple(
                options=rows, value=[r for r in FIRST if r in rows], description="models"
            ),
        }
        for name, control in self.controls.items():
            control.description = control.description or name
            control.style.description_width, control.layout.width = "7em", "24em"
        self.shown = {name: w.HTML() for name in ("copy", "answers", "ratio")}
        self.words = w.HTML()
        self.view = inspector.view(samples[0][1])
        self.copy = Copy(self.view, inspector.classes)
        self.answers = Answers(self.view, inspector.classes)
        errors = w.interactive_output(self.show, self.controls)
        ratio, save = (w.Button(description=text) for text in ("running ratio", "save"))
        ratio.on_click(lambda _: self.show_ratio())
        save.on_click(lambda _: self.save())
        in_sight = [self.controls[name] for name in ("sample", "kind", "tau")]
        folded = [c for c in self.controls.values() if c not in in_sight]
        more = w.Accordion([w.VBox(folded)], titles=["Draw, norm, search, steps and models"])
        left = w.VBox([*in_sight, self.shown["copy"], more])
        right = w.VBox([self.shown["answers"], w.HBox([ratio, save]), self.words, errors])
        flow = {"display": "flex", "flex_flow": "row wrap"}
        self.widget = w.Box([left, right, self.shown["ratio"]], layout=flow)

    def show(self, rows: Sequence[str], model: str, **setting: Any) -> None:
        """Show what the controls are set to."""
        name = perturbation_named(setting.pop("kind"), setting.pop("norm"), setting.pop("aim"))
        tau = radius(name, setting.pop("tau"), self.inspector.x[0].numel())
        self.view = self.inspector.view(perturbation=name, tau=round(tau, 6), **setting)
        self.copy.update(self.view)
        if self.answers.rows != [r for r in self.view.names if r in rows]:
            self.answers = Answers(self.view, self.inspector.classes, rows)
        self.answers.update(self.view)
        self.shown["copy"].value = image(self.copy.figure)
        self.shown["answers"].value = image(self.answers.figure)
        self.shown["ratio"].value = self.words.value = ""

    def show_ratio(self) -> None:
        """Draw the running ratio of what is seen."""
        v, model = self.view, self.controls["model"].value
        found_on = self.controls["found_on"].value
        rows = running(
            self.inspector,
            v.sample,
            v.perturbation,
            v.tau,
            model=model,
            found_on=found_on,
            steps=v.steps,
        )
        self.shown["ratio"].value = image(draw_ratio(rows, model))

    def save(self) -> Path:
        """Add the view's numbers, a row, to ``inspect/views.csv`` of the run."""
        path = self.inspector.run.folder / "inspect" / "views.csv"
        row = pd.DataFrame([row_of(self.view, self.inspector.classes)])
        with contextlib.suppress(FileNotFoundError):
            row = pd.concat([pd.read_csv(path, keep_default_na=False), row])
        store.write_frame(path, row.drop_duplicates())
        self.words.value = f"a row added to {html.escape(str(path))}"
        return path


def inspector_page(folder: str | Path, seed: int | None = None) -> widgets.Widget:
    """The panel of the finished run in ``folder`` under a heading; a message if it can't be."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # a log line is no part of a page
            inspector = Inspector(open_existing(folder), seed)
            panel = Panel(inspector)
    except InputError as error:
        return widgets.HTML(
            f'<div role="alert"><h1>No run to inspect</h1>{html.escape(str(error))}</div>'
        )
    about = (
        f"{inspector.run.title}; models of seed {inspector.seed} and {len(inspector.references)} "
        "models re-trained without them. Choose a sample and a small change to it, and see which "
        "models still know its class."
    )
    head = widgets.HTML(f"<h1>{TITLE}</h1><p>{html.escape(about)}</p>")
    return widgets.VBox([head, panel.widget])
