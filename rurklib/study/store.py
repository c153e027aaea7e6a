"""One store: a thing is there under its key, or it is made, written aside and moved into place.

    accuracies = store.make(path, "trial", {"model": checksum, "settings": values}, measure)

A *key* is a hash of the inputs and of the code that the ``kind`` of thing depends on (``ROOMS``).
Docstrings, comments and the texts of errors don't count, and the key is the same under every
Python. In a run, PyTorch's version and the kind of device count too. The models that come with the
package are found by their key without these (``find_shipped``), so that nobody re-trains them for
another PyTorch.

Every file carries its key and a checksum of its content: weights in the safetensors header, arrays
as fields of the npz, JSON as fields, notebooks in their metadata. A file that cannot be read, whose
checksum differs or whose key is another's is made again, and a line says so. As files are moved
into place whole, a file that is there under its key is done: that is all of resuming.
"""

import ast
import contextlib
import hashlib
import io
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

PACKAGE = Path(__file__).parents[1]
TRAINED = Path(__file__).parent / "trained"  # the models that come with the package
ONE_AT_A_TIME = threading.Lock()  # ast.parse fails in threads of Python 3.11
PARTIAL = "partial"  # marks a file that is being written
MODEL: tuple[str, ...] = (
    "tensors.py",
    "data.py",
    "models.py",
    "train.py",
    "perturb.py",
    "nearest.py",
    "unlearn",
)
COUNTS: tuple[str, ...] = ("tensors.py", "models.py", "perturb.py", "edits.py")
COUNTS += ("residual/counts.py", "residual/inference.py")
CORE = ("*.py", "metrics", "residual", "unlearn")
ROOMS: dict[str, tuple[str, ...]] = {
    "images": ("study/readers.py",),
    "model": MODEL,
    "counts": COUNTS,
    "trial": (*MODEL, *COUNTS, "metrics"),
    "attack": CORE,
    "cell": (*CORE, "study/*.py"),
    "notebook": (*CORE, "study"),
}


@dataclass(frozen=True)
class Checkpoint:
    """A state dict, and facts about it that are no part of its key (seconds, seed ...)."""

    weights: Mapping[str, Tensor]
    record: Mapping[str, Any]


def make(path: Path, kind: str, inputs: Mapping[str, Any], maker: Callable[[], Any]) -> Any:
    """What ``path`` holds under the key of ``kind`` and ``inputs``; made and kept if it isn't
    there. The suffix decides the form: .safetensors (:class:`Checkpoint`), .npz (arrays by name),
    .json (plain data), .ipynb (a notebook's JSON)."""
    wanted = key(kind, inputs)
    if (found := find(path, wanted)) is not None:
        return found
    save(path, maker(), wanted)
    return read(path)[0]


def find(path: Path, wanted: str) -> Any:
    """What ``path`` holds under this key, or None. A line says why a file is not used."""
    if not path.exists():
        return None
    try:
        value, found = read(path)
    except Exception as error:  # whatever a reader meets in a damaged file
        print(f"{path} cannot be read ({type(error).__name__}): it is made again")
        return None
    if found != wanted:
        print(f"{path} was made of something else, or by other code: it is made again")
        return None
    return value


def find_shipped(wanted: str) -> Checkpoint | None:
    """The model of this key (``here=False``) that comes with the package, or None. The key is the
    file's name alone: as code changes, files are renamed and their bytes stay."""
    return find(TRAINED / f"{wanted}.safetensors", "")


# --- keys -----------------------------------------------------------------------------------------


def key(kind: str, inputs: Mapping[str, Any], *, here: bool = True) -> str:
    """The key of a thing of this kind that is made of ``inputs``, 16 hex digits.

    Inputs are plain data, tensors, arrays and dataclasses. ``here``: PyTorch's version and the
    kind of device count.
    """
    where = {"torch": torch.__version__, "cuda": torch.cuda.is_available()} if here else {}
    return checksum({"kind": kind, "inputs": inputs, "code": code_of(*ROOMS[kind]), **where})


def checksum(value: Any) -> str:
    """SHA-256 of a value's content, 16 hex digits."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """A value as JSON has it; tensors and arrays by a hash of their bytes."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    array = value.detach().cpu().contiguous().numpy() if isinstance(value, Tensor) else value
    sha = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


@cache
def code_of(*rooms: str) -> str:
    """A hash of the statements of files and folders of the package, 16 hex digits."""
    sha = hashlib.sha256()
    found = [path for room in rooms for path in PACKAGE.glob(room)]
    files = {p for path in found for p in ([path] if path.is_file() else path.rglob("*"))}
    for path in sorted(files):
        if path.suffix in (".py", ".yaml"):
            text = path.read_text(encoding="utf-8")
            with ONE_AT_A_TIME:
                statements = _statements(ast.parse(text)) if path.suffix == ".py" else text
            sha.update(f"{path.relative_to(PACKAGE).as_posix()}:{statements}".encode())
    return sha.hexdigest()[:16]


def _statements(node: Any) -> str:
    """A syntax tree as text, without docstrings and the texts of errors. Each Python has its own
    ``ast.dump``: later ones leave out what is empty, and so does this."""
    if isinstance(node, list):
        return f"[{','.join(filter(None, map(_statements, node)))}]"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return ""  # a docstring
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return f"Raise({_statements(node.exc.func)})"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = [f"{k}={_statements(v)}" for k, v in ast.iter_fields(node) if v not in (None, [])]
    return f"{type(node).__name__}({','.join(parts)})"


# --- files ----------------------------------------------------------------------------------------


def save(path: Path, value: Any, key: str) -> None:
    """Write a value with its key and a checksum of both; see :func:`make` for the forms."""
    if path.suffix == ".safetensors":
        weights = {k: v.detach().cpu().contiguous() for k, v in value.weights.items()}
        record = json.dumps(dict(value.record), sort_keys=True)
        header = {"key": key, "record": record, "checksum": checksum([key, record, weights])}
        write(path, to_bytes(weights, metadata=header))
    elif path.suffix == ".npz":
        buffer, header = io.BytesIO(), {"key": key, "checksum": checksum([key, value])}
        np.savez_compressed(buffer, **{**value, **header})
        write(path, buffer.getvalue())
    elif path.suffix == ".ipynb":
        header = {"key": key, "checksum": checksum([key, value["cells"]])}
        write_json(path, {**value, "metadata": {**value["metadata"], "rurk": header}})
    else:
        write_json(path, {**value, "key": key, "checksum": checksum([key, value])})


def read(path: Path) -> tuple[Any, str]:
    """A value that was saved, and its key. Raises ValueError if the content doesn't match the
    checksum, and whatever a reader raises for a file that is no such file."""
    value: Any
    if path.suffix == ".safetensors":
        data = path.read_bytes()  # not mapped: whoever changes the file changes no weights
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        weights = from_bytes(data)
        value, content = (
            Checkpoint(weights, json.loads(header["record"])),
            [header["record"], weights],
        )
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            value = {name: file[name] for name in file.files}
        header, content = {k: str(value.pop(k)) for k in ("key", "checksum")}, [value]
    elif path.suffix == ".ipynb":
        value = read_json(path)
        header, content = value["metadata"]["rurk"], [value["cells"]]
    else:
        value = read_json(path)
        header, content = {k: value.pop(k) for k in ("key", "checksum")}, [value]
    if checksum([header["key"], *content]) != header["checksum"]:
        raise ValueError("its content does not match its checksum")
    return value, header["key"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it into place if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.stem}.{PARTIAL}."
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write(path: Path, content: bytes | str) -> None:
    """Write a file aside and move it into place."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain data as JSON."""
    write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ValueError if the file holds none."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as CSV with eight significant digits, the same bytes every time."""
    write(path, frame.to_csv(index=False, float_format="%.8g", lineterminator="\n"))


def tidy(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for stale in folder.rglob(f".*.{PARTIAL}.*"):
        stale.unlink(missing_ok=True)
