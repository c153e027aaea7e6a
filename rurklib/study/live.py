"""The live page: one HTML file with the answers of a run's models, without server or network.

Each model is asked here about each stored noise on each picture; the page draws what was answered
(``templates/live.*``). So any net works, and no layer and no statistic is
written a second time.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rurklib import checks
from rurklib.checks import InputError
from rurklib.data import ANY
from rurklib.residual import statistics
from rurklib.residual.statistics import MIN_REFERENCES
from rurklib.study.figures.style import style
from rurklib.study.inspector import seed_of
from rurklib.study.models import load_models
from rurklib.study.run import ModelId, Run
from rurklib.tensors import as_float, generator, logits
from rurklib.unlearn.contract import METHODS

HERE = Path(__file__).parent / "templates"
REFERENCES, PICTURES, DRAWS = 4, 45, 60  # re-trained models, pictures and noises, at most
SIZES = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5)  # taus of the page, in the study's largest
TELLING = slice(4, None)  # of these, where the steps look for what tells most
QUANTUM, UNDEFINED = 32, 65535  # noise is stored in 32nds, a ratio in thousandths
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NOTES = {
    "Original": "learned from it",
    "Re-train": "never saw it",
    "GD": "only trained on, without it",
    "RURK": "as GD; also made to miss noisy copies",
    "SalUn": "was taught wrong answers for it",
}
CHOSEN = {"digits": "These nines were chosen from about twenty such requests because it shows."}


def page(
    run: Run, methods: Sequence[str] = ("GD", "RURK", "SalUn"), *, seed: int | None = None
) -> str:
    """The page's HTML: Original and ``methods`` of one experiment seed (None: the run's first),
    beside the run's first four re-trained models (three if it has no more).

    Raises InputError for data that aren't images in [0, 1] of one class, methods or a seed that the
    run has not, or fewer than three re-trained models.
    """
    for method in methods:
        checks.one_of("method of this run", method, run.scenario.methods)
    references, seed = run.names("Re-train")[:REFERENCES], seed_of(run, seed)
    label, data = run.split.forget_class, run.data
    if data.bounds != (0.0, 1.0) or data.train[0].ndim != 4 or label == ANY:
        raise InputError(
            f"{run.scenario.name}: the page is about images in [0, 1] of one class; expected a run "
            "that forgets such, e.g. runs/digits"
        )
    if len(references) < MIN_REFERENCES:
        raise InputError(
            f"{run.folder} has {len(references)} re-trained models: a band needs {MIN_REFERENCES}"
        )
    others = [ModelId(method, seed) for method in ("Original", *dict.fromkeys(methods))]
    names = [others[0], *references, *others[1:]]
    nets, x = load_models(run, names), run.pair("forget")[0]
    x, taus = as_float(x[:PICTURES]).cpu(), [round(max(run.scenario.taus) * s, 3) for s in SIZES]
    stream = generator(0)
    noise = [torch.randn(x.shape[1:], generator=stream).mul(QUANTUM).round() for _ in range(DRAWS)]
    z = torch.stack(noise).clamp(-127, 127)
    answers, shares = asked([nets[name].cpu() for name in names], x, taus, z / QUANTUM)
    right = answers == label
    own, again = [0, *range(1 + len(references), len(names))], range(1, 1 + len(references))
    order, steps = telling(right.sum(2).transpose(2, 1, 0), own, again)
    right, word = right[order], in_words(data.classes[label])
    content = {
        "shape": list(x.shape[1:]),
        "images": packed(x[order].mul(255).round(), "u1"),
        "noise": packed(z, "i1"),
        "answers": packed(answers[order], "u1"),
        "shares": packed(100 * shares[order], "u1"),
        "ratios": packed(ratios(right, again), "<u2"),
        "label": label,
        "classes": [escape(name) for name in data.classes],  # they become parts of the page
        "taus": taus,
        "draws": DRAWS,
        "models": [_model(name, k) for k, name in enumerate(names)],
        "steps": steps,
        "word": escape(word),
        "few": in_words(str(len(references))),
    }
    marks = {
        "word": content["word"],
        "few": content["few"],
        "run": f"{escape(run.title)}; models of seed {seed}",
        "chosen": CHOSEN.get(run.scenario.name, ""),
        "data": json.dumps(content, separators=(",", ":")),
    }
    html = (HERE / "live.html").read_text(encoding="utf-8")
    for name in ("live.css", "live.js"):
        html = html.replace(f"{{{{{name}}}}}", (HERE / name).read_text(encoding="utf-8"))
    for mark, text in marks.items():
        html = html.replace(f"{{{{{mark}}}}}", str(text))
    return html


def asked(
    nets: Sequence[torch.nn.Module], x: torch.Tensor, taus: Sequence[float], z: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """What nets make of every x [n, ...] + tau z [draw, ...], clipped to [0, 1]: the answered class
    and its probability, [n, tau, draw, net] each."""
    copies = [(x[:, None] + tau * z).clamp(0, 1).flatten(0, 1) for tau in taus]
    p = torch.stack([torch.stack([logits(n, c).softmax(1) for c in copies]) for n in nets], -1)
    most, answer = p.max(2)  # of [tau, n * draw, class, net]
    shape = (len(taus), len(x), len(z), len(nets))
    found = (part.view(shape).transpose(0, 1).numpy() for part in (answer, most))
    return next(found), next(found)


def ratios(right: np.ndarray, references: Sequence[int]) -> np.ndarray:
    """Residual knowledge after each draw in thousandths, [n + 1, tau, draw, model]: of each picture
    and, last, of all together; a reference's against the others. ``right`` [n, tau, draw, model].
    """
    hits = np.concatenate([right, right.sum(0, keepdims=True)]).cumsum(2).astype(float)
    others = [[k for k in references if k != m] for m in range(right.shape[-1])]
    mean = np.stack([hits[..., rest].mean(-1) for rest in others], -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(mean > 0, 1000 * hits / mean, UNDEFINED)
    return found.round().clip(0, UNDEFINED)


def telling(
    hits: np.ndarray, models: Sequence[int], references: Sequence[int]
) -> tuple[np.ndarray, list[dict[str, int]]]:
    """What the page shows first: the order of pictures, and for two steps the model that each is
    about, the picture's place in that order, and the place of tau. ``hits`` [model, tau, picture];
    Original is model 0.

    Step 1 takes the picture and tau where Original is furthest above the re-trained models' band,
    of those pictures that they all recognise without noise; by that distance pictures are in order,
    the others last. Step 2 is about the method that recognises least: at the study's largest tau,
    the picture where it is furthest below the band and Original isn't below it.
    """
    some = {m: hits[m][TELLING] for m in (*models, *references)}
    others = {m: np.stack([some[k] for k in references if k != m]) for m in some}
    ratio = {m: statistics.per_sample(some[m], others[m]) for m in some}
    band = np.stack([ratio[k] for k in references])
    least = min(models[1:], key=lambda m: some[m].sum())

    def best(distance: np.ndarray, allowed: Any) -> np.ndarray:
        return np.where(allowed & ~np.isnan(distance), distance, -np.inf)

    above = best(ratio[0] - band.max(0), (hits[list(references), 0] > 0).all(0))
    below = best(band.min(0) - ratio[least], ratio[0] >= band.min(0))[0]
    at, first = int(above.max(1).argmax()), TELLING.start
    order = np.argsort(-above[at], kind="stable")
    return order, [
        {"model": 0, "picture": 0, "tau": first + at},
        {"model": least, "picture": int(below[order].argmax()), "tau": first},
    ]


def in_words(number: str) -> str:
    """A digit as a word, "9" as "nine"; anything else as it is."""
    return NUMBERS[int(number)] if number.isdecimal() and int(number) < len(NUMBERS) else number


def packed(numbers: Any, kind: str) -> str:
    """An array of a type as base64."""
    return base64.b64encode(np.asarray(numbers).astype(kind).tobytes()).decode()


def _model(name: ModelId, place: int) -> Mapping[str, Any]:
    retrained, color = name.method == "Re-train", style(name.method)["color"]
    if retrained or name.method == "Original":  # black and grey are the visitor's scheme's
        color = "var(--grey)" if retrained else "var(--ink)"
    note = NOTES.get(name.method) or escape((METHODS[name.method].__doc__ or "").splitlines()[0])
    shown = f"Re-trained {place}" if retrained else name.method
    return {"name": shown, "retrained": retrained, "note": note, "color": color}
