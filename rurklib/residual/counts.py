"""How often each model recognises perturbed copies of each sample: integers, and mean margins.

``hits[name][tau, sample]`` out of ``draws`` is all that the ratio needs, and the mean logit margin
from the same forward passes is its continuous companion. Everything slow happens here, once: each
batch of copies is made one time and shown to all models, in the fast form of
:mod:`rurklib.residual.inference`. What is held in memory at once is a batch of one block of
samples, whatever the number of draws, samples or radii.

Copies that are found on a model by its gradient are found on each model anew. What a model answers
on its own copies is compared with what references answer on theirs; and for the paper's ratio
(Eq. 4) the references are asked about the model's copies as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, SkipValidation
from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb import PERTURBATIONS, InPieces
from rurklib.residual.inference import Forward, accelerate, laid_out
from rurklib.tensors import Bounds, as_float, evaluating, generator, logit_margin
from rurklib.train import Precision

WRITES = "writes into its input: expected a net that leaves it; replace x -= mean by x = x - mean"
NO_NUMBERS = (
    "answered NaN or infinity on copies: expected finite logits; mend it, or take smaller taus"
)
BLOCK = 256  # samples that share a random stream; fixed: results don't depend on batch_size


@checks.values
class Measurement:
    """The perturbed copies that residual knowledge is measured on, and how they are counted.

    Attributes:
        taus: sizes of perturbations >= 0, in units of the input: a standard deviation for Gaussian
            noise, a radius for a ball. Begin with 0 and go up: the first one alone is a statistic.
        perturbation: a name in ``rurklib.perturb.PERTURBATIONS``.
        draws: copies per sample and tau (the paper's c = 100).
        seed: decides the copies.
        bounds: the lowest and the highest value of an input, or None.
        batch_size: most samples that a model is shown at once; None: what suits it.
        precision: "float32", or "bfloat16" or "auto", which screen in bfloat16
            (:mod:`rurklib.residual.inference`).
    """

    taus: Annotated[
        Sequence[Annotated[float, Field(ge=0)]],
        BeforeValidator(lambda taus: tuple(np.atleast_1d(taus).tolist())),
        Field(min_length=1),
    ]
    perturbation: str = "gaussian"
    draws: Annotated[int, Field(ge=1)] = 100
    seed: Annotated[int, Field(ge=0)] = 0
    bounds: SkipValidation[Bounds] = (0.0, 1.0)  # checked with the samples
    batch_size: Annotated[int, Field(ge=1)] | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        checks.one_of("perturbation", self.perturbation, PERTURBATIONS)

    @property
    def gradient_based(self) -> bool:
        """Whether copies are found on a model, so that which one matters."""
        return PERTURBATIONS[self.perturbation].gradient_based


@dataclass(frozen=True)
class Counts:
    """What models answered on perturbed copies of n samples, by the model's name.

    ``hits[name]`` int64 [tau, n], each 0 ... draws: copies recognised, of those made for that model
    (the same for all, unless they are found by its gradient). ``margins[name]`` float64 [tau, n]:
    the margin on them, mean over draws: the log-odds of y, its logit less the log-sum-exp of the
    others'. ``on[name][reference]``: a reference's hits on the copies found on ``name``; empty
    where copies are the same for all.
    """

    options: Measurement
    hits: Mapping[Any, np.ndarray]
    margins: Mapping[Any, np.ndarray]
    on: Mapping[Any, Mapping[Any, np.ndarray]] = field(default_factory=dict)

    def __or__(self, more: Counts) -> Counts:
        """These and the counts of more models, of the same measurement."""
        hits, margins = {**self.hits, **more.hits}, {**self.margins, **more.margins}
        return Counts(self.options, hits, margins, {**self.on, **more.on})


def count(
    nets: Mapping[Any, nn.Module],
    x: Tensor,
    y: Tensor,
    options: Measurement,
    *,
    beside: Mapping[Any, nn.Module] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Counts:
    """Count, for every model, tau and sample, how many copies are recognised as y.

    The stream of draw i is seeded by (seed, block of 256 samples, i) whatever tau is, so a curve
    over tau uses common random numbers and is smooth. Neither batch_size nor the models that are
    measured together change a copy. ``beside``: the references, which under a gradient-based
    perturbation are also shown the copies found on every net that isn't one of them. ``progress``
    is report, every 256 samples, which part of the work is done, 0 to 1.

    Shapes: x [n, ...] inside ``options.bounds``, y int64 [n] -> hits [tau, n] by name.
    """
    beside, progress = beside or {}, progress or (lambda share: None)
    everyone = {**nets, **beside} if options.gradient_based else nets
    example = as_float(x[:64]).clone()  # a copy: the trial must not write into the caller's

    def made_ready(net: nn.Module, gradients: bool = False) -> Forward:
        form = accelerate(net, example, gradients=gradients, precision=options.precision)
        return replace(form, batch_size=options.batch_size or form.batch_size)

    ready = {name: made_ready(net) for name, net in everyone.items()}
    counts = Counts(options, {}, {})
    with evaluating(*everyone.values()):
        if not options.gradient_based:
            unused = next(iter(nets.values()))
            return Counts(options, *_tally(unused, ready, x, y, options, progress))
        for i, (name, net) in enumerate(nets.items()):
            others = {} if name in beside else {r: ready[r] for r in beside}
            source = made_ready(net, gradients=True)
            assert isinstance(source.call, nn.Module)
            model = InPieces(source.call, source.batch_size)

            def report(share: float, before: int = i) -> None:
                progress((before + share) / len(nets))

            hits, margins = _tally(model, {name: ready[name], **others}, x, y, options, report)
            own = {name: hits.pop(name)}
            counts |= Counts(options, own, {name: margins[name]}, {name: hits} if hits else {})
    return counts


def _tally(
    model: nn.Module,
    ready: Mapping[Any, Forward],
    x: Tensor,
    y: Tensor,
    options: Measurement,
    progress: Callable[[float], None],
) -> tuple[dict[Any, np.ndarray], dict[Any, np.ndarray]]:
    """Hits and mean margins of models on one set of copies, those found on ``model`` if any."""
    rule, shape = PERTURBATIONS[options.perturbation], (len(options.taus), len(x))
    hits = {name: np.zeros(shape, np.int64) for name in ready}
    margins = {name: np.zeros(shape) for name in ready}
    size = max(form.batch_size for form in ready.values())
    for t, tau in enumerate(options.taus):
        # At tau = 0 and without chance in the perturbation, one copy stands for all draws.
        draws = options.draws if tau > 0 and rule.random else 1
        for first in range(0, len(x), BLOCK):
            block = slice(first, first + BLOCK)
            xb, yb = laid_out(as_float(x[block])), y[block]
            seeds = [(options.seed, first // BLOCK, i) for i in range(draws)]
            at_once = max(1, size // len(xb))  # draws
            for some in (seeds[i : i + at_once] for i in range(0, draws, at_once)):
                streams = [generator(*s, device=x.device) for s in some]
                copies = xb.clone()
                if tau > 0:  # [draw and sample, ...], the first draw's copies first
                    copies = laid_out(rule.sample(model, xb, yb, tau, streams, options.bounds))
                version = copies._version  # PyTorch's own count of writes into them
                for name, net in ready.items():
                    z = net.of_many(copies).unflatten(0, (-1, len(xb)))  # [draw, n, class]
                    if copies._version != version:
                        raise checks.InputError(f"{name} {WRITES}")
                    if not bool(z.isfinite().all()):
                        raise checks.InputError(f"{name} {NO_NUMBERS}")
                    hits[name][t, block] += (z.argmax(-1) == yb).sum(0).cpu().numpy()
                    margins[name][t, block] += logit_margin(z, yb).sum(0).cpu().numpy()
            progress((t + min(1.0, (first + BLOCK) / len(x))) / len(options.taus))
        for name in ready:
            hits[name][t] *= options.draws // draws
            margins[name][t] /= draws
    return hits, margins
