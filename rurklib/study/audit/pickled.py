"""Weights that ``torch.save`` wrote, read in a process of their own: nothing is unpickled in ours.

    python -m rurklib.study.audit.pickled FOLDER m.pt a.pt ...    # FOLDER/0.safetensors, 1 ...

That process uses PyTorch's restricted loader (``weights_only=True``), which builds tensors and
plain containers alone, takes a ``state_dict`` out of the wrappings that trainers put around it,
and writes tensors as safetensors; we read those. Names that DataParallel prefixed with ``module.``
lose the prefix. A file that holds a whole model, which is code, is refused.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rurklib.checks import InputError
from rurklib.study.files import replacing

WRAPPED = ("state_dict", "model_state_dict", "model", "net", "ema")  # where trainers put it
SECONDS = 300


def read_pickled(paths: Sequence[Path]) -> dict[Path, dict[str, Tensor]]:
    """The tensors of ``.pt`` files, by way of one other process. Raises InputError if one holds
    anything but a ``state_dict``, with what it holds and how to mend it."""
    if not paths:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __name__, folder, *(str(p.absolute()) for p in paths)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"{paths[0]} and the like weren't read in {SECONDS} s: are they weights?"
            ) from error
        written = [Path(folder) / f"{k}.safetensors" for k in range(len(paths))]
        for path, target in zip(paths, written, strict=True):
            if not target.exists():
                said = (done.stderr.strip().splitlines() or ["the process that read it ended"])[-1]
                raise InputError(
                    f"{path} can't be read as weights ({said[:300]}): where the model was made, "
                    f"save them with torch.save(model.state_dict(), {path.name!r})"
                )
        return {path: load_file(target) for path, target in zip(paths, written, strict=True)}


def tensors_of(found: Any) -> dict[str, Tensor]:
    """The state_dict in what was loaded, whatever is around it.

    >>> sorted(tensors_of({"epoch": 3, "state_dict": {"module.w": torch.ones(1)}}))
    ['w']
    """
    for name in WRAPPED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            if other := [n for n in WRAPPED if n != name and isinstance(found.get(n), Mapping)]:
                raise InputError(f"it holds {name!r} and {other[0]!r}, two models: expected one")
            found = found[name]
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"it holds a {type(found).__name__}, expected a state_dict")
    if other := [k for k, v in found.items() if not isinstance(v, Tensor)]:
        kind = type(found[other[0]]).__name__
        raise InputError(f"its entry {other[0]!r} is a {kind}, expected tensors alone")
    prefix = "module." if all(str(k).startswith("module.") for k in found) else ""
    return {str(k).removeprefix(prefix): v.detach().cpu().contiguous().clone()
            for k, v in found.items()}  # fmt: skip


if __name__ == "__main__":
    try:
        for k, path in enumerate(sys.argv[2:]):
            with open(path, "rb") as file:  # a name that ends otherwise decides nothing
                loaded = torch.load(file, map_location="cpu", weights_only=True)
            with replacing(Path(sys.argv[1]) / f"{k}.safetensors") as whole:
                save_file(tensors_of(loaded), whole)
    except Exception as error:  # whatever it is: it ends here, and the last line says it
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):  # code, which isn't looked for
            sys.exit(f"it holds an object of {found[1]}, maybe a whole model: expected its weights")
        if "TorchScript" in str(error):
            sys.exit("it is TorchScript: load it where it was made, and save its weights")
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        sys.exit(kind + (str(error).strip().splitlines() or [""])[0])
