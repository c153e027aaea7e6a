"""Nets that a function of the user's builds, with weights from safetensors files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from rurklib.check import InputError
from rurklib.foreign.arrays import said
from rurklib.guard import seeded

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".tar")


def build_function(spec: str) -> Callable[[], nn.Module]:
    """The function that ``path/to/m.py:build`` names. Importing the file runs the code in it."""
    file, colon, name = spec.rpartition(":")
    path = Path(file).expanduser()
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise InputError(f"model {spec}: expected FILE.py:FUNCTION (m.py:build) or FILE.onnx")
    if not path.is_file():
        raise InputError(f"{path} does not exist: check the path of the model's code")
    loader = importlib.util.spec_from_file_location(f"rurk_audited_{path.stem}", path)
    assert loader is not None
    assert loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    sys.modules[loader.name] = module
    sys.path.insert(0, str(path.resolve().parent))  # its own imports, as python m.py would
    try:
        loader.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path} can't be imported ({said(error)}): mend its code") from error
    finally:
        sys.path.pop(0)
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"{path} has no function {name!r}: name one that returns the model")
    return function


def built(build: Callable[[], nn.Module], weights: Path) -> nn.Module:
    """The net that ``build()`` returns with the weights of a safetensors file, in eval mode."""
    tensors = read_weights(weights)
    try:
        with seeded(0):
            model = build()
    except Exception as error:
        raise InputError(f"the model's function raised {said(error)}: mend its code") from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"the model's function returned a {type(model).__name__}: expected a torch.nn.Module"
        )
    wanted = model.state_dict(keep_vars=True)
    twins = {id(wanted[k]): k for k in wanted if k in tensors}
    for key in wanted.keys() - tensors.keys():  # tied weights are written once
        if id(wanted[key]) in twins:
            tensors[key] = tensors[twins[id(wanted[key])]]
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or extra:
        parts = [f"lacks {_some(missing)}"] * bool(missing) + [f"has {_some(extra)}"] * bool(extra)
        hint = "save it with the state_dict of such a net"
        if extra and all(k.startswith("module.") for k in extra):
            hint = "strip 'module.' from its names (DataParallel adds it)"
        raise InputError(f"{weights} {' and '.join(parts)}, unlike the built net: {hint}")
    for key, tensor in tensors.items():
        if tensor.shape != wanted[key].shape:
            raise InputError(
                f"{weights}: {key} has shape {tuple(tensor.shape)}, in the built net "
                f"{tuple(wanted[key].shape)}: the net was built with other sizes"
            )
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; a pickle is refused with how to convert it."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: check the path of the weights")
    if path.suffix == ".pt2":
        raise InputError(
            f"{path} is an exported program, and loading one may unpickle what is in it: save its "
            "state_dict as safetensors and give the model's code, or export it to ONNX"
        )
    try:
        with safe_open(path, "pt") as file:
            return {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        with path.open("rb") as file:
            zipped = file.read(1) in (b"\x80", b"P")  # a pickle, or a zip that holds one
        if zipped or path.suffix in PICKLES:
            raise InputError(_pickled(path)) from error
        raise InputError(f"{path} is not a safetensors file ({said(error)})") from error


def _pickled(path: Path) -> str:
    to = path.with_suffix(".safetensors").name
    return (
        f"{path} is a pickle, which can run code when it is opened, and is not opened here. "
        'Convert it where you trust it: python -c "import torch; from safetensors.torch import '
        f"save_file; w = torch.load('{path.name}', map_location='cpu', weights_only=True); "
        f"save_file({{k: v.clone() for k, v in w.get('state_dict', w).items()}}, '{to}')\""
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
