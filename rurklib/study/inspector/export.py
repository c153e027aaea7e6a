"""A view kept: its pictures as one PNG, its numbers as a row of a CSV, in a run's ``inspect/``."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from rurklib.study import files
from rurklib.study.inspector.view import View

TABLE = "views.csv"


def export(
    folder: Path, view: View, pictures: Sequence[bytes], classes: Sequence[str]
) -> tuple[Path, Path]:
    """Write ``pictures`` (PNGs, put side by side) and the view's row; returns (PNG, CSV).

    ``folder`` is the run's. The same view exported again replaces its picture and its row.
    """
    picture, table = folder / "inspect" / f"{name_of(view)}.png", folder / "inspect" / TABLE
    files.write(picture, side_by_side(pictures))
    row = pd.DataFrame([{"file": picture.name, **row_of(view, classes)}])
    with FileLock(table.parent / f".{TABLE}.lock"):
        if table.exists():
            kept = pd.read_csv(table, keep_default_na=False)
            row = pd.concat([kept[kept.file != picture.name], row], ignore_index=True)
        files.write_frame(table, row)
    return picture, table


def name_of(view: View) -> str:
    """A file's name that tells the view and differs where the copy does."""
    parts = [f"sample{view.sample}", view.perturbation, f"tau{view.tau:g}", f"draw{view.draw}"]
    if view.found_on:
        parts += [f"on-{view.found_on}", f"steps{view.steps}"]
    return re.sub(r"[^\w.+-]", "-", "_".join(parts))


def row_of(view: View, classes: Sequence[str]) -> dict[str, Any]:
    """What was looked at, how far the copy is, and each model's probability of y and answer.

    Re-train's are the mean, least and largest probability, and how many of the references say y.
    """
    y = view.truth
    facts = {"sample": view.sample, "class": classes[y], "law": view.perturbation}
    facts |= {name: getattr(view, name) for name in ("tau", "draw", "found_on", "steps")}
    facts |= {name.lower().replace("-", ""): v for name, v in view.distances.items()}
    again = view.row("Re-train")[:, y]
    facts |= {"retrain_mean": again.mean(), "retrain_low": again.min(), "retrain_high": again.max()}
    said = dict(zip(view.models, view.answers, strict=True))
    facts["retrain_recognise"] = sum(bool(said[r] == y) for r in view.references)
    facts["references"] = len(view.references)
    for name in view.names:
        if name != "Re-train":
            facts[f"{name}_probability"] = view.row(name)[0, y]
            facts[f"{name}_says"] = classes[said[name]]
    return {k: v.item() if hasattr(v, "item") else v for k, v in facts.items()}


def side_by_side(pictures: Sequence[bytes], gap: int = 8) -> bytes:
    """PNGs in columns no higher than the highest of them, as one PNG on white."""
    from PIL import Image

    images = [Image.open(io.BytesIO(p)).convert("RGB") for p in pictures]
    highest = max(i.height for i in images)
    places, x, y, wide = [], 0, 0, 0
    for image in images:
        if y and y + image.height > highest:
            x, y, wide = x + wide + gap, 0, 0
        places.append((x, y))
        y, wide = y + image.height + gap, max(wide, image.width)
    sheet = Image.new("RGB", (x + wide, highest), "white")
    for image, place in zip(images, places, strict=True):
        sheet.paste(image, place)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
