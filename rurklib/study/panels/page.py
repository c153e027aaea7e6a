"""The inspector as a page: a heading above the panel, or a message where there is no run."""

import contextlib
import html
import io
from pathlib import Path

import ipywidgets

from rurklib.checks import InputError
from rurklib.study.inspector.choices import TITLE
from rurklib.study.inspector.view import Inspector
from rurklib.study.panels.inspector import InspectorPanel
from rurklib.study.run import open_existing


def inspector_page(folder: str | Path, seed: int | None = None) -> ipywidgets.Widget:
    """The panel of the finished run in ``folder``, under a heading; a message if it can't be."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # a log line is no part of a page
            inspector = Inspector(open_existing(folder), seed)
            body = InspectorPanel(inspector).widget
    except (InputError, OSError) as error:
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
