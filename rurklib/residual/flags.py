"""What looks wrong about a measurement: flags that warn and never change a number.

Input that makes a measurement meaningless is refused (``InputError``) before any work: softmax
outputs, NaN, images outside their bounds. What can be measured, but may not mean what one thinks,
is measured and flagged, like the checks of AutoAttack (Croce & Hein 2020, whose authors found most
broken evaluations by them). README.md in this folder has the table: raised if, means, mend.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks, samples
from rurklib.model_state import Watch, evaluating
from rurklib.models.logits import logits
from rurklib.perturb.gradient import ascent
from rurklib.residual import estimates
from rurklib.residual.counts import Counts
from rurklib.residual.inference import logit_mismatch
from rurklib.residual.uncertainty import MIN_REFERENCES
from rurklib.rng import seeded
from rurklib.samples import Bounds, Pair

SOME = 64  # samples that models are tried on
UNDEFINED = 0.2  # share of samples without a ratio that is flagged
UNMOVED = 0.05  # share of copies that are their sample, or of samples without a gradient
ALPHA = 0.01  # level of the test of the references, for all of them together

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
    "references unlike held-out samples": ". No reference was trained on either, so they should do "
    "as well on both. More on forget samples: was a reference trained on them, or on near copies "
    "of them? Fewer: the forget samples are of another kind (harder, mislabelled), and the "
    "held-out ones no control. Check the split",
    "few references": " given. How much re-trained models differ among themselves can't be told "
    "from so few: there is no interval and no verdict. Re-train at least three, better six",
    "undefined ratios": " are recognised by no reference and have no ratio. The mean of ratios is "
    "about the others alone; read the difference and the margin, or measure at smaller tau",
    "perturbations changed nothing": ", so this is no test of a neighbourhood. Zero gradients (a "
    "hard threshold, dead or saturated units)? Use a perturbation that needs none, e.g. gaussian. "
    "Or is tau below what the input's type can show?",
    "buffers moved": ": asking it in eval mode changed its buffers (BatchNorm statistics?), so its "
    "answers depend on what it was asked before; they were put back after. Make its layers heed "
    "eval mode",
}
NAMES = tuple(MEANS)


@dataclass(frozen=True)
class Flag:
    """A warning: its ``name`` (one of ``NAMES``) and what was seen, what it means, how to mend."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def _flag(name: str, seen: str) -> list[Flag]:
    return [Flag(name, seen + MEANS[name])] if seen else []


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return between.join(names[:4]) + more


def raised(
    models: Mapping[str, nn.Module],
    references: Mapping[str, nn.Module],
    forget: Pair,
    bounds: Bounds,
    flat: Sequence[str],
    counts: Mapping[Any, Counts],
    held_out: Pair | None,
) -> list[Flag]:
    """All that can be told once everything is counted. ``models`` are all that were asked, the
    references among them, ``flat`` those without a gradient (:func:`without_gradient`)."""
    found = inputs(forget[0], bounds) + outputs(models, forget[0])
    zero = f": more than {100 * UNMOVED:.0f} % of the samples have a gradient of exactly zero"
    found += _flag("perturbations changed nothing", _some(flat) + zero if flat else "")
    if held_out:
        found += references_apart(references, forget, held_out)
    found += few_references(len(references))
    return found + of_counts(counts, tuple(references), known=found)


def of_state(watch: Watch) -> list[Flag]:
    """Models that came in train mode, and those whose buffers changed while they were asked."""
    return _flag("train mode", _some(watch.training)) + _flag("buffers moved", _some(watch.changed))


def of_counts(
    counts: Mapping[Any, Counts], references: Sequence[Any], known: Sequence[Flag] = ()
) -> list[Flag]:
    """What the counts of a measurement tell, the first of a kind, unless ``known`` already."""
    found: list[Flag] = []
    for name, its in counts.items():
        on = f" on {its.found_on}" if its.found_on else ""
        flags = unmoved(its.taus, its.moved, f"{its.perturbation}{on}")
        if name not in references:
            flags += undefined(its.taus, estimates.undefined_share(its.of_all(references)))
        found += [f for f in flags if f.name not in {k.name for k in (*found, *known)}]
    return found


def outputs(models: Mapping[str, nn.Module], x: Tensor) -> list[Flag]:
    """Models whose outputs look like probabilities, or differ when asked twice."""
    shown, squashed, random = samples.as_float(x[:SOME]), [], []
    for name, model in models.items():
        with evaluating(model), torch.no_grad(), seeded(0):
            first, second = model(shown), model(shown)
        if like_probabilities(first):
            squashed.append(name)
        if logit_mismatch(first, second):
            random.append(name)
    return _flag("probabilities", _some(squashed)) + _flag("stochastic model", _some(random))


def like_probabilities(out: Tensor) -> bool:
    """Whether rows are non-negative and sum to 1 to within 1 %, or all numbers lie in [0, 1]."""
    z = out.double()
    if not bool((z >= 0).all()) or not bool((z > 0).any()):
        return False
    return bool(((z.sum(1) - 1).abs() < 0.01).all()) or bool((z <= 1).all())


def inputs(x: Tensor, bounds: Bounds) -> list[Flag]:
    """Images without bounds that don't lie in [0, 1]; with bounds, that is refused before."""
    image = x.ndim == 4 and x.shape[1] in (1, 3) and x.is_floating_point()
    low, high = (float(x.min()), float(x.max())) if image else (0.0, 1.0)
    outside = bounds is None and (low < 0 or high > 1)
    seen = f"the forget samples span [{low:.3g}, {high:.3g}]"
    return _flag("inputs outside [0, 1]", seen if outside else "")


def few_references(k: int) -> list[Flag]:
    """Fewer references than a spread can be told from."""
    return _flag("few references", str(k) if k < MIN_REFERENCES else "")


def undefined(taus: Sequence[float], share: np.ndarray) -> list[Flag]:
    """More than a fifth of the samples without a ratio at some tau. ``share`` [tau]."""
    most = int(np.argmax(share))
    seen = f"{100 * share[most]:.0f} % of the samples at tau = {taus[most]:g}"
    return _flag("undefined ratios", seen if share[most] > UNDEFINED else "")


def unmoved(taus: Sequence[float], moved: np.ndarray | None, on: str) -> list[Flag]:
    """Copies at tau > 0 that are their sample. ``moved`` [tau]: the share that is not; ``on``: the
    perturbation, and the model that it searched on."""
    if moved is None:
        return []
    worst = [(1 - m, t) for m, t in zip(moved, taus, strict=True) if t > 0]
    share, tau = max(worst, default=(0.0, 0.0))
    seen = f"{100 * share:.0f} % of the copies at tau = {tau:g} ({on}) are the sample itself"
    return _flag("perturbations changed nothing", seen if share > UNMOVED else "")


def without_gradient(models: Mapping[str, nn.Module], x: Tensor, y: Tensor) -> list[str]:
    """Models without a gradient to search along, whether or not a random start moves the copies.

    Raises InputError for a model that can't be differentiated at all.
    """
    found, shown, labels = [], samples.as_float(x[:SOME]), y[:SOME]
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


def references_apart(
    references: Mapping[str, nn.Module], forget: Pair, held_out: Pair
) -> list[Flag]:
    """References that recognise unperturbed forget samples much more or less often than held-out
    samples of the same classes: nobody trained on either, so they should do as well on both.

    Fisher's exact test of two binomial shares, at 1 % for all references together.
    """
    from scipy import stats

    same = torch.isin(held_out[1], forget[1])
    if not bool(same.any()):
        return []
    other, n, said = (held_out[0][same], held_out[1][same]), len(forget[1]), []
    for name, model in references.items():
        a, b = (int((logits(model, x).argmax(1) == y).sum()) for x, y in (forget, other))
        p = stats.fisher_exact([[a, n - a], [b, len(other[1]) - b]]).pvalue
        if p < ALPHA / len(references):
            said.append(f"{name} {a} of {n} forget and {b} of {len(other[1])} held-out ({p:.1g})")
    seen = f"recognised: {_some(said, '; ')}" if said else ""
    return _flag("references unlike held-out samples", seen)
