"""An audit of one's own models: does this one still know what it should have forgotten?

Thin over :func:`rurklib.residual_knowledge`: the forget set and its controls are measured, and the
verdict, the numbers, a figure and a page go to a folder that appears whole or not at all. ``rurk
audit`` does the same from files (:mod:`rurklib.study.audit`).
"""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rurklib import checks, samples
from rurklib.residual.controls import HELD_OUT, RETAINED, sampled
from rurklib.residual.measure import residual_knowledge
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import NO_VERDICT, NONE, TESTS, Verdict
from rurklib.study import files
from rurklib.study.report import page

TAUS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08)


Pair = tuple[Tensor, Tensor]


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
    bounds: samples.Bounds = (0.0, 1.0),
    test: str | None = None,
    level: float = 0.05,
    title: str = "Audit of a model",
    **options: Any,
) -> ResidualKnowledge:
    """Measure what ``model`` still knows of the forget samples (x, y), and write it down.

    Args:
        model: the unlearned model: floats (uint8 images / 255) in, logits out.
        references: models re-trained without the forget samples; three or more for a verdict.
        x, y: the forget samples [n, ...] and their labels [n].
        held_out: samples (x, y) that neither trained on; those of the forgotten classes are used.
        retained: samples (x, y) that both trained on. Of each control, at most 200 samples or as
            many as there are forget samples are used, drawn by ``seed``.
        out: folder for verdict.json, residual_knowledge.csv, controls.csv, curves.png and
            report.html; new or empty. None: nothing is written.
        taus, perturbation, draws, seed, bounds, options: as :func:`rurklib.residual_knowledge`.
        test, level: as :func:`rurklib.residual.verdict.judge`; ``test`` None: the margin test.

    Returns the measurement: ``result.judge("model", test=..., level=...)`` is the verdict that was
    written. Raises InputError before anything is measured, and then leaves no folder.
    """
    if not isinstance(model, nn.Module):
        raise checks.InputError(f"model is a {type(model).__name__}: expected a torch.nn.Module")
    checks.number("level", level, 0.0, 1.0)
    if test is not None:
        checks.one_of("test", test, TESTS)
    folder = None if out is None else free(Path(out))
    checks.inputs(x, bounds)
    checks.labels(y, len(x))
    controls = {}
    if held_out is not None:
        controls[HELD_OUT] = _of_classes(checks.pair(held_out, HELD_OUT, bounds), y)
    if retained is not None:
        controls[RETAINED] = checks.pair(retained, RETAINED, bounds)
    controls = {n: sampled(pair, len(x), seed) for n, pair in controls.items()}
    asked: dict[str, Any] = {
        "perturbation": perturbation,
        "draws": draws,
        "seed": seed,
        "bounds": bounds,
    }
    result = residual_knowledge(
        model, references, x, y, taus=taus, controls=controls, **asked, **options
    )
    if folder is not None:
        verdict = result.judge("model", test=test, level=level)
        sizes = {"forget": len(x), **{name: len(cx) for name, (cx, _) in controls.items()}}
        asked |= {"taus": [*map(float, taus)], "bounds": None if bounds is None else [*bounds]}
        write(folder, result, verdict, title=title, record={**asked, "samples": sizes})
    return result


def write(
    folder: Path,
    result: ResidualKnowledge,
    verdict: Verdict,
    *,
    title: str,
    record: Mapping[str, Any],
) -> None:
    """Write an audit's files into ``folder``, which appears when all of them are whole."""
    from rurklib.study.figures.against import against_references
    from rurklib.study.figures.style import png

    others = {n: r.judge("model", test=verdict.test, level=verdict.level) for n, r in
              result.beside.items()}  # fmt: skip
    summary = {
        "verdict": {**dataclasses.asdict(verdict), "sentence": str(verdict)},
        "flags": [dataclasses.asdict(flag) for flag in result.flags],
        "controls": {n: {**dataclasses.asdict(v), "sentence": str(v)} for n, v in others.items()},
        "measurement": {**record, "references": list(result.references)},
    }
    figure = against_references(result.frame, result.controls, title=_headline(verdict))
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.{files.PARTIAL}."))
    try:
        files.write_json(partial / "verdict.json", _plain(summary))
        files.write_frame(partial / "residual_knowledge.csv", result.frame)
        if result.beside:
            files.write_frame(partial / "controls.csv", result.controls)
        files.write(partial / "curves.png", png(figure, str(verdict)))
        blocks = _page(result, verdict, others, record, partial / "curves.png")
        page.write_page(partial / "report.html", title, blocks)
        partial.chmod(0o755)
        if folder.exists():
            folder.rmdir()  # it is empty, or this raises
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _headline(verdict: Verdict) -> str:
    """The verdict as a figure's title."""
    if verdict.finding == NO_VERDICT:
        return f"No verdict from {verdict.references} re-trained models"
    what = "No residual knowledge detected" if verdict.finding == NONE else verdict.finding
    effect = {
        "logits": f"{verdict.effect:+.3g} logits from",
        "ratio": f"{verdict.effect:.3g} times the accuracy of",
        "accuracy": f"accuracy {verdict.effect:+.3g} from",
    }[verdict.unit]
    return f"{what.capitalize()}: {effect} re-trained models (p = {verdict.p:.2g})"


def _page(
    result: ResidualKnowledge,
    verdict: Verdict,
    others: Mapping[str, Verdict],
    record: Mapping[str, Any],
    curves: Path,
) -> list[page.Block]:
    """The page's blocks: verdict first, then what casts doubt on it, then the numbers."""
    law, samples = record["perturbation"], record["samples"]
    blocks: list[page.Block] = [
        page.Text(str(verdict)),
        page.Text(
            f"{samples['forget']} forget samples, {record['draws']} copies of each per tau "
            f"({law}), {len(result.references)} re-trained references, seed {record['seed']}. "
            f"Intervals are for {result.estimand}."
        ),
        page.Heading("Flags"),
    ]
    blocks += [page.Text(str(flag)) for flag in result.flags] or [page.Text("None raised.")]
    blocks += [
        page.Heading("Curves"),
        page.Picture(
            curves,
            str(verdict),
            "Left: residual knowledge, with the 95 % interval of the ratio; right: the logit "
            "margin above the references'. Grey: where one further re-trained model would fall "
            "with probability 95 %. Each control is compared on its own samples.",
        ),
    ]
    if others:
        blocks.append(page.Heading("Controls"))
        blocks += [page.Text(f"{n} ({samples[n]} samples): {v}") for n, v in others.items()]
    blocks += [
        page.Heading("Numbers"),
        page.Table(result.frame, "The forget set, one row per tau", folded=True),
    ]
    if others:
        blocks.append(page.Table(result.controls, "The controls", folded=True))
    blocks += [
        page.Heading("What this does not show"),
        page.Text(
            "That a model with no verdict against it has forgotten: smaller effects than the one "
            "named above stay unseen, and other perturbations were not tried. That an effect is "
            "memory: where held-out samples show the same, it is robustness or confidence. The "
            "references are believed to be trained as the model would have been without the "
            "forget samples."
        ),
    ]
    return blocks


def free(folder: Path) -> Path:
    """``folder`` if an audit can be written there: new or empty, in a place that can be made."""
    try:
        import matplotlib  # noqa: F401
        import seaborn  # noqa: F401
    except ModuleNotFoundError as error:
        raise checks.InputError(
            f'{error.name} is needed for the figures: pip install -e ".[study]" in the clone of '
            "rurklib"
        ) from None
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        kind = "is not empty" if folder.is_dir() else "is a file"
        raise checks.InputError(f"out = {folder} {kind}: name a new or an empty folder")
    for above in folder.absolute().parents:
        if above.exists():
            if not above.is_dir() or not os.access(above, os.W_OK):
                raise checks.InputError(f"out = {folder}: {above} is no folder to write in")
            break
    return folder


def _of_classes(pair: Pair, y: Tensor) -> Pair:
    """The samples whose class is among the forget samples' classes."""
    same = torch.isin(pair[1], y)
    if not bool(same.any()):
        raise checks.InputError(
            f"held out holds none of the forgotten classes {sorted(set(y.tolist()))[:8]}: give "
            "samples of those classes that nobody trained on"
        )
    return pair[0][same], pair[1][same]


def _plain(value: Any) -> Any:
    """Plain data with None for what isn't a finite number, as JSON has no NaN."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
