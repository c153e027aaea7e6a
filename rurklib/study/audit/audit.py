"""An audit of one's own models: does this one still know what it should have forgotten?

Thin over :func:`rurklib.residual_knowledge`: the forget set and its controls are measured, and the
verdict, the numbers, a figure and a page go to a folder that appears whole or not at all. ``rurk
audit`` does the same from files (:mod:`rurklib.study.audit.files`).
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.residual.controls import HELD_OUT, RETAINED, drawn, sampled
from rurklib.residual.flags import Flag
from rurklib.residual.measure import named, residual_knowledge
from rurklib.study import files
from rurklib.study.audit.chance import CHANCE, of_all_classes
from rurklib.study.audit.plain import ALL, FORGOTTEN, Audited, as_json, counted, together
from rurklib.study.audit.samples import rests_on, samples_table
from rurklib.study.environment import needs
from rurklib.tensors import Bounds, Pair, of_one_kind

TAUS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08)
# Whose tau is in units of the input, and no norm of a whole perturbation.
IN_UNITS = ("gaussian", "uniform-linf", "fgsm", "fgsm-untargeted", "pgd", "pgd-untargeted")
MOST = 2000  # samples of all classes that models are asked once, without noise


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
    indices: Sequence[int] | None = None,
    flags: Sequence[Flag] = (),
    **options: Any,
) -> Audited:
    """Measure what ``model`` still knows of the forget samples (x, y), and write it down.

    Args:
        model: the unlearned model: floats (uint8 images / 255) in, logits out.
        references: models re-trained without the forget samples; three or more for a verdict. None
            at all is enough to ask whether forget samples are treated unlike held-out ones.
        x, y: the forget samples [n, ...] and their labels [n].
        held_out: samples (x, y) that neither trained on; those of the forgotten classes are used.
        retained: samples (x, y) that both trained on. Of each control, at most 200 samples or as
            many as there are forget samples are used, drawn by ``seed``.
        out: folder for audit.json, residual_knowledge.csv, samples.csv, controls.csv, curves.png,
            report.html; new or empty. None: nothing is written.
        hashes: what the inputs are known by, by name; written down as they are.
        indices: where in your data each of the forget samples is [n], for samples.csv.
        flags: what looks wrong already, to stand among the measurement's.
        taus, perturbation, draws, seed, bounds, options: as :func:`rurklib.residual_knowledge`.
        expect_chance: references may be at chance (a whole class was forgotten); else no verdict.

    Returns the measurement: ``result.verdict`` is the verdict that was written, ``result.right``
    how many samples each model is right on without noise.

    Raises InputError before anything is measured, and leaves no folder then.
    """
    if not isinstance(model, nn.Module):
        raise checks.InputError(f"model is a {type(model).__name__}: expected a torch.nn.Module")
    folder = None if out is None else free(Path(out))
    checks.inputs(x, bounds)
    checks.labels(y, len(x))
    if (
        bounds
        and (most := max(checks.taus(taus))) > bounds[1] - bounds[0]
        and perturbation in IN_UNITS
    ):
        raise checks.InputError(
            f"taus reach {most:g}, inputs span {bounds[0]:g} ... {bounds[1]:g}: nothing is left "
            "of a sample then; expected radii in units of the input (grey levels / 255)"
        )
    if indices is not None and len(indices) != len(x):
        raise checks.InputError(f"{len(indices)} indices for {len(x)} samples: expected one each")
    pairs = {HELD_OUT: held_out, RETAINED: retained}
    controls = {n: checks.pair(pair, n, bounds) for n, pair in pairs.items() if pair is not None}
    if len(controls) == 2:
        both = of_one_kind(controls[RETAINED][0], controls[HELD_OUT][0])
        checks.disjoint(*both, ("retained", "held-out"))
    several = {n + ALL: p for n, p in controls.items() if not torch.isin(p[1], y).all()}
    whole = several or {n: p for n, p in controls.items() if len(p[1].unique()) > 1}
    if HELD_OUT in controls:
        controls[HELD_OUT] = _of_classes(controls[HELD_OUT], y)
    controls = {n: sampled(pair, len(x), seed) for n, pair in controls.items()}
    asked: dict[str, Any] = {"perturbation": perturbation, "draws": draws, "seed": seed}
    measured = residual_knowledge(
        model, references, x, y, taus=taus, bounds=bounds, controls=controls, **asked, **options
    )
    own, others = named(model, references)
    nets = {**own, **others}
    right = counted(measured, nets, {FORGOTTEN: (x, y), **controls})
    flags = [*flags, *measured.flags]
    for what, pair in list(whole.items())[:1]:  # held out if there are
        too = not several and len(y.unique()) > 1  # held-out samples may be of another kind
        sides = [drawn(pair, MOST, seed), *([(x, y)] if too else [])]
        row, guess = of_all_classes(nets, sides, measured.models[0])
        right |= {what: row} if several else {}
        flags += guess if CHANCE not in {f.name for f in flags} else []
    if CHANCE in {f.name for f in flags}:  # nets that guess differ by chance
        flags = [f for f in flags if f.name != "reference unlike the others"]
    told = {**vars(measured), "flags": flags}
    result = Audited(**told, expect_chance=expect_chance, right=right)
    if folder is not None:
        asked |= {"taus": [*map(float, taus)], "bounds": bounds and [*bounds]}
        sizes = {"forget": len(x), **{name: len(cx) for name, (cx, _) in controls.items()}}
        asked |= {"samples": sizes, "references": [*result.references], "sha256": hashes or {}}
        _write(folder, result, asked, title, indices)
    return result


def free(folder: Path) -> Path:
    """``folder`` if an audit can be written there: new or empty, in a place that can be made.
    InputError if it can't, or if what draws the figures is not installed."""
    needs("matplotlib", "seaborn", extra="audit")
    if len(folder.name) > 200 or folder.is_symlink():
        kind = "is a link" if folder.is_symlink() else f"has a name of {len(folder.name)} letters"
        raise checks.InputError(f"out = {str(folder)[:80]} {kind}: name a new or an empty folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        kind = "is not empty" if folder.is_dir() else "is a file"
        raise checks.InputError(f"out = {folder} {kind}: name a new or an empty folder")
    if folder.resolve() == Path.cwd():
        raise checks.InputError(f"out = {folder} is where you are: name a folder in it")
    above = next(p for p in folder.absolute().parents if p.exists())
    try:
        tempfile.TemporaryDirectory(dir=above).cleanup()
    except OSError as error:
        raise checks.InputError(f"out = {folder}: {above} is no folder to write in") from error
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


def _write(
    folder: Path,
    result: Audited,
    asked: Mapping[str, Any],
    title: str,
    indices: Sequence[int] | None,
) -> None:
    """Write an audit's files into ``folder``, which appears when all of them are whole."""
    from rurklib.study.audit.blocks import blocks
    from rurklib.study.audit.pictures import curves
    from rurklib.study.report import page

    verdict = result.verdict
    others = {n: r.judge("model") for n, r in result.control_results.items()}
    able = HELD_OUT in result.control_results
    able = able and not (result.guessed or result.unasked)  # else a flag says why
    treated = result.exchange("model") if able else None
    samples = samples_table(result, indices)
    alone = rests_on(result, verdict, indices)
    both = result.unasked or together(verdict, treated, others.get(HELD_OUT))
    both = f"{alone} {both}".strip()
    summary = {
        "verdict": as_json(verdict),
        "exchange": treated and as_json(treated) | {"sentence": str(treated)},
        "together": both,
        "right": result.right,
        "flags": [dataclasses.asdict(flag) for flag in result.flags],
        "controls": {name: as_json(other) for name, other in others.items()},
        "measurement": asked,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.{files.PARTIAL}."))
    try:
        files.write_json(partial / "audit.json", summary)
        files.write_frame(partial / "residual_knowledge.csv", result.frame)
        files.write_frame(partial / "samples.csv", samples)
        if others:
            files.write_frame(partial / "controls.csv", result.controls)
        shown = blocks(
            result, verdict, others, asked, [curves(partial, result, title)], treated, samples, both
        )
        page.write_page(partial / "report.html", title, shown)
        partial.chmod(0o755)
        if folder.exists():
            folder.rmdir()  # it is empty, or this raises
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
