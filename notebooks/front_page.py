"""Draw the picture of the front page from a finished run of digits: figures/front-page.png.

    python notebooks/front_page.py runs/digits

The four forget images of which Original recognises most copies more than re-trained models do on
average, at the run's largest tau; of each the first copy that the run's measurement made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tables import FIGURES

from rurklib import study
from rurklib.study.figures.curves import front_page
from rurklib.study.figures.style import png
from rurklib.study.files import write, write_frame
from rurklib.study.run import open_existing

SHOWN, SHOWN_IMAGES = ("Original", "GD", "RURK", "SalUn"), 4


def draw(folder: Path) -> None:
    run = open_existing(folder)
    law, seed = run.scenario.perturbations[0], run.seeds[0]
    shown, models = study.telling_copies(run, SHOWN_IMAGES), study.load_models(run)
    with torch.inference_mode():
        right = {n: (m(shown.copies).argmax(1) == shown.labels).numpy() for n, m in models.items()}
    retrained = np.stack([right[name] for name in run.names("Re-train")])
    right_of = {m: right[m, seed][None] for m in SHOWN}
    frame = pd.read_csv(run.folder / "residual_knowledge.csv")
    rows = frame[frame.method.isin(SHOWN) & (frame.perturbation == law)]
    table = pd.DataFrame({"forget sample": shown.places, **{m: v[0] for m, v in right_of.items()}})
    table["re-trained"] = retrained.sum(0)
    write_frame(FIGURES / "front-page.csv", table)
    word = {"9": "nine"}.get(str(run.data.classes[int(shown.labels[0])]), "one of the class")
    title = f"Who recognises noisy copies, and residual knowledge over tau: {run.scenario.name}"
    answers = {"re-trained models": retrained, **right_of}
    figure = front_page(shown.images.numpy(), shown.copies.numpy(), answers, rows, title=title,
                        word=word, unit="sd, pixels in [0, 1]")  # fmt: skip
    write(FIGURES / "front-page.png", png(figure, f"{title} (data: front-page.csv)"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    draw(Path(sys.argv[1]))
