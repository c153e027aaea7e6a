"""One memo for everything that is made once and kept: it is there under its key, or it is made.

    wanted = key(fit, {"data": split.digest, "part": "retain", "recipe": recipe, "seed": 3})
    checkpoint = memo(path, make, wanted, WEIGHTS)

The *key* is derived, never listed by hand. It is a hash of

- the ``inputs``: plain data, dataclasses by field, tensors and models by their content;
- the statements of the maker's module and of every module of ours that it imports
  (:mod:`rurklib.study.source`), and what the maker itself holds (arguments of a partial, values
  that its closure took in), so that two functions made by one factory aren't taken for each other;
- PyTorch's version and the kind of device.

Without the last it is a *content* (:func:`content`), the same on every machine, by which models
that come with the package are known (:mod:`rurklib.study.shipped`): a second place to look, read
only.

An artefact carries its key inside itself. So presence means done: a file is there whole under the
right key, or it is made and moved into place last. There is no second record that could disagree.
Since inputs count by content, a file that was deleted and made again makes nothing behind it again.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from rurklib.study import files
from rurklib.study.source import own_source, source_of

T = TypeVar("T")


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How a value is kept: ``save(path, value, key)`` and ``load(path) -> (value, key)``."""

    save: Callable[[Path, T, str], None]
    load: Callable[[Path], tuple[T, str]]


@dataclass(frozen=True)
class Checkpoint:
    """A state dict, and a record of facts about it that are no part of its key (seconds ...)."""

    weights: Mapping[str, Tensor]
    record: Mapping[str, Any]


def _save_weights(path: Path, value: Checkpoint, key: str) -> None:
    files.save_weights(path, value.weights, key, **value.record)


def _load_weights(path: Path) -> tuple[Checkpoint, str]:
    weights, key, record = files.load_weights(path)
    return Checkpoint(weights, record), key


def _save_json(path: Path, value: Mapping[str, Any], key: str) -> None:
    files.write_json(path, {**value, "key": key})


def _load_json(path: Path) -> tuple[Mapping[str, Any], str]:
    value = files.read_json(path)
    return value, str(value.pop("key", ""))


def _save_notebook(path: Path, value: Any, key: str) -> None:
    import nbformat

    value.metadata["rurk"] = {**value.metadata.get("rurk", {}), "key": key}
    files.write(path, nbformat.writes(value) + "\n")


def _load_notebook(path: Path) -> tuple[Any, str]:
    import nbformat

    value = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    return value, str(value.metadata.get("rurk", {}).get("key", ""))


WEIGHTS: Codec[Checkpoint] = Codec(_save_weights, _load_weights)  # .safetensors
ARRAYS: Codec[Mapping[str, np.ndarray]] = Codec(files.save_arrays, files.load_arrays)  # .npz
JSON: Codec[Mapping[str, Any]] = Codec(_save_json, _load_json)
NOTEBOOK: Codec[Any] = Codec(_save_notebook, _load_notebook)  # a key in metadata.rurk


def memo(path: Path, make: Callable[[], T], key: str, codec: Codec[T]) -> T:
    """What ``path`` holds under ``key``; made and written there if it isn't there.

    Raises InputError for a file that is damaged or not of this study.
    """
    if path.exists():
        value, found = codec.load(path)
        if found == key:
            return value
    codec.save(path, make(), key)
    return codec.load(path)[0]


def fresh(path: Path, key: str, codec: Codec[Any]) -> bool:
    """Whether ``path`` is there, whole, and bears this key. Raises InputError if it is damaged."""
    return path.exists() and codec.load(path)[1] == key


def taken(path: Path, content: str, codec: Codec[T], elsewhere: Callable[[str], T | None]) -> bool:
    """Whether there is something of this content ``elsewhere``; it is then put at ``path``, under
    the key that it would have if it were made here."""
    value = elsewhere(content)
    if value is not None:
        codec.save(path, value, here(content))
    return value is not None


Makers = Callable[..., Any] | Sequence[Callable[..., Any]]


def key(makers: Makers, inputs: Mapping[str, Any]) -> str:
    """The key of what ``makers`` make of ``inputs`` here, 16 hex digits.

    ``makers`` are the functions that do the work, not those that hand it on; see
    :func:`source_of`. Raises TypeError for an input that has no content to be known by.
    """
    return here(content(makers, inputs))


def content(makers: Makers, inputs: Mapping[str, Any]) -> str:
    """What of a :func:`key` is the same on every machine: the inputs, and the makers' source."""
    group = list(makers) if isinstance(makers, Sequence) else [makers]
    return digest({"inputs": inputs, "makers": group})


def here(content: str) -> str:
    """The key of a content on this machine: PyTorch's version and the kind of device count."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return digest({"content": content, "torch": torch.__version__, "device": device})


# --- inputs ---------------------------------------------------------------------------------------


def digest(value: Any) -> str:
    """SHA-256 of a value by its content, 16 hex digits."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """A value as JSON can say it: numbers and words as they are, tensors by a digest, functions by
    what they depend on."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, nn.Module):
        layers = re.sub(r"0x[0-9a-f]+", "", repr(value))  # addresses differ between processes
        kinds = {type(m) for m in value.modules()}
        code = sorted(own_source(kind) for kind in kinds)  # type: ignore[arg-type]
        return {"weights": files.weights_digest(value.state_dict()), "layers": layers, "code": code}
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if isinstance(value, Tensor):
        return {"tensor": files.weights_digest({"": value})}
    if isinstance(known := getattr(value, "digest", None), str):
        return {"digest": known}
    if isinstance(value, partial):
        return {"of": _plain(value.func), "with": _plain([value.args, value.keywords])}
    if inspect.isroutine(value) or inspect.isclass(value):
        cells = getattr(inspect.unwrap(value), "__closure__", None) or ()
        return {"source": source_of(value), "holds": [_plain(cell.cell_contents) for cell in cells]}
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    raise TypeError(f"{type(value).__name__} has no content that a key could be made of")
