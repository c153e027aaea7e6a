"""Controls: is it memory, or is the model merely smoother or surer?

A model that is more robust than the references recognises noisy copies of *every* sample more
often, and its forget ratio is above 1 with nothing remembered. So the same is measured beside:

- ``"held out"``: samples of the forgotten classes that nobody trained on. Robustness raises them
  as well; memory of the forget samples does not.
- ``"retained"``: samples that both the model and the references trained on. An unlearning method
  that damaged the model shows here.
- a model re-trained on noisy copies too (``rurklib.study.smoothed``), to see smoothness alone.

A control is measured exactly like the forget set: same perturbation, radii, draws and seed, its own
references' spread, its own prediction intervals. It never changes the forget set's numbers.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rurklib import checks, tensors
from rurklib.residual import statistics
from rurklib.residual.verdict import JOINT, PARTS, PartStatistic, Verdict, combined
from rurklib.tensors import generator

HELD_OUT, RETAINED = "held out", "retained"
ENOUGH = 200  # samples of a control; or as many as the forget set has, if those are more


def checked(
    controls: Mapping[str, Any] | None, x: Tensor, bounds: tensors.Bounds, classes: int
) -> dict[str, tensors.Pair]:
    """Controls as pairs of tensors like the forget samples ``x``, none of which is among them."""
    if controls is None:
        return {}
    if not isinstance(controls, Mapping):
        raise checks.InputError(
            f"controls is a {type(controls).__name__}: expected a mapping of names to pairs "
            f"(x, y), e.g. {{{HELD_OUT!r}: (x, y)}}"
        )
    pairs = {}
    for name, data in controls.items():
        what = f"control {name!r}"
        pairs[name] = cx, cy = checks.pair(data, what, bounds)
        checks.labels(cy, len(cx), classes, f"{what} y")
        checks.disjoint(*tensors.of_one_kind(x, cx), ("forget", what))
    return pairs


def sampled(pair: tensors.Pair, forgotten: int, seed: int) -> tensors.Pair:
    """A control (x, y) of no more samples than are needed beside ``forgotten`` ones: drawn at
    random from a larger one, which is more work and tells no more."""
    return drawn(pair, max(forgotten, ENOUGH), seed)


def drawn(pair: tensors.Pair, most: int, seed: int) -> tensors.Pair:
    """At most ``most`` samples (x, y), drawn at random if there are more."""
    if len(pair[0]) <= most:
        return pair
    keep = torch.randperm(len(pair[0]), generator=generator(seed, 0, 1))[:most].to(pair[0].device)
    return pair[0][keep], pair[1][keep]


def compared(
    verdict: Verdict,
    held_out: Verdict,
    forget_statistics: Mapping[str, PartStatistic],
    held_out_statistics: Mapping[str, PartStatistic],
) -> str:
    """What held-out samples say of a finding on the forget set, as a sentence.

    The statistics are what :func:`rurklib.residual.verdict.part_statistics` gives for either.
    Whether forget samples stand out *more* than held-out ones is asked by the same rule, of the
    difference of the two deviations, from which a shift of both, as robustness makes it, cancels.
    """
    both = [n for n in PARTS if n in forget_statistics and n in held_out_statistics]
    ps = {}
    for name in both:
        forget, other = forget_statistics[name], held_out_statistics[name]
        least = math.hypot(forget[2], other[2])
        ps[name] = float(statistics.p_value(forget[0] - other[0], forget[1] - other[1], least))
    shown = verdict.leading
    if shown not in ps:  # a single sample has no scale
        return ""
    p = combined(list(ps.values())) if verdict.test == JOINT else ps[shown]
    pair = forget_statistics[shown], held_out_statistics[shown]
    a, b = (float(s[0] - np.nan_to_num(statistics.spread(s[1], s[2])[0])) for s in pair)
    margin = {"margin": " logits", "scaled margin": " scaled logits"}.get(shown)
    apart = f"{b:+.3g}{margin} against {a:+.3g}"
    if margin is None:
        apart = f"{math.exp(b):.3g} times the odds against {math.exp(a):.3g} times"
    numbers = f"{apart}, p of the difference {p:.2g}"
    found = held_out.finding == verdict.finding
    half = a * b > 0 and abs(b) >= abs(a) / 2
    if (found and half and p >= verdict.level) or (abs(b) >= abs(a) and a * b > 0):
        what = "robustness, confidence or knowledge of their class"
        return (
            f"Held-out samples, that nobody trained on, stand as {'high' if a > 0 else 'low'} "
            f"({numbers}): not {'memory' if a > 0 else 'the forgetting'} of these samples, but "
            f"{what if a > 0 else 'a class that was lost, or damage'}."
        )
    if found or (a * b > 0 and abs(b) >= abs(a) / 4):
        return f"Held-out samples show a part of it ({numbers})."
    if p < verdict.level:
        return f"Held-out samples do not show it ({numbers})."
    return f"Whether held-out samples show it as well can't be told ({numbers})."
