"""Draw the picture of the front page from a finished run of digits: figures/front-page.png.

    python notebooks/front_page.py runs/digits

The four forgotten images of which Original recognises most copies more than re-trained models do on
average, at the run's largest tau; of each the first copy that the run's measurement made.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tables import FIGURES

from rurklib import study
from rurklib.study.figures.front_page import front_page
from rurklib.study.figures.style import png
from rurklib.study.files import write, write_frame
from rurklib.study.run import open_existing

SHOWN, SHOWN_IMAGES = ("Original", "GD", "RURK", "SalUn"), 4


def told(findings: pd.Series) -> str:
    """The verdict, or each of them and in how many seeds."""
    counts = findings.value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{what} in {n}" for what, n in counts.items()) + f" of {len(findings)} seeds"


def draw(folder: Path) -> None:
    run = open_existing(folder)
    law, tau, seed = run.scenario.perturbations[0], run.scenario.taus[-1], run.seeds[0]
    shown, models = study.telling_copies(run, SHOWN_IMAGES), study.load_models(run)
    with torch.inference_mode():
        right = {n: (m(shown.copies).argmax(1) == shown.labels).numpy() for n, m in models.items()}
    retrained = np.stack([right[name] for name in run.names("Re-train")])
    said = {m: right[m, seed][None] for m in SHOWN}
    frame = pd.read_csv(run.folder / "residual_knowledge.csv")
    rows = frame[frame.method.isin(SHOWN) & (frame.perturbation == law)]
    table = pd.DataFrame({"forget sample": shown.places, **{m: v[0] for m, v in said.items()}})
    table["re-trained"] = retrained.sum(0)
    write_frame(FIGURES / "front-page.csv", table)
    word = {"9": "nine"}.get(str(run.data.classes[int(shown.labels[0])]), "one of the class")
    found = pd.read_csv(run.folder / "verdicts.csv").groupby("method", sort=False).finding
    ends = rows[rows.tau == tau].groupby("method", sort=False).mean(numeric_only=True)
    said_of = {m: told(found.get_group(m)) for m in SHOWN}
    whose = {what: [m for m in SHOWN if said_of[m] == what] for what in said_of.values()}
    title = ";  ".join(f"{' and '.join(names)}: {what}" for what, names in whose.items())
    title = textwrap.fill(title, 100)
    figure = front_page(shown.images.numpy(), shown.copies.numpy(),
                        {"re-trained models": retrained, **said}, rows, title=title,
                        word=word, unit="sd, pixels in [0, 1]")  # fmt: skip
    known = {m: f"{v.sum()} of {v.size}" for m, v in said.items()}
    alt = (
        f"Left: {SHOWN_IMAGES} forgotten nines, a noisy copy of each, and who still recognises it: "
        + ", ".join(f"{m} {n}" for m, n in known.items())
        + f"; of {len(retrained)} re-trained models {', '.join(map(str, retrained.sum(0)))}. "
        + f"Right: residual knowledge at tau {tau:g}: "
        + ", ".join(f"{m} {v:.2f}" for m, v in ends.ratio_of_means.items())
        + ", over the grey band of re-trained models."
    )
    write(FIGURES / "front-page.png", png(figure, alt))
    print(alt)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    draw(Path(sys.argv[1]))
