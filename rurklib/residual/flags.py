"""What looks wrong about a measurement: flags, which warn.

Input that makes a measurement meaningless is refused (``InputError``) before any work: softmax
outputs, NaN, images outside their bounds. What can be measured, but may not mean what one thinks,
is measured and flagged, like the checks of AutoAttack (Croce & Hein 2020, whose authors found most
broken evaluations by them). README.md in this folder has the table: raised if, means, mend.

A verdict believes that the references are what the model would have been. Four ways in which they
aren't can be read off their own answers, before anybody looks at the model:

- *Duplicates* make a spread of nothing, and certainty out of it. References that give the same
  answers are one reference (:func:`duplicates`), counted once; one that answers like the model in
  question is that model, and left out.
- *One that saw the forget samples* hides that the model did. By the rule of the verdict it stands
  out above the others; one that was trained otherwise may stand out below.
- *A broken set-up* (labels in another order, pixels divided by 255 twice) leaves them, or one of
  them, at or below chance, where no ratio means anything.
- *Right on other shares of the forget than of held-out samples* (:func:`unlike`), though they saw
  neither: one did, or the two are of different kinds and the held-out ones no control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import tensors
from rurklib.residual.inference import logit_mismatch, whole_float32
from rurklib.residual.statistics import MIN_REFERENCES
from rurklib.tensors import Bounds, evaluating, seeded

if TYPE_CHECKING:
    from rurklib.residual.result import ResidualKnowledge

SOME = 64  # samples that models are tried on
DARK = 0.25  # the brightest pixel of all forget samples, of 1
SAME = 1e-3  # answers that differ by less, in units of how they vary, are the same answers
LEVEL = 0.03  # of the rule, divided by the number of references that are judged by the others
OF_SHARES = 0.01  # the same for shares of forget and held-out samples

# What each means and how to mend it; what was seen stands before it.
MEANS = {
    "probabilities": ": all outputs are in [0, 1], like a sigmoid's or a rounded softmax's. Hits "
    "are right, margins are not, and gradients fade: return logits",
    "train mode": ": given in train mode and measured in eval mode. In use it is another model, by "
    "dropout and batch statistics: call .eval() first",
    "random answers": ": two evaluations of the same samples differ, so the next measurement does "
    "too. Switch the randomness off, or average many evaluations inside the model",
    "depends on the batch": ": the same samples get other answers in a smaller batch (BatchNorm "
    "without running statistics?), so hits depend on batch_size",
    "dark images": ", of 1 in all: were pixels of 0 ... 16 saved as bytes, or divided by 255 "
    "twice? Give floats in [0, 1]",
    "references unlike held-out samples": ". No reference was trained on either: was one trained "
    "on forget samples, or are the held-out ones of another kind and no control? Check the split",
    "forget samples elsewhere": " of the data forget samples stand again, byte for byte. "
    "References that were trained on those hide that the model knows them: take copies out, or "
    "name them as forgotten too",
    "references alike": ": they give the same answers, so they are one model, and the second is "
    "left out. Were files copied, or trainings given one seed?",
    "reference unlike the others": ", farther from the others than re-trained models are: was it "
    "trained on the forget samples, or by another recipe? Re-train it, or leave it out",
    "references at chance": ": no better than guessing. Are labels in another order, pixels "
    "normalised otherwise than in training or divided by 255 twice? As it should be only where a "
    "whole class was forgotten: there, read the column difference",
    "mixed": ": significant statistics point to different sides, so the finding's side is that of "
    "the least p alone. Read the p of each statistic",
}
NAMES = tuple(MEANS)


@dataclass(frozen=True)
class Flag:
    """A warning: its ``name`` (one of ``NAMES``) and what was seen, what it means, how to mend."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def flag(name: str, seen: str | Sequence[str]) -> list[Flag]:
    """The flag of that name if there was something to see, which stands before its meaning; of
    several things the first four."""
    if not isinstance(seen, str):
        more = f" and {len(seen) - 4} more" if len(seen) > 4 else ""
        seen = ", ".join(seen[:4]) + more
    return [Flag(name, seen + MEANS[name])] if seen else []


def of_models(nets: Mapping[Any, nn.Module], x: Tensor, bounds: Bounds) -> list[Flag]:
    """What the models and the forget samples x [n, ...] tell before anything is counted."""
    training = [
        str(name)
        for name, net in nets.items()
        # What merely holds layers has no mode that matters.
        if any(part.training for part in net.modules() if not [*part.children()])
    ]
    squashed, random, batchy, shown = [], [], [], tensors.as_float(x[:SOME])
    half = shown[: (len(shown) + 1) // 2]
    for name, net in nets.items():
        with evaluating(net), torch.no_grad(), seeded(0), whole_float32():
            first, second, fewer = net(shown), net(shown), net(half)
        if like_probabilities(first):
            squashed.append(str(name))
        if logit_mismatch(first, second):
            random.append(str(name))
        elif logit_mismatch(first[: len(half)], fewer):
            batchy.append(str(name))
    found = flag("train mode", training) + flag("probabilities", squashed)
    found += flag("random answers", random) + flag("depends on the batch", batchy)
    images = x.ndim == 4 and x.shape[1] in (1, 3) and bounds == (0.0, 1.0)
    brightest = float(tensors.as_float(x.max()))
    dark = f"the forget samples reach {brightest:.3g}" if images and brightest < DARK else ""
    return found + flag("dark images", dark)


def like_probabilities(out: Tensor) -> bool:
    """Whether rows are non-negative and sum to 1 to within 1 %, or all numbers lie in [0, 1]."""
    z = out.double()
    if not bool((z >= 0).all()) or not bool((z > 0).any()):
        return False
    return bool(((z.sum(1) - 1).abs() < 0.01).all()) or bool((z <= 1).all())


def of_result(result: ResidualKnowledge, classes: int) -> list[Flag]:
    """What the answers of references and models tell."""
    references, draws = result.references, result.counts.options.draws
    found, k = [], len(references)
    if k > MIN_REFERENCES:
        ps = {r: result.judge(r).p for r in references}
        odd = min(references, key=lambda r: np.nan_to_num(ps[r], nan=np.inf))
        seen = f"{odd} (p = {ps[odd]:.1g})" if ps[odd] * k < LEVEL else ""
        found += flag("reference unlike the others", seen)
    right = {r: result.counts.hits[r][0].mean() / draws for r in references}
    low = [f"{r} is right on {100 * p:.0f} %" for r, p in right.items() if p <= 1 / classes]
    found += flag("references at chance", low)
    shares = {r: (*result.right_of(r), p) for r, p in result.unlike_held_out.items()}
    apart = [
        f"{r} is right on {a} of {n} forget and {b} of {m} held-out samples (p = {p:.1g})"
        for r, (a, n, b, m, p) in shares.items()
    ]
    found += flag("references unlike held-out samples", apart)
    return found + flag("mixed", [str(m) for m in result.models if result.judge(m).mixed])


def without_duplicates(result: ResidualKnowledge) -> tuple[tuple[Any, ...], list[Flag]]:
    """The references that are no other model again (at least one), and a flag for the rest."""
    names = [*result.models, *result.references]
    found = duplicates(np.stack([result.counts.margins[n] for n in names]), len(result.models))
    twins = {names[i]: names[j] for i, j in found.items()}
    kept = tuple(r for r in result.references if r not in twins) or result.references[:1]
    return kept, flag("references alike", [f"{a} and {b}" for a, b in twins.items()])


def duplicates(values: np.ndarray, models: int = 0) -> dict[int, int]:
    """Which of the models answer like an earlier one: {place: place of that one}.

    ``values`` [model, tau, sample]: margins. Two are the same if their root mean square difference
    is below a thousandth of their standard deviation over taus and samples: models of other seeds
    differ by some percent and more, duplicates by rounding. The first ``models`` are no
    references: two of those may be one.
    """
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    scale = SAME * np.maximum(flat.std(1), SAME * np.abs(flat).max(1))
    middle, found = flat.mean(1), dict[int, int]()
    for i in range(models, len(flat)):
        near = np.flatnonzero(np.abs(middle[:i] - middle[i]) <= scale[:i])  # few: the rest is slow
        same = (np.sqrt(((flat[near] - flat[i]) ** 2).mean(1)) <= scale[near]).nonzero()[0]
        if first := [int(j) for j in near[same] if j not in found]:
            found[i] = first[0]
    return found


def unlike(right: Mapping[Any, tuple[int, int, int, int]]) -> dict[Any, float]:
    """The references that are right on another share of the forget than of the held-out samples of
    the same classes, and p: Fisher's exact test, at ``OF_SHARES`` for all of them together.

    ``right``: on how many forget samples each is right, of how many, and the same of held-out ones.
    """
    from scipy import stats

    ps = {
        name: float(stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue)
        for name, (a, n, b, m) in right.items()
    }
    return {name: p for name, p in ps.items() if p < OF_SHARES / len(ps)}
