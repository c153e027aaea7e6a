"""All files of one audit, read and checked against each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rurklib.check import InputError, count, labels, logits
from rurklib.foreign.arrays import read_indices, read_samples
from rurklib.foreign.nets import build_function, built, read_weights
from rurklib.foreign.onnx import Onnx


def read_audit(
    model: str,
    weights: Path | None,
    references: Sequence[Path],
    data: Path,
    forget: Path,
    held_out: Path | None = None,
    retain: Path | None = None,
    classes: int | None = None,
) -> dict[str, Any]:
    """Everything that an audit needs from its files, as :func:`rurklib.audit`'s arguments.

    Cheap files first; no code is run before the arrays are known to be good.
    """
    x, y = read_samples(data)
    lost = read_indices(forget, len(x))
    if classes is not None:
        labels(y, len(x), count("classes", classes, 2), f"{data}: y")
    given: dict[str, Any] = {"x": x[lost], "y": y[lost]}
    for name, path in {"held_out": held_out, "retained": retain}.items():
        if path is None:
            continue
        if path.suffix == ".npz":
            given[name] = read_samples(path)
            continue
        chosen = read_indices(path, len(x))
        if both := int(torch.isin(chosen, lost).sum()):
            raise InputError(f"{path} names {both} samples that {forget} names too: take them out")
        given[name] = x[chosen], y[chosen]
    if twice := [r for r in references if list(references).count(r) > 1]:
        raise InputError(f"references name {twice[0]} twice: one model is no further reference")
    if (weights or Path(model)) in references:
        raise InputError(f"{weights or model} is the model and a reference: it was not re-trained")
    onnx = {p: Onnx(p) for p in (Path(model), *references) if p.suffix == ".onnx"}
    if Path(model) in onnx and weights is not None:
        raise InputError(f"weights {weights}: {model} holds its own weights; leave --weights out")
    if Path(model) in onnx and len(onnx) <= len(references):
        rest = next(r for r in references if r not in onnx)
        raise InputError(f"{rest}: beside an ONNX model, give the references as ONNX files too")
    if Path(model) not in onnx and weights is None:
        raise InputError(f"model {model} needs its weights: --weights FILE.safetensors")
    for path in (weights, *references):
        if path is not None and path not in onnx:
            read_weights(path)  # so that bad files are named before code is run
    build = None if Path(model) in onnx else build_function(model)

    def net(path: Path) -> nn.Module:
        if path in onnx:
            return onnx[path]
        assert build is not None
        return built(build, path)

    given["model"] = net(weights or Path(model))
    if classes is not None and (told := logits(given["model"], given["x"], given["y"])) != classes:
        raise InputError(f"the model tells {told} classes apart, not the {classes} of --classes")
    given["references"] = {str(r): net(r) for r in references}
    return given
