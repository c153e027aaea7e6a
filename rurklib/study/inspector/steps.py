"""Three guided steps, on the live page and in the inspector alike: what they are called, and for
the inspector what each sets and what the study counted there."""

from typing import Any, NamedTuple

import numpy as np

from rurklib.data.dataset import ANY
from rurklib.study.inspector.choices import STEPS
from rurklib.study.inspector.view import Inspector
from rurklib.study.run import Run

NAMES = ("Original", "Re‑trained", "Too hard")
HEADINGS = (
    "Before forgetting, Original knows this {word}",
    "Models that never saw it know it less",
    "Push too hard, and it shows as well",
)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Step(NamedTuple):
    """What a step is called, what the inspector's panel is set to, and what there is to see."""

    name: str
    heading: str
    settings: dict[str, Any]
    text: str


def word_of(run: Run) -> str:
    """What a forgotten sample is called, as "nine"; "sample" if they are of several classes."""
    label = run.split.forget_class
    word = "sample" if label == ANY else run.data.classes[label]
    return NUMBERS[int(word)] if word.isdecimal() and int(word) < len(NUMBERS) else word


def steps(inspector: Inspector) -> list[Step]:
    """The three steps, from the run's own counts of noisy copies, all radii above 0.

    The first two are about the sample of which Original knows most beyond re-trained models, the
    third about :func:`pushed`; they are left out where Original knows no more of any, or nothing
    is below re-trained models. None at all where the study has no method, or counted copies of
    another kind than what is then shown.
    """
    s, first = inspector.run.scenario, int(inspector.order[0])
    if not (methods := _methods(inspector)) or s.perturbations[0] != "gaussian":
        return []
    hits = {name: inspector.hits(name)[0] for name in inspector.models}
    copies = s.draws * (sum(tau > 0 for tau in s.taus) or 1)
    others = np.stack([hits[name] for name in inspector.references])
    keeper = max(methods, key=lambda m: hits[m][first])
    least, hard, below = pushed(inspector)
    view = {"kind": "Gaussian", "tau": float(s.taus[-1])}
    near, far = (f"{others[:, i].min()} to {others[:, i].max()}" for i in (first, hard))
    told = (
        f"Over all taus, of the study's {copies} copies of it, Original recognises "
        f"{hits['Original'][first]}. Move draw: each is another copy, and bars say how sure each "
        "model is of it.",
        f"Of the same copies they recognise {near}; {keeper}, which was made to forget it, "
        f"{hits[keeper][first]}. In the running ratio 1 is as if it never saw it.",
        f"Another {word_of(inspector.run)}. {least} was made to forget it and recognises "
        f"{hits[least][hard]} of {copies} copies, where models that never saw it recognise {far}: "
        "to fail where a stranger wouldn't gives it away too.",
    )
    least_right, others_right = recognised(inspector, hard, least, float(s.taus[-1]))
    draw = int((others_right.mean(0) - least_right).argmax())  # that the most others recognise
    shown = ((first, "Original", 0), (first, keeper, 0), (hard, least, draw))
    found = [
        Step(name, heading.format(word=word_of(inspector.run)),
             {"sample": sample, "model": model, "draw": draw, **view}, text)
        for name, heading, (sample, model, draw), text in zip(NAMES, HEADINGS, shown, told,
                                                              strict=True)
    ]  # fmt: skip
    known = hits["Original"][first] > others[:, first].mean()
    return found[:2] * bool(known) + found[2:] * (below > 0)


def pushed(inspector: Inspector) -> tuple[str, int, int]:
    """The method that recognises least, the sample where it is furthest below all re-trained
    models, of those where Original isn't, and by how many copies (0 or less: nowhere)."""
    hits = {name: inspector.hits(name)[0] for name in inspector.models}
    others = np.min([hits[name] for name in inspector.references], axis=0)
    least = min(_methods(inspector), key=lambda m: hits[m].sum())
    below = np.where(hits["Original"] >= others, others - hits[least], np.iinfo(int).min)
    return least, int(below.argmax()), int(below.max())


def _methods(inspector: Inspector) -> list[str]:
    return [m for m in inspector.models if m != "Original" and m not in inspector.references]


def recognised(
    inspector: Inspector, sample: int, model: str, tau: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which of all Gaussian copies of a sample a model recognises, bool [draw], and which each of
    the re-trained models, [k, draw]."""
    draws, lead = range(inspector.run.scenario.draws), inspector.lead
    copies = inspector.copies(sample, "gaussian", tau, draws, lead, STEPS)
    said = inspector.logits(copies, (model, *inspector.references)).argmax(-1).cpu().numpy()
    own, *others = said == int(inspector.y[sample])
    return own, np.stack(others)
