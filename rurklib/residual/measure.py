"""``residual_knowledge(model, references, x, y, taus=...)``: the measurement, whole.

r_tau = Pr[m(x') = y] / Pr[a(x') = y] (paper, Eq. 4) with m the model in question, a a re-trained
reference and x' a perturbed copy of a forget sample, the same for both. One number means little
without knowing how much two re-trained models differ among themselves, so several references are
asked for: the ratio is taken against their mean, and the *retrain band* says what "no residual
knowledge" looks like: the range of the same ratio for each reference held out against the others.
A prediction interval says where one more re-trained model would fall. ``.verdict`` sums the curve
up. README.md in this folder has the statistics.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.perturb import PERTURBATIONS
from rurklib.residual import controls as control
from rurklib.residual.counts import Measurement, count
from rurklib.residual.flags import of_models, of_result, without_duplicates
from rurklib.residual.result import ResidualKnowledge
from rurklib.train import Precision


def residual_knowledge(
    model: nn.Module | Mapping[str, nn.Module],
    references: Sequence[nn.Module] | Mapping[str, nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    taus: Sequence[float],
    perturbation: str = "gaussian",
    draws: int = 100,
    seed: int = 0,
    bounds: tensors.Bounds = (0.0, 1.0),
    batch_size: int | None = None,
    precision: Precision = "float32",
    controls: Mapping[str, tensors.Pair] | None = None,
    progress: Callable[[float], None] | None = None,
) -> ResidualKnowledge:
    """Measure residual knowledge of ``model`` about the forget samples (x, y).

    Args:
        model: the unlearned model, or several by name, all measured on the same copies.
        references: models re-trained without the forget samples (different seeds), better six:
            with fewer than three there is no prediction interval and no verdict. None at all
            (``[]``) leaves the comparison with held-out samples, ``result.exchange``, and needs
            them among the ``controls``.
        x: forget samples [n, ...], uint8 or float inside ``bounds``; the models take floats.
        y: their labels, int64 [n].
        taus: sizes of the perturbation, in units of the input (0.03 of [0, 1] is about 8 of 255
            grey levels): 0, and four to six values over which references begin to fail.
        perturbation: a name in ``rurklib.perturb.PERTURBATIONS``: gaussian, uniform-l2, pgd ...
            Here ``fgsm`` and ``pgd`` move copies *towards* y, as the paper does, and
            ``fgsm-untargeted`` and ``pgd-untargeted`` away from it; the functions
            ``rurklib.fgsm`` and ``rurklib.pgd`` move away unless ``targeted=True``. Each model is
            judged on the copies found on itself (the paper's protocol).
        draws: copies per sample and tau (the paper's c = 100). With n samples that are recognised
            with probability p, the copies' noise moves the ratio by a standard deviation of about
            sqrt((1 - p) / (p n draws)): for p = 0.7 and n = 50 by 0.009 with 100 draws, 0.017 with
            30, 0.03 with 10. Re-trained models usually differ by more than that.
        seed: decides the copies.
        batch_size: most samples that a model is shown at once; None: what suits it.
        precision: "float32"; "bfloat16", or "auto" on a processor that has it, screens copies in
            bfloat16 and asks those in doubt again (:mod:`rurklib.residual.inference`).
        controls: other samples by name, ``{"held out": (x, y), "retained": (x, y)}``, measured the
            same way beside (:mod:`rurklib.residual.controls`). Held-out samples of the forgotten
            classes, that nobody trained on, tell memory from robustness.
        progress: told now and then which part of the copies is counted, 0 to 1.

    Returns an object with integer ``.counts``, a tidy ``.frame`` and a ``.verdict`` (one, or one by
    name; ``print`` it), ``.controls`` like the frame, and ``.flags``, a list of what looks wrong
    (empty: clean; README.md says which of them change the outcome). Models are left as found.
    Raises InputError, before anything is measured, for inputs or models that can't be used.

    >>> import torch, rurklib
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    >>> x, y = torch.rand(5, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1])
    >>> result = rurklib.residual_knowledge(net, [net, net], x, y, taus=[0.0, 0.1], draws=10)
    >>> bool((result.frame.ratio_of_means.dropna() == 1).all())  # a model against itself
    True
    """
    single = isinstance(model, nn.Module)
    models, references = named(model, references)
    nets = {**models, **references}
    if not references and control.HELD_OUT not in (controls or {}):
        raise checks.InputError(
            "references is empty: expected at least one re-trained model, or held-out samples, "
            f"which need none: controls={{{control.HELD_OUT!r}: (x, y)}}"
        )
    options = Measurement(
        taus=taus,
        perturbation=perturbation,
        draws=draws,
        seed=seed,
        bounds=bounds,
        batch_size=batch_size,
        precision=precision,
    )
    PERTURBATIONS[perturbation].check(x, max(options.taus), bounds)
    checks.labels(y, len(x))
    sizes = {name: checks.logits(net, x, y, name) for name, net in nets.items()}
    if len(set(sizes.values())) > 1:
        raise checks.InputError(f"models differ in their number of classes: {sizes}")
    classes = next(iter(sizes.values()))
    groups = {"forget": (x, y), **control.checked(controls, x, bounds, classes)}

    flags = of_models(nets, x, bounds)
    results, done, total = {}, 0, sum(len(y) for _, y in groups.values())
    for what, (x, y) in groups.items():

        def report(share: float, before: int = done, size: int = len(y)) -> None:
            if progress is not None:
                progress((before + share * size) / total)

        counts = count(nets, x, y, options, beside=references, progress=report)
        labels = y.cpu().numpy()
        results[what] = ResidualKnowledge(counts, (*models,), (*references,), labels, single)
        done += len(y)
    kept, alike = without_duplicates(results["forget"])
    results = {what: replace(result, references=kept) for what, result in results.items()}
    result = replace(results.pop("forget"), control_results=results)
    return replace(result, flags=[*alike, *flags, *of_result(result, classes)])


def named(
    model: nn.Module | Mapping[str, nn.Module],
    references: Sequence[nn.Module] | Mapping[str, nn.Module],
) -> tuple[Mapping[str, nn.Module], Mapping[str, nn.Module]]:
    """Models and references by name, all of them modules and no name used twice."""
    models = {"model": model} if isinstance(model, nn.Module) else model
    if isinstance(references, nn.Module):
        raise checks.InputError("references is one model: expected a list of them, e.g. [model]")
    if not isinstance(references, Mapping):
        references = {f"reference-{k}": r for k, r in enumerate(references)}
    if not isinstance(models, Mapping) or not models:
        raise checks.InputError("model: expected a torch.nn.Module or a mapping of names to models")
    if both := set(models) & set(references):
        raise checks.InputError(f"names used for a model and a reference: {sorted(both)}")
    for name, net in {**models, **references}.items():
        if not isinstance(net, nn.Module):
            raise checks.InputError(f"{name} is a {type(net).__name__}: expected a torch.nn.Module")
    return models, references
