"""An audit of models that were made elsewhere: do they still know what they should have forgotten?

Thin over :func:`rurklib.residual_knowledge`: the forget set and its controls are measured, and the
verdict, the numbers, a figure and a page go to a folder that appears whole or not at all. ``rurk
audit`` does the same from files (:mod:`rurklib.study.audit_files`).

If preprocessing differs from training, every model passes: models that guess look the same. So
right answers are counted first, and where references are at chance the audit stops. Models that
always give the forget samples' class are right on all of them, so other classes are tried too.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.residual.controls import HELD_OUT, RETAINED, drawn, sampled
from rurklib.residual.counts import Measurement
from rurklib.residual.exchange import ALIKE, LESS_SURE, SURER, Exchange
from rurklib.residual.flags import Flag, flag
from rurklib.residual.measure import named, residual_knowledge
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import LEVEL, NO_VERDICT, NONE, OVER, RESIDUAL, Verdict
from rurklib.study import report, store
from rurklib.study.run import needs
from rurklib.tensors import Bounds, Pair, logits

TAUS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08)
# Whose tau is in units of the input, and no norm of a whole perturbation.
IN_UNITS = ("gaussian", "uniform-linf", "fgsm", "fgsm-untargeted", "pgd", "pgd-untargeted")
MOST = 2000  # samples of all classes that models are asked once, without noise
FORGOTTEN, ALL = "forgotten", ", all classes"  # groups of samples
CHANCE = "references at chance"

COUNT = "Without noise the model is right on {model} of {of} forget samples{references}."
REFERENCES = ", and models that were re-trained without these on {} to {}"
VERDICTS = {
    RESIDUAL: "Residual knowledge (p = {p:.2g}): the model recognises noisy copies of the forget "
    "samples more surely than re-trained models do.",
    OVER: "Over-forgotten (p = {p:.2g}): the model recognises noisy copies of the forget samples "
    "less surely than re-trained models do, which gives these samples away as well.",
    NONE: "None detected (p = {p:.2g}): on noisy copies of the forget samples nothing tells the "
    "model from re-trained ones.",
    NO_VERDICT: "No verdict: {note}.",
}
# How held-out samples of the same classes are treated (None: there are none to compare with).
TREATED: dict[str | None, str] = {
    SURER: "It is surer of forget than of held-out samples (p = {q:.2g}): ",
    ALIKE: "It treats forget and held-out samples alike (p = {q:.2g}): ",
    LESS_SURE: "It is less sure of forget than of held-out samples (p = {q:.2g}): ",
    None: "It was not compared on held-out samples of the same classes: ",
}
AGAIN = "it remembers them, so unlearn again, and audit the new model with another seed."
MILDER = "unlearn with fewer steps or less weight on the forget samples."
RECIPE = "it differs everywhere, so check that the references have its recipe, and audit again."
DONE = "you are done if an effect below {effect:.2g} logits, which this audit can miss, is small."
MORE = "audit again with more references, and if that stays, "
NEXT: dict[tuple[str, str | None], str] = {
    (RESIDUAL, SURER): AGAIN,
    (RESIDUAL, ALIKE): "unlearn again if robustness or knowledge of the class was to go as well.",
    (RESIDUAL, LESS_SURE): RECIPE,
    (RESIDUAL, None): "add some, which tell memory from robustness, before you unlearn again.",
    (OVER, SURER): RECIPE,
    (OVER, ALIKE): MILDER,
    (OVER, LESS_SURE): MILDER,
    (OVER, None): MILDER,
    (NONE, SURER): MORE + "count it as memory.",
    (NONE, ALIKE): DONE,
    (NONE, LESS_SURE): MORE + "unlearn less strongly.",
    (NONE, None): DONE,
    (NO_VERDICT, SURER): AGAIN,
    (NO_VERDICT, ALIKE): "train references, three or better six, if you need a verdict.",
    (NO_VERDICT, LESS_SURE): MILDER,
    (NO_VERDICT, None): "add some, or train references, three or better six.",
}


@dataclass(frozen=True, repr=False)
class Audited(ResidualKnowledge):
    """A measurement whose verdict leaves held-out samples of another kind aside.

    ``right``: how many samples each model is right on without noise, by group: {"of": n, "model":
    hits, a reference's name: hits}. ``summary``: what audit.json holds, the ``sentences`` of the
    page among it.
    """

    right: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)

    def judge(self, name: Any, *, level: float = LEVEL) -> Verdict:
        """As :meth:`ResidualKnowledge.judge`."""
        controls = {} if self.unlike_held_out else self.control_results
        return ResidualKnowledge.judge(replace(self, control_results=controls), name, level=level)


def audit(
    model: nn.Module,
    references: Sequence[nn.Module] | Mapping[str, nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    held_out: Pair | None = None,
    retained: Pair | None = None,
    out: str | Path | None = None,
    taus: Sequence[float] = TAUS,
    perturbation: str = "gaussian",
    draws: int = 100,
    seed: int = 0,
    bounds: Bounds = (0.0, 1.0),
    expect_chance: bool = False,
    title: str = "Audit of a model",
    hashes: Mapping[str, str] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    indices: Sequence[int] | None = None,
    flags: Sequence[Flag] = (),
    **options: Any,
) -> Audited:
    """Measure what ``model`` still knows of the forget samples (x, y), and write it down.

    Args:
        model: the unlearned model: floats (uint8 images / 255) in, logits out.
        references: models re-trained without the forget samples; three or more for a verdict. With
            none, forget samples are compared with held-out ones alone.
        x, y: the forget samples [n, ...] and their labels [n].
        held_out: samples (x, y) that neither trained on; those of the forgotten classes are used.
        retained: samples (x, y) that both trained on. A large control is sampled by ``seed``.
        out: folder for audit.json, residual_knowledge.csv, samples.csv, controls.csv, curves.png
            and report.html; new or empty. None: nothing is written.
        hashes, preprocessing: checksums of the inputs, and what was put into the nets, by name;
            written down as they are.
        indices: where in your data each of the forget samples is [n], for samples.csv.
        flags: what looks wrong already, to stand among the measurement's.
        taus, perturbation, draws, seed, bounds, options: as :func:`rurklib.residual_knowledge`.
        expect_chance: references may be at chance, as where a whole class was forgotten.

    Raises InputError before anything is measured, and leaves no folder then; also for references
    at chance, unless that is expected.
    """
    folder = None if out is None else check_free(Path(out))
    checks.inputs(x, bounds)
    checks.labels(y, len(x))
    largest = max(Measurement(taus, perturbation, draws, seed).taus)
    if bounds and largest > bounds[1] - bounds[0] and perturbation in IN_UNITS:
        raise checks.InputError(
            f"taus reach {largest:g}, inputs span {bounds[0]:g} ... {bounds[1]:g}: nothing is left "
            "of a sample then; expected radii in units of the input (grey levels / 255)"
        )
    controls, groups = _groups((x, y), {HELD_OUT: held_out, RETAINED: retained}, bounds, seed)
    models, references = named(model, references)
    nets = {str(name): net for name, net in {**models, **references}.items()}
    classes = min(checks.logits(net, x, y, name) for name, net in nets.items())
    hits = {
        group: {name: (logits(net, gx).argmax(1) == gy).cpu() for name, net in nets.items()}
        for group, (gx, gy) in groups.items()
    }
    guessing = _at_chance(groups, hits, [*map(str, references)], classes)
    if guessing and not expect_chance:
        raise checks.InputError(
            f"{CHANCE}: {guessing}; mend normalisation (--mean, --std), the order of labels "
            "(--label-order) or the weights, or say that it is meant (--expect-chance)"
        )
    settings: dict[str, Any] = {"perturbation": perturbation, "draws": draws, "seed": seed}
    measured = residual_knowledge(
        model, references, x, y, taus=taus, bounds=bounds, controls=controls, **settings, **options
    )
    flags = [*flags, *measured.flags]
    if guessing and CHANCE not in {f.name for f in flags}:
        flags += flag(CHANCE, guessing)
    right = {
        group: {"of": len(groups[group][1])}
        | {str(n): int(rows[str(n)].sum()) for n in (*models, *measured.references)}
        for group, rows in hits.items()
    }
    result = Audited(**vars(measured) | {"flags": flags}, right=right)
    settings |= {"taus": [*map(float, taus)], "bounds": bounds and [*bounds]}
    sizes = {"forget": len(x), **{name: len(cx) for name, (cx, _) in controls.items()}}
    settings |= {"samples": sizes, "references": [*result.references], "sha256": hashes or {}}
    settings |= {"preprocessing": preprocessing or {}}
    result = replace(result, summary=_summary(result, settings, indices))
    if folder is not None:
        _write(folder, result, title, samples_table(result, indices))
    return result


def check_free(folder: Path) -> Path:
    """Return ``folder`` if it is new or empty and figures can be drawn; else raise InputError."""
    needs("matplotlib", "seaborn", extra="audit")
    occupied = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
    if occupied or folder.resolve() == Path.cwd():
        raise checks.InputError(f"out = {folder}: expected a new or an empty folder; name another")
    above = next(p for p in folder.absolute().parents if p.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise checks.InputError(f"out = {folder}: {above} is no folder to write in; name another")
    return folder


# --- right answers without noise ----------------------------------------------


def _groups(
    forget: Pair, given: Mapping[str, Pair | None], bounds: Bounds, seed: int
) -> tuple[dict[str, Pair], dict[str, Pair]]:
    """The controls that are measured, and all groups of samples whose right answers are counted:
    the forget samples, the controls, and one control with samples of other classes too."""
    x, y = forget
    controls: dict[str, Pair] = {}
    wide: dict[str, Pair] = {}
    for name, pair in given.items():
        if pair is None:
            continue
        cx, cy = checks.pair(pair, name, bounds)
        same = torch.isin(cy, y)
        if not wide and not bool(same.all()):
            wide[name + ALL] = drawn((cx, cy), MOST, seed)
        if name == HELD_OUT and not bool(same.any()):
            raise checks.InputError(
                f"held out holds none of the forgotten classes {sorted(set(y.tolist()))[:8]}: give "
                "samples of those classes that nobody trained on"
            )
        used = (cx[same], cy[same]) if name == HELD_OUT else (cx, cy)
        controls[name] = sampled(used, len(x), seed)
    return controls, {FORGOTTEN: forget, **controls, **wide}


def _at_chance(
    groups: Mapping[str, Pair],
    hits: Mapping[str, Mapping[str, Tensor]],
    references: Sequence[str],
    classes: int,
) -> str:
    """How references guess, in words; "" if they don't. ``hits``: where each is right, by group.

    They do if their mean recall is that of one answer to all samples, within two standard errors:
    on samples of all classes if there are such, else on each group.
    """
    if not references:
        return ""
    texts = []
    for group in [g for g in groups if g.endswith(ALL)] or groups:
        right = torch.stack([hits[group][name] for name in references]).double().mean(0)
        by_class = pd.Series(right.numpy()).groupby(groups[group][1].cpu().numpy())
        recall, copies = by_class.mean(), by_class.size() * len(references)
        error = math.sqrt((recall * (1 - recall) / copies).sum()) / len(recall)
        if recall.mean() - 2 * error > 1 / (len(recall) if len(recall) > 1 else classes):
            return ""
        share = f"{100 * recall.mean():.0f} % of each class"
        texts.append(f"they are right on {share}, over {len(recall)} classes")
    return texts[0]


# --- what came out ------------------------------------------------------------


def _summary(
    result: Audited, settings: Mapping[str, Any], indices: Sequence[int] | None
) -> dict[str, Any]:
    """What audit.json holds."""
    verdict = result.judge("model")
    comparable = HELD_OUT in result.control_results and not result.unlike_held_out
    exchange = result.exchange("model") if comparable else None
    return {
        "sentences": sentences(result.right[FORGOTTEN], verdict, exchange),
        "verdict": as_json(verdict),
        "exchange": exchange and as_json(exchange),
        "rests_on": rests_on(result, verdict, indices),
        "leave_one_out": leave_one_out(result, verdict),
        "right": result.right,
        "flags": [dataclasses.asdict(flag) for flag in result.flags],
        "controls": {n: as_json(r.judge("model")) for n, r in result.control_results.items()},
        "measurement": settings,
    }


def sentences(
    right: Mapping[str, int], verdict: Verdict, exchange: Exchange | None
) -> tuple[str, str, str]:
    """How many forget samples each recognises (``right``: a row of ``Audited.right``), the verdict,
    and what to do next."""
    hits = [n for name, n in right.items() if name not in ("of", "model")]
    references = REFERENCES.format(min(hits), max(hits)) if hits else ""
    treated, q = (exchange.finding, exchange.p) if exchange else (None, math.nan)
    step = TREATED[treated] + NEXT[verdict.finding, treated]
    return (
        COUNT.format(**right, references=references),
        VERDICTS[verdict.finding].format(p=verdict.p, note=verdict.note),
        step.format(q=q, effect=verdict.detectable_margin),
    )


def leave_one_out(result: Audited, verdict: Verdict) -> dict[str, str]:
    """The finding without each reference in turn, from what is counted; {} for fewer than four."""
    if len(result.references) < 4:
        return {}
    alone = replace(result, control_results={})
    rest = {r: tuple(n for n in result.references if n != r) for r in result.references}
    return {
        str(r): replace(alone, references=names).judge("model").finding for r, names in rest.items()
    }


def as_json(answer: Verdict | Exchange) -> dict[str, Any]:
    """An answer as JSON holds it: None for what isn't a finite number."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: finite(v) for k, v in value.items()}
        value = value.tolist() if isinstance(value, np.ndarray) else value
        return None if isinstance(value, float) and not math.isfinite(value) else value

    text = {"finding": answer.finding, "sentence": str(answer)}
    return finite(dataclasses.asdict(answer) | text)


def samples_table(result: ResidualKnowledge, indices: Sequence[int] | None = None) -> pd.DataFrame:
    """A row for each forget sample, those that the model knows most beyond the references first.

    ``index`` is the sample's place in the data, from ``indices`` [n]. Over the whole curve:
    ``accuracy`` and ``reference_accuracy`` on its copies, their ``ratio``, ``margin`` and
    ``margin_difference`` to the references' mean, in logits. ``rank`` is the share of held-out
    samples of its class with a smaller margin_difference (without references: a smaller margin),
    near 1 for what is remembered. What isn't defined is NaN.
    """
    (name,) = result.models
    draws = result.counts.options.draws
    hits, reference_hits = result.hits_of(name)
    accuracy, apart = (hits / draws).mean(axis=0), _margin_difference(result)
    shares, rank = np.full((2, len(apart)), np.nan)
    if result.references:
        shares = (reference_hits / draws).mean(axis=(0, 1))
    if held_out := result.control_results.get(HELD_OUT):
        labels, held_out_apart = result.y, _margin_difference(held_out)
        for c in set(labels) & set(held_out.y):
            at_least = apart[labels == c, None] <= held_out_apart[held_out.y == c]
            rank[labels == c] = 1 - at_least.mean(axis=1)
    table = pd.DataFrame(
        {
            "sample": np.arange(len(accuracy)),
            "index": np.arange(len(accuracy)) if indices is None else np.asarray(indices),
            "label": result.y,
            "accuracy": accuracy,
            "reference_accuracy": shares,
            "ratio": accuracy / np.where(shares > 0, shares, np.nan),
            "margin": result.counts.margins[name].mean(axis=0),
            "margin_difference": apart if result.references else np.nan,
            "rank": rank,
        }
    )
    return table.iloc[np.argsort(-apart, kind="stable")].reset_index(drop=True)


def rests_on(
    result: ResidualKnowledge, verdict: Verdict, indices: Sequence[int] | None = None
) -> str:
    """That a finding rests on one forget sample, as a sentence; "" if it doesn't.

    The sample furthest on the finding's side is left out, and the rest is judged again. Any p grows
    by that, so one below twice the level says nothing.
    """
    if verdict.finding not in (RESIDUAL, OVER) or len(result.y) < 3:
        return ""
    apart = _margin_difference(result) * (1 if verdict.finding == RESIDUAL else -1)
    one = int(apart.argmax())
    counts = replace(
        result.counts,
        hits={n: np.delete(hits, one, -1) for n, hits in result.counts.hits.items()},
        margins={n: np.delete(margins, one, -1) for n, margins in result.counts.margins.items()},
    )
    labels = np.delete(result.y, one)
    without = replace(result, counts=counts, y=labels, control_results={}).judge("model")
    if without.finding == verdict.finding or not without.p >= 2 * verdict.level:
        return ""
    return (
        f"The finding rests on one sample, index {one if indices is None else int(indices[one])}: "
        f"without it the answer is {without.finding} (p = {without.p:.2g})."
    )


def _margin_difference(result: ResidualKnowledge) -> np.ndarray:
    """Per sample, over copies and taus: the model's margin, less that of the references if any."""
    (name,) = result.models
    margins = {n: margin.mean(axis=0) for n, margin in result.counts.margins.items()}
    if not result.references:
        return margins[name]
    return margins[name] - np.mean([margins[r] for r in result.references], axis=0)


# --- the folder ---------------------------------------------------------------

CURVES = (
    "Left: how often noisy copies are recognised, against the references. Right: the logit margin "
    "above theirs. The legend names the bands; a prediction interval needs three references."
)
WORDS = (
    "Effect: the model's mean logit margin on noisy copies less the references'. A reference is a "
    "model re-trained without the forget samples. p: how often one more re-trained model would be "
    "this far from them. Retained and held-out samples were not to be forgotten: a finding there "
    "is robustness, confidence or damage, not memory. The exchange test compares the model on "
    "forget and held-out samples, and needs no reference."
)
CAVEAT = (
    "Effects below the smallest detectable one stay unseen, other perturbations were not tried, "
    "and nothing shows that the references have the model's recipe."
)


def _write(folder: Path, result: Audited, title: str, samples: pd.DataFrame) -> None:
    """Write an audit's files into ``folder``, which appears when all of them are whole."""
    from rurklib.study.figures.curves import against_references
    from rurklib.study.figures.style import png

    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.{store.PARTIAL}."))
    try:
        store.write_json(partial / "audit.json", result.summary)
        store.write_frame(partial / "residual_knowledge.csv", result.frame)
        store.write_frame(partial / "samples.csv", samples)
        if result.control_results:
            store.write_frame(partial / "controls.csv", result.controls)
        what = f"Residual knowledge over tau, {title}"
        alt = f"{what} (data: residual_knowledge.csv)"
        figure = against_references(result.frame, result.controls, title=what)
        store.write(partial / "curves.png", png(figure, alt))
        parts = _parts(result, samples, (partial / "curves.png", alt, CURVES))
        report.page(partial / "report.html", title, parts)
        partial.chmod(0o755)
        if folder.exists():
            folder.rmdir()  # it is empty, or this raises
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _parts(
    result: Audited, samples: pd.DataFrame, curves: tuple[Path, str, str]
) -> list[report.Part]:
    """The page: three sentences, then what casts doubt on them, then numbers."""
    summary = result.summary
    findings = summary["leave_one_out"].values()
    doubts = [summary["rests_on"], *map(str, result.flags)]
    if findings:
        same = sum(finding == summary["verdict"]["finding"] for finding in findings)
        text = "With one reference left out in turn, the finding stays in {} of {} cases."
        doubts.insert(0, text.format(same, len(findings)))
    rows = {"forget samples": summary["verdict"], **summary["controls"]}
    if summary["exchange"]:
        rows["forget against held-out samples"] = summary["exchange"]
    numbers = dict.fromkeys(["p", "effect", "low", "high"], float)
    tests = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=["finding", *numbers])
    tests = tests.astype(numbers).rename_axis("compared with re-trained models, on")
    right = pd.DataFrame(result.right).T.rename_axis("right without noise, on")
    facts = pd.Series(summary["measurement"]).astype(str).rename_axis("setting")
    return [
        report.Part(text="\n".join(summary["sentences"]), table=right.reset_index()),
        report.Part("How sure this is", "\n".join(filter(None, doubts)), tests.reset_index()),
        report.Part("Curves", pictures=[curves]),
        report.Part("What this means, and what it does not show", f"{WORDS}\n{CAVEAT}"),
        report.Part("Most beyond the references, of samples.csv", table=samples.head(20)),
        report.Part("Numbers, one row per tau", table=result.frame, folded=True),
        report.Part("Controls, one row per tau", table=result.controls, folded=True),
        report.Part("Settings", table=facts.reset_index(name="value"), folded=True),
    ]
