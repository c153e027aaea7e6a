"""What looks wrong about a measurement: flags, which warn.

Input that makes a measurement meaningless is refused (``InputError``) before any work: softmax
outputs, NaN, images outside their bounds. What can be measured, but may not mean what one thinks,
is measured and flagged, like the checks of AutoAttack (Croce & Hein 2020, whose authors found most
broken evaluations by them). README.md in this folder has the table: raised if, means, mend.

A verdict believes that the references are what the model would have been. Four ways in which they
aren't can be read off their own answers, before anybody looks at the model:

- *Copies of each other* make a spread of nothing, and certainty out of it. References that answer
  alike on every copy are one reference (:func:`copies`), and counted once.
- *One that saw the forget samples* hides that the model did. It stands out above the others
  (:func:`outstanding`).
- *A broken set-up* (labels in another order, pixels divided by 255 twice) leaves them at or below
  chance on everything (:func:`at_chance`), where no ratio means anything.
- *Right on other shares of the forget than of held-out samples* (:func:`unlike`), though they saw
  neither: one did, or the two are of different kinds and the held-out ones no control.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.perturb import ascent
from rurklib.residual import statistics
from rurklib.residual.counts import Counts
from rurklib.residual.inference import logit_mismatch, whole_float32
from rurklib.residual.statistics import MIN_REFERENCES
from rurklib.residual.verdict import PARTS, combined, values_of_parts
from rurklib.tensors import Bounds, Pair, evaluating, seeded

SOME = 64  # samples that models are tried on
UNDEFINED = 0.2  # share of samples without a ratio that is flagged
DARK = 0.25  # the brightest pixel of all forget samples, of 1
UNMOVED = 0.05  # share of copies that are their sample, or of samples without a gradient
SAME = 1e-3  # answers that differ by less, in units of how they vary, are the same answers
LEVEL = 0.03  # nominal: one is flagged in 3.7 % of sets of good references (README.md)
OF_SHARES = 0.01  # the same for shares of forget and held-out samples, for all of them together

# What each means and how to mend it; what was seen stands before it.
MEANS = {
    "probabilities": ": all outputs are in [0, 1], like a sigmoid's or a rounded softmax's. Hits "
    "are right, margins are not, and gradients fade: give logits (drop the last layer, or take the "
    "log of the odds), or judge by test='hits'",
    "train mode": ": given in train mode and measured in eval mode (put back after). If it is used "
    "in train mode, dropout and batch statistics make another model of it; call .eval() first",
    "stochastic model": ": two evaluations of the same samples differ, so this is one realisation "
    "and the next measurement is another. Switch the randomness off, or put it in the model's "
    "definition: average many evaluations",
    "inputs outside [0, 1]": " and bounds=None. If they are normalised images, tau is in units of "
    "the normalised pixel and copies are not clipped to what an image can be: move the "
    "normalisation into the model and give x in [0, 1] with bounds=(0, 1)",
    "dark images": ", of 1 in all: so noise of some tau is more to them than to other images. Were "
    "pixels of 0 ... 16 saved as bytes, which are divided by 255, or divided twice? Give floats in "
    "[0, 1]. As it should be if the images are that dark",
    "references unlike held-out samples": ". No reference was trained on either, so they should do "
    "as well on both. More on forget samples: was a reference trained on them, or on near copies "
    "of them? Fewer: the forget samples are of another kind (harder, mislabelled, other shares of "
    "the classes), and the held-out ones no control. Check the split",
    "forget samples elsewhere": " of the data forget samples stand again, byte for byte. "
    "References that were trained on those know what was to be forgotten, and hide that the model "
    "does. Take copies out of what references are trained on, or name them as forgotten too",
    "few references": " given. How much re-trained models differ among themselves can't be told "
    "from so few: there is no interval and no verdict. Re-train at least three, better six",
    "references alike": ": they answer alike on every copy, so they are one model, and the copy "
    "is left out. Were files copied, or trainings given one seed?",
    "reference unlike the others": ", more than re-trained models differ: was it trained on them, "
    "or from a model that was? A reference that knows the forget samples hides that the model "
    "does. Re-train it, or leave it out",
    "references at chance": ": no better than guessing, so there is nothing to compare with. Are "
    "labels in another order (fewer are right then than by guessing), pixels normalised otherwise "
    "than in training or divided by 255 twice, colours swapped? As it should be only where a whole "
    "class was forgotten: there, read the column difference",
    "depends on the batch": ": the same samples get other answers in a smaller batch (BatchNorm "
    "without running statistics?), so hits depend on batch_size",
    "undefined ratios": " are recognised by no reference and have no ratio. The mean of ratios is "
    "about the others alone; read the difference and the margin, or (above tau = 0) measure at "
    "smaller tau",
    "perturbations changed nothing": ", so this is no test of a neighbourhood. Zero gradients (a "
    "hard threshold, dead or saturated units)? Use a perturbation that needs none, e.g. gaussian. "
    "Or is tau below what the input's type can show?",
}
NAMES = tuple(MEANS)


@dataclass(frozen=True)
class Flag:
    """A warning: its ``name`` (one of ``NAMES``) and what was seen, what it means, how to mend."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def flag(name: str, seen: str) -> list[Flag]:
    """The flag of that name if there was something to see, which stands before its meaning."""
    return [Flag(name, seen + MEANS[name])] if seen else []


def some(names: Sequence[str], between: str = ", ") -> str:
    """The first four of them, and how many more."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return between.join(names[:4]) + more


def raised(
    models: Mapping[str, nn.Module],
    references: Mapping[str, nn.Module],
    forget: Pair,
    bounds: Bounds,
    flat: Sequence[str],
    counts: Mapping[Any, Counts],
    classes: int,
) -> list[Flag]:
    """All that can be told once everything is counted. ``models`` are all that were asked, the
    references among them, ``flat`` those without a gradient (:func:`without_gradient`)."""
    found = inputs(forget[0], bounds) + outputs(models, forget[0])
    zero = f": more than {100 * UNMOVED:.0f} % of the samples have a gradient of exactly zero"
    found += flag("perturbations changed nothing", some(flat) + zero if flat else "")
    found += few_references(len(references))
    found += of_references(counts, tuple(references), classes)
    return found + of_counts(counts, tuple(references), known=found)


def of_references(
    counts: Mapping[Any, Counts], references: Sequence[Any], classes: int
) -> list[Flag]:
    """Is one of them above all others, or are all at chance? Each on the copies made for it."""
    if not references:
        return []
    own = [counts[r] for r in references]
    hits, draws = np.stack([c.of(r) for c, r in zip(own, references, strict=True)]), own[0].draws
    margins = np.stack([c.margins[c.models.index(r)] for c, r in zip(own, references, strict=True)])
    odd = outstanding(hits, margins, draws)
    seen = f"{references[odd[0]]} knows the forget samples better (p = {odd[1]:.1g})" if odd else ""
    low = at_chance(hits, draws, classes)
    share = hits[:, 0].mean() / draws
    guessed = f"{100 * share:.0f} % of the samples, with {classes} classes" if low else ""
    return flag("reference unlike the others", seen) + flag("references at chance", guessed)


def without_copies(
    counts: Mapping[Any, Counts], models: Sequence[Any], references: Sequence[Any]
) -> tuple[tuple[Any, ...], list[Flag]]:
    """The references that are no copy of another model (at least one), and a flag for the rest."""
    twins: dict[Any, Any] = {}
    for its in {id(c): c for c in counts.values()}.values():
        asked = [m for m in models if m in its.models]
        names = [*asked, *references]
        found = copies(its.margins[[its.models.index(n) for n in names]], len(asked))
        twins |= {names[i]: names[j] for i, j in found.items()}
    kept = tuple(r for r in references if r not in twins) or tuple(references[:1])
    said = [f"{a} and {b}" for a, b in twins.items()]
    return kept, flag("references alike", some(said))


def train_mode(models: Mapping[str, nn.Module]) -> list[Flag]:
    """Models with a layer in train mode. What merely holds layers has no mode that matters: a class
    around a net in eval mode is new, so in train mode, and normalises all the same."""
    training = [
        name
        for name, net in models.items()
        if any(part.training for part in net.modules() if not [*part.children()])
    ]
    return flag("train mode", some(training))


def of_counts(
    counts: Mapping[Any, Counts], references: Sequence[Any], known: Sequence[Flag] = ()
) -> list[Flag]:
    """What the counts of a measurement tell, the first of a kind, unless ``known`` already."""
    found: list[Flag] = []
    for name, its in counts.items():
        on = f" on {its.found_on}" if its.found_on else ""
        flags = unmoved(its.taus, its.moved, f"{its.perturbation}{on}")
        if references and name not in references:
            flags += undefined(its.taus, statistics.undefined_share(its.of_all(references)))
        found += [f for f in flags if f.name not in {k.name for k in (*found, *known)}]
    return found


def outputs(models: Mapping[str, nn.Module], x: Tensor) -> list[Flag]:
    """Models whose outputs look like probabilities, or differ when asked twice."""
    shown, squashed, random, batchy = tensors.as_float(x[:SOME]), [], [], []
    part = shown[: (len(shown) + 1) // 2]
    for name, model in models.items():
        with evaluating(model), torch.no_grad(), seeded(0), whole_float32():
            first, second, fewer = model(shown), model(shown), model(part)
        if like_probabilities(first):
            squashed.append(name)
        if logit_mismatch(first, second):
            random.append(name)
        elif logit_mismatch(first[: len(part)], fewer):
            batchy.append(name)
    flagged = flag("depends on the batch", some(batchy))
    return flagged + flag("probabilities", some(squashed)) + flag("stochastic model", some(random))


def like_probabilities(out: Tensor) -> bool:
    """Whether rows are non-negative and sum to 1 to within 1 %, or all numbers lie in [0, 1]."""
    z = out.double()
    if not bool((z >= 0).all()) or not bool((z > 0).any()):
        return False
    return bool(((z.sum(1) - 1).abs() < 0.01).all()) or bool((z <= 1).all())


def inputs(x: Tensor, bounds: Bounds) -> list[Flag]:
    """Images without bounds that don't lie in [0, 1] (with bounds, that is refused before), and
    those that use less than a quarter of it."""
    low, high = 0.0, 1.0
    if x.ndim == 4 and x.shape[1] in (1, 3):
        low, high = (float(tensors.as_float(end)) for end in (x.min(), x.max()))
    outside = bounds is None and (low < 0 or high > 1)
    seen = f"the forget samples span [{low:.3g}, {high:.3g}]"
    dark = bounds == (0.0, 1.0) and high < DARK
    return flag("inputs outside [0, 1]", seen if outside else "") + flag(
        "dark images", seen if dark else ""
    )


def few_references(k: int) -> list[Flag]:
    """Fewer references than a spread can be told from."""
    return flag("few references", str(k) if k < MIN_REFERENCES else "")


def undefined(taus: Sequence[float], share: np.ndarray) -> list[Flag]:
    """More than a fifth of the samples without a ratio at some tau. ``share`` [tau]."""
    most = int(np.argmax(share))
    seen = f"{100 * share[most]:.0f} % of the samples at tau = {taus[most]:g}"
    return flag("undefined ratios", seen if share[most] > UNDEFINED else "")


def unmoved(taus: Sequence[float], moved: np.ndarray | None, on: str) -> list[Flag]:
    """Copies at tau > 0 that are their sample. ``moved`` [tau]: the share that is not; ``on``: the
    perturbation, and the model that it searched on."""
    if moved is None:
        return []
    worst = [(1 - m, t) for m, t in zip(moved, taus, strict=True) if t > 0]
    share, tau = max(worst, default=(0.0, 0.0))
    seen = f"{100 * share:.0f} % of the copies at tau = {tau:g} ({on}) are the sample itself"
    return flag("perturbations changed nothing", seen if share > UNMOVED else "")


def without_gradient(models: Mapping[str, nn.Module], x: Tensor, y: Tensor) -> list[str]:
    """Models without a gradient to search along, whether or not a random start moves the copies.

    Raises InputError for a model that can't be differentiated at all.
    """
    found, shown, labels = [], tensors.as_float(x[:SOME]), y[:SOME]
    for name, model in models.items():
        try:
            with evaluating(model):
                gradient = ascent(model, shown, labels, targeted=False)
        except RuntimeError as error:
            raise checks.InputError(
                f"{name} gives no gradient with respect to its input "
                f"({str(error).splitlines()[0]}): nothing can be searched on it; use one that "
                "needs none, such as gaussian or uniform-linf"
            ) from error
        if float((gradient == 0).flatten(1).all(1).float().mean()) > UNMOVED:
            found.append(name)
    return found


def references_apart(right: Mapping[Any, tuple[int, int, int, int, float]]) -> list[Flag]:
    """References that recognise forget samples much more or less often than held-out samples of the
    same classes: nobody trained on either, so they should do as well on both. By name: right on how
    many forget samples, of how many, the same of held-out ones, and p (:func:`unlike`)."""
    seen = [
        f"{name} {a} of {n} forget and {b} of {m} held-out ({p:.1g})"
        for name, (a, n, b, m, p) in right.items()
    ]
    text = f"recognised: {some(seen, '; ')}" if seen else ""
    return flag("references unlike held-out samples", text)


# --- are the references what they should be? ------------------------------------------------------


def copies(values: np.ndarray, models: int = 0) -> dict[int, int]:
    """Which of the models answer like an earlier one: {place: place of that one}.

    ``values`` [model, tau, sample]: margins. Two are the same if their root mean square difference
    is below a thousandth of their standard deviation over taus and samples: models of other seeds
    differ by some percent and more, copies by rounding. The first ``models`` are no references: two
    of those may be one.
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


def outstanding(hits: np.ndarray, margins: np.ndarray, draws: int) -> tuple[int, float] | None:
    """The place of the reference that knows more than the others could, and its p; or None.

    ``hits`` and ``margins`` [reference, tau, sample], each on the copies that were made for it.
    Each is held against the rest by the rule of the verdict, one-sided (upwards, since that is what
    hides residual knowledge) and at ``LEVEL`` for all of them together. Needs four.
    """
    k = len(hits)
    if k <= statistics.MIN_REFERENCES:
        return None
    least = statistics.least_spread(hits, draws)
    values = values_of_parts(hits, margins, draws)
    floors = {"hits": float(least.mean()), PARTS[-1]: float(least[0])}
    ps = []
    for i in range(k):
        part = []
        for name, value in values.items():
            others = np.delete(value, i)
            below = (others - others.mean()) * (k - 1) / (k - 2)
            _, sd = statistics.spread(below, floors.get(name, 0.0))
            part.append(float(special.stdtr(k - 2, (others.mean() - value[i]) / sd)))
        ps.append(combined(part))
    worst = int(np.nanargmin(ps)) if np.isfinite(ps).any() else 0
    return (worst, ps[worst]) if ps[worst] * k < LEVEL else None


def at_chance(hits: np.ndarray, draws: int, classes: int) -> bool:
    """Whether references [k, tau, sample] are right no more often than by guessing, at the first
    tau: in one of ``classes`` cases or fewer, on average."""
    return bool((hits / draws)[:, 0].mean() <= 1 / classes)


def unlike(right: Mapping[Any, tuple[int, int]], of: tuple[int, int]) -> dict[Any, float]:
    """The references that are right on another share of the forget than of the held-out samples of
    the same classes, and p: Fisher's exact test, at ``OF_SHARES`` for all of them together.

    ``right``: on how many forget and held-out samples each is right; ``of``: how many there are.
    """
    from scipy import stats

    ps = {
        name: float(stats.fisher_exact([[a, of[0] - a], [b, of[1] - b]]).pvalue)
        for name, (a, b) in right.items()
    }
    return {name: p for name, p in ps.items() if p < OF_SHARES / len(ps)}
