"""All files of one audit, read and checked against each other.

Nets that a function of the user's builds, with weights from safetensors files.

ONNX files, run by onnxruntime on the CPU.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from rurklib.checks import InputError, count, labels, logits
from rurklib.rng import seeded
from rurklib.study.sources.npz import read_indices, read_samples, said


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


class Onnx(nn.Module):
    """An ONNX classifier as a module: floats [n, ...] to logits [n, classes], on the CPU.

    A fixed batch size in the file is kept to; the last batch is filled up with repeats.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise InputError(
                'onnxruntime is needed to run ONNX files: pip install -e ".[onnx]" in the clone of '
                "rurklib"
            ) from None
        if not path.is_file():
            raise InputError(f"{path} does not exist: check the path of the ONNX file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise InputError(f"{path} is not a readable ONNX file ({said(error)})") from error
        taken = self.session.get_inputs()
        kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64}
        if len(taken) != 1 or taken[0].type not in kinds:
            got = ", ".join(f"{t.name}: {t.type}" for t in taken)
            raise InputError(f"{path} takes {got}: expected one float input [n, ...]")
        self.input, self.kind = taken[0].name, kinds[taken[0].type]
        size = taken[0].shape[0] if taken[0].shape else None
        self.size = size if isinstance(size, int) else None
        self.sha = hashlib.sha256(path.read_bytes()).hexdigest()  # tells two files apart
        self.eval()

    def extra_repr(self) -> str:
        """Its file's digest."""
        return self.sha

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        given = x.detach().cpu().numpy().astype(self.kind)
        n, size = len(given), self.size or len(given)
        filled = np.resize(given, (-(-n // size) * size, *given.shape[1:]))
        try:
            out = [
                self.session.run(None, {self.input: filled[i : i + size]})[0]
                for i in range(0, len(filled), size)
            ]
        except Exception as error:  # onnxruntime's own kinds
            raise RuntimeError(said(error)) from error
        return torch.from_numpy(np.concatenate(out)[:n]).to(x.device)
