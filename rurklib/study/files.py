"""Files of a run: written atomically, never unpickled, each saying what it was made from.

An artefact carries the *fingerprint* of everything that it depends on (parameters, its parents'
digests, the code that matters) inside itself - in the safetensors header, as a field of the npz,
in the notebook's metadata - and the digest of its content. So presence means done: a file is there
whole with the right fingerprint, or it is made and moved into place last. There is no second
record that could disagree with it.
"""

import contextlib
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rurklib.checks import InputError

PARTIAL = "partial"  # marks files that are being written; swept away when a run is opened


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
    """Write a file atomically."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain data as JSON, atomically."""
    write(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read JSON; a file that isn't JSON is an InputError that names it."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not readable as JSON ({error}); mend or delete it") from error


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as CSV, atomically; eight significant digits, the same bytes every time."""
    write(path, frame.to_csv(index=False, float_format="%.8g", lineterminator="\n"))


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for stale in folder.rglob(f".*.{PARTIAL}.*"):
        stale.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against a second command; nothing is written inside. Raises InputError if
    another has it. The lock is the system's, so it ends with its process, however that ends."""
    from filelock import FileLock, Timeout

    folder = folder.resolve()  # by whatever name it is called: through a link, or "." from inside
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not Path(lock.lock_file).exists():
            raise InputError(f"{folder.parent} is no folder to write in: choose --out") from None
        raise InputError(f"{folder} is in use by another rurk; wait or choose --out") from None
    try:
        yield
    finally:
        lock.release()


def digest(path: Path) -> str:
    """SHA-256 of what a file holds, 16 hex digits: its bytes, or a checkpoint's weights alone
    (its record also says how long it took, which is different every time)."""
    if path.suffix == ".safetensors":
        return weights_digest(load_weights(path)[0])
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


# --- weights ------------------------------------------------------------------------------------


def save_weights(
    path: Path, weights: Mapping[str, Tensor], fingerprint: str, **record: Any
) -> None:
    """Write a state dict as safetensors with its fingerprint, its digest and a record of facts."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in weights.items()}
    header = {
        "fingerprint": fingerprint,
        "digest": weights_digest(tensors),
        "record": json.dumps(record, sort_keys=True),
    }
    write(path, save(tensors, metadata=header))


def load_weights(path: Path) -> tuple[dict[str, Tensor], str, dict[str, Any]]:
    """Read weights back: (state dict, fingerprint, record).

    Raises InputError if the file is not safetensors, was not written here or was altered.
    """
    mend = "delete it to make it again"
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable checkpoint ({error}); {mend}") from error
    if not {"fingerprint", "digest", "record"} <= header.keys():
        raise InputError(f"{path} is a foreign checkpoint, not made by this study; {mend}")
    if weights_digest(tensors) != header["digest"]:
        raise InputError(f"{path} is corrupted: its content doesn't match its digest; {mend}")
    return tensors, header["fingerprint"], json.loads(header["record"])


def weights_record(path: Path) -> dict[str, Any]:
    """The record of a checkpoint that is whole, without its weights."""
    with safe_open(path, "pt") as file:
        return dict(json.loads(file.metadata()["record"]))


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, dtypes, shapes and bytes of a state dict, 16 hex digits."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name]
        sha.update(f"{name}{t.dtype}{tuple(t.shape)}".encode())
        sha.update(t.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


# --- arrays -------------------------------------------------------------------------------------


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], fingerprint: str) -> None:
    """Write arrays as npz with their fingerprint (zip keeps a checksum of each)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, fingerprint=np.array(fingerprint), **arrays)  # type: ignore[arg-type]
    write(path, buffer.getvalue())


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Read arrays back: (arrays, fingerprint). Raises InputError if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {k: file[k] for k in file.files}
        return arrays, str(arrays.pop("fingerprint"))
    except Exception as error:  # zipfile, zlib, OSError, ValueError, KeyError: all mean damaged
        raise InputError(
            f"{path} is not readable ({error}); delete it to make it again, or use --fresh"
        ) from error
