"""What looks wrong about a measurement: flags, which warn.

Input that makes a measurement meaningless is refused (``InputError``) before any work: softmax
outputs, NaN, images outside their bounds. What can be measured, but may not mean what one thinks,
is measured and flagged, like the checks of AutoAttack (Croce & Hein 2020, whose authors found most
broken evaluations by them). README.md in this folder has the table: raised if, means, mend.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.perturb.gradient import ascent
from rurklib.residual import estimates
from rurklib.residual.counts import Counts
from rurklib.residual.flag import Flag, flag, some
from rurklib.residual.inference import logit_mismatch, whole_float32
from rurklib.residual.references import at_chance, copies, outstanding
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.uncertainty import MIN_REFERENCES
from rurklib.tensors import Bounds, Pair, evaluating, seeded

SOME = 64  # samples that models are tried on
UNDEFINED = 0.2  # share of samples without a ratio that is flagged
DARK = 0.25  # the brightest pixel of all forget samples, of 1
UNMOVED = 0.05  # share of copies that are their sample, or of samples without a gradient


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
            flags += undefined(its.taus, estimates.undefined_share(its.of_all(references)))
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


def references_apart(result: ResidualKnowledge) -> list[Flag]:
    """References that recognise forget samples much more or less often than held-out samples of the
    same classes: nobody trained on either, so they should do as well on both."""
    seen = [
        "{} {} of {} forget and {} of {} held-out ({:.1g})".format(name, *result.right_of(name), p)
        for name, p in result.unlike_held_out.items()
    ]
    text = f"recognised: {some(seen, '; ')}" if seen else ""
    return flag("references unlike held-out samples", text)
