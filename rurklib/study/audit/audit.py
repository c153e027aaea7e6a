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
from rurklib.residual.counts import Measurement
from rurklib.residual.flags import Flag
from rurklib.residual.measure import named, residual_knowledge
from rurklib.study import store
from rurklib.study.audit.plain import (
    ALL,
    CHANCE,
    FORGOTTEN,
    UNLIKE,
    Audited,
    as_json,
    ask_all_classes,
    count_right,
    rests_on,
    samples_table,
)
from rurklib.study.run import needs
from rurklib.tensors import Bounds, Pair

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
    preprocessing: Mapping[str, Any] | None = None,
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
        out: folder for audit.json, residual_knowledge.csv, samples.csv, controls.csv, curves.png
            and report.html; new or empty. None: nothing is written.
        hashes: checksums of the inputs, by name; written down as they are.
        preprocessing: what was put into the nets, such as the mean; written down as it is.
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
    folder = None if out is None else check_free(Path(out))
    checks.inputs(x, bounds)
    checks.labels(y, len(x))
    largest = max(Measurement(taus, perturbation).taus)
    if bounds and largest > bounds[1] - bounds[0] and perturbation in IN_UNITS:
        raise checks.InputError(
            f"taus reach {largest:g}, inputs span {bounds[0]:g} ... {bounds[1]:g}: nothing is left "
            "of a sample then; expected radii in units of the input (grey levels / 255)"
        )
    if indices is not None and len(indices) != len(x):
        raise checks.InputError(f"{len(indices)} indices for {len(x)} samples: expected one each")
    pairs = {HELD_OUT: held_out, RETAINED: retained}
    controls = {n: checks.pair(pair, n, bounds) for n, pair in pairs.items() if pair is not None}
    other_classes = {n + ALL: p for n, p in controls.items() if not torch.isin(p[1], y).all()}
    several = other_classes or {n: p for n, p in controls.items() if len(p[1].unique()) > 1}
    if HELD_OUT in controls:
        controls[HELD_OUT] = _of_classes(controls[HELD_OUT], y)
    controls = {n: sampled(pair, len(x), seed) for n, pair in controls.items()}
    settings: dict[str, Any] = {"perturbation": perturbation, "draws": draws, "seed": seed}
    measured = residual_knowledge(
        model, references, x, y, taus=taus, bounds=bounds, controls=controls, **settings, **options
    )
    model_by_name, references_by_name = named(model, references)
    nets = {**model_by_name, **references_by_name}
    right = count_right(measured, nets, {FORGOTTEN: (x, y), **controls})
    flags = [*flags, *measured.flags]
    for group, pair in list(several.items())[:1]:  # held-out samples if there are
        # Held-out samples may be of another kind: then forget samples of several classes decide.
        forget = [] if other_classes or len(y.unique()) < 2 else [(x, y)]
        row, at_chance = ask_all_classes(
            nets, [drawn(pair, MOST, seed), *forget], measured.models[0]
        )
        right |= {group: row} if other_classes else {}
        flags += at_chance if CHANCE not in {f.name for f in flags} else []
    if CHANCE in {f.name for f in flags}:  # nets that guess differ by chance
        flags = [f for f in flags if f.name != "reference unlike the others"]
    fields = {**vars(measured), "flags": flags}
    result = Audited(**fields, expect_chance=expect_chance, right=right)
    if folder is not None:
        settings |= {"taus": [*map(float, taus)], "bounds": bounds and [*bounds]}
        sizes = {"forget": len(x), **{name: len(cx) for name, (cx, _) in controls.items()}}
        settings |= {"samples": sizes, "references": [*result.references], "sha256": hashes or {}}
        settings |= {"preprocessing": preprocessing or {}}
        _write(folder, result, settings, title, indices)
    return result


def check_free(folder: Path) -> Path:
    """Return ``folder`` if it is new or empty and figures can be drawn; else raise InputError."""
    needs("matplotlib", "seaborn", extra="audit")
    taken = folder.is_file() or folder.is_symlink() or (folder.exists() and any(folder.iterdir()))
    if taken or folder.resolve() == Path.cwd():
        raise checks.InputError(f"out = {folder}: expected a new or an empty folder; name another")
    above = next(p for p in folder.absolute().parents if p.exists())
    try:  # hours of counting are lost if this fails only then
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
    settings: Mapping[str, Any],
    title: str,
    indices: Sequence[int] | None,
) -> None:
    """Write an audit's files into ``folder``, which appears when all of them are whole."""
    from rurklib.study.audit.page import write_page

    verdict = result.judge("model")
    controls = {n: r.judge("model") for n, r in result.control_results.items()}
    comparable = HELD_OUT in controls and not result.guessed and UNLIKE not in result.flagged
    exchange = result.exchange("model") if comparable else None
    samples = samples_table(result, indices)
    summary = {
        "verdict": as_json(verdict),
        "exchange": exchange and as_json(exchange),
        "rests_on": rests_on(result, verdict, indices),
        "right": result.right,
        "flags": [dataclasses.asdict(flag) for flag in result.flags],
        "controls": {name: as_json(control) for name, control in controls.items()},
        "measurement": settings,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.{store.PARTIAL}."))
    try:
        store.write_json(partial / "audit.json", summary)
        store.write_frame(partial / "residual_knowledge.csv", result.frame)
        store.write_frame(partial / "samples.csv", samples)
        if controls:
            store.write_frame(partial / "controls.csv", result.controls)
        write_page(partial, title, result, samples, summary, controls, exchange)
        partial.chmod(0o755)
        if folder.exists():
            folder.rmdir()  # it is empty, or this raises
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
