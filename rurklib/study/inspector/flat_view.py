"""What the picture of the plane shows in one state: arrays for the figure, the finding in words.

The panel and its static twin both draw what :func:`view` returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rurklib import checks
from rurklib.study.inspector.flat import Flat, answers
from rurklib.study.inspector.flat_ball import NORMS, Ball, around

NAMES = ("Original", "Re-train", "GD", "RURK")  # the maps, in order


@dataclass(frozen=True)
class State:
    """The settings of the picture: which forget sample, its ball, RURK's setting, and which of the
    re-trained models stands for them in the maps."""

    sample: int = 0
    tau: float = 0.05
    norm: str = "l2"
    lam: float = 0.1
    steps: int = 40
    reference: int = 0


@dataclass(frozen=True)
class View:
    """``drawn``: keyword arguments of ``RegionsFigure.update``; ``said``: the picture in words."""

    ball: Ball
    drawn: Mapping[str, Any]
    said: str


def view(flat: Flat, state: State) -> View:
    """Look up the regions of a state and look into its ball. Raises InputError for a state that
    ``flat`` has no answer for."""
    n, k = len(flat.case.forget[1]), len(flat.references)
    checks.one_of("norm", state.norm, NORMS)
    known = {
        "sample": range(n),
        "reference": range(k),
        "lam": flat.lambdas,
        "steps": flat.steps,
    }
    for name, values in known.items():
        if getattr(state, name) not in values:
            raise checks.InputError(
                f"{name} = {getattr(state, name)!r}: expected one of {', '.join(map(str, values))}"
            )
    at, step = flat.lambdas.index(state.lam), flat.steps.index(state.steps)
    ball = around(
        flat, state.sample, state.tau, state.norm, state.lam, state.steps, state.reference
    )
    regions = [flat.original, flat.references[state.reference], flat.gd, flat.rurk[at, step]]
    said = answers(flat, state.lam, state.steps, state.reference)
    title = _title(flat, state, ball)
    drawn = {
        "regions": regions,
        "answers": [said[name] for name in NAMES],
        "sample": state.sample,
        "points": ball.points,
        "by_model": ball.by_model,
        "by_reference": ball.by_reference,
        "outline": ball.outline,
        "path": ball.path,
        "references": ball.references,
        "step": step,
        "levels": {"Original": ball.original, "GD": ball.gd},
        "title": title,
    }
    only = float((ball.by_model & ~ball.by_reference).mean())
    other = float((ball.by_reference & ~ball.by_model).mean())
    apart = float((regions[3] != regions[1]).mean())
    disagree = int((said["RURK"] != said["Re-train"]).sum())
    words = (
        f"{title.replace(chr(10), ' ')}. GD recognises {_percent(ball.gd)}. Of the ball, "
        f"{_percent(only)} are recognised by RURK and not by re-trained model "
        f"{state.reference + 1}, {_percent(other)} the other way round. The two disagree "
        f"on {100 * apart:.1f} % of the plane and on {disagree} of {n} forget samples."
    )
    return View(ball, drawn, words)


def _title(flat: Flat, state: State, ball: Ball) -> str:
    species = flat.case.data.classes[int(flat.case.forget[1][state.sample])]
    low, high = ball.references.min(), ball.references.max()
    range_ = _percent(low) if low == high else f"{100 * low:.0f} ... {_percent(high)}"
    return (
        f"Ball of tau {state.tau:g} ({state.norm}) around forget sample {state.sample + 1} "
        f"({species}): Original recognises {_percent(ball.original)},\n"
        f"RURK (lambda {state.lam:g}, {state.steps} steps) {_percent(ball.share)}, "
        f"{len(ball.references)} re-trained models {range_}: RURK is {ball.standing} their range"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
