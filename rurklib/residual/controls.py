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
from rurklib.residual.verdict import (
    MARGIN,
    RESIDUAL,
    SCALED,
    STATISTICS,
    Verdict,
    combined,
    least,
    values,
)
from rurklib.tensors import generator

HELD_OUT, RETAINED = "held out", "retained"
ENOUGH = 200  # samples of a control; or as many as the forget set has, if those are more
UNITS = {
    MARGIN: "logits",
    SCALED: "standard deviations over samples",
}  # of shifts; log-odds for the others


def checked(
    controls: Mapping[str, Any] | None, x: Tensor, bounds: tensors.Bounds, classes: int
) -> dict[str, tensors.Pair]:
    """Controls as pairs of tensors like the forget samples ``x``, none of which is among them."""
    if not isinstance(controls or {}, Mapping):
        raise checks.InputError(
            f"controls is a {type(controls).__name__}: expected a mapping of names to pairs "
            f"(x, y), e.g. {{{HELD_OUT!r}: (x, y)}}"
        )
    pairs = {}
    for name, data in (controls or {}).items():
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


Answers = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def compared(
    verdict: Verdict, held_out: Verdict, forget: Answers, beside: Answers, draws: int
) -> str:
    """What held-out samples say of a finding on the forget set: one of three things.

    ``forget`` and ``beside`` are what the model and the references answer on the forget and on the
    held-out samples: hits and margins of the model [tau, sample], and of k references. Whether
    forget samples stand out *more* is asked by the same rule, of each statistic's difference
    between the two groups, from which a shift of both, as robustness makes it, cancels.
    """
    own = [values(hits, margins, draws) for hits, margins, _, _ in (forget, beside)]
    others = [values(hits, margins, draws) for _, _, hits, margins in (forget, beside)]
    floors = [least(hits, draws) for _, _, hits, _ in (forget, beside)]
    ps = []
    for name in STATISTICS:
        apart, null = (group[0][name] - group[1][name] for group in (own, others))
        floor = math.hypot(floors[0][name], floors[1][name])
        ps.append(float(statistics.p_value(apart, null, floor)))
    p, leading = combined(ps), verdict.leading
    a, b = verdict.shifts[leading], held_out.shifts.get(leading, math.nan)
    unit = UNITS.get(leading, "log-odds")
    numbers = f"({a:+.3g} against {b:+.3g} {unit}, p of the difference {p:.2g})"
    if p < verdict.level and (a > b) == (verdict.finding == RESIDUAL):
        return f"Held-out samples show less of it {numbers}."
    if held_out.finding == verdict.finding:
        return f"Held-out samples show it as well {numbers}: it is no memory of these samples."
    return f"Held-out samples cannot tell {numbers}."
