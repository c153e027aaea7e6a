"""Numbers from NumPy's files; nothing is ever unpickled: an array of Python objects is refused.

**Any images in one** ``.npz`` **file** with the keys that MedMNIST uses (:func:`npz`):

``train_images``, ``test_images``: uint8 [n, height, width] or [n, height, width, 1 or 3].
``train_labels``, ``test_labels``: whole numbers 0 ... classes - 1, [n] or [n, 1].
``class_names`` (optional): one string a class.

Other keys are not read. That includes MedMNIST's ``val_images``: a split takes its validation part
from the test side, for every data set alike. MedMNIST itself: Yang et al., "MedMNIST v2",
Scientific Data 2023.

**Samples of any kind** and indices of some of them, as an audit takes them: :func:`read_samples`,
:func:`read_indices`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rurklib.checks import InputError
from rurklib.data import Dataset
from rurklib.tensors import Pair

KEYS = ("train_images", "train_labels", "test_images", "test_labels")
OPTIONAL = ("class_names",)
AUDIT_KEYS = (("x", "y"), ("train_images", "train_labels"))


def npz(path: str | Path) -> Dataset:
    """Read a ``.npz`` file as a :class:`Dataset`: x uint8 [n, channels, height, width].

    Raises InputError, in one line that names the file and the key, for anything that isn't what
    the module describes.
    """
    if not str(path):
        raise InputError("path is empty: name the file to read with --set path=FILE.npz")
    file = Path(path).expanduser()
    if file.is_dir():
        raise InputError(
            f"{file} is a folder: expected a .npz file; for folders of images there is "
            "--scenario imagefolder"
        )
    arrays = _load(file, ".npz", [KEYS])
    train, test = (_side(file, arrays, part) for part in ("train", "test"))
    if train[0].shape[1:] != test[0].shape[1:]:
        raise InputError(
            f"{file}: train_images are {tuple(train[0].shape[1:])} (channels, height, width), "
            f"test_images {tuple(test[0].shape[1:])}: expected one shape; resize one of them"
        )
    classes = _classes(file, arrays, train[1], test[1])
    return Dataset(file.stem, train, test, classes, f"read from {file.name}")


def read_samples(path: Path) -> Pair:
    """Samples and labels of a .npz: arrays x, y, or train_images, train_labels as MedMNIST has.

    x is uint8 (read as x / 255) or floats, [n, ...]. Where it is MedMNIST's and channels
    are the last, [n, h, w, 1 or 3], they are brought to [n, channels, h, w], and [n, h, w] to
    [n, 1, h, w]; else it stays in the layout that the model takes. y: whole numbers [n] or [n, 1].
    """
    found = _load(path, ".npz", AUDIT_KEYS)
    key_x, key_y = next(keys for keys in AUDIT_KEYS if found.keys() >= set(keys))
    x = found[key_x]
    if x.ndim < 2 or (x.dtype != np.uint8 and x.dtype.kind != "f"):
        raise InputError(
            f"{path}: {key_x} is {x.dtype} {x.shape}: expected uint8 images or floats, [n, ...]"
        )
    if key_x.endswith("images") and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3))):
        x = _channels_first(x)
    x = np.ascontiguousarray(x if x.dtype == np.uint8 else x.astype(np.float32))
    return torch.from_numpy(x), _whole(path, key_y, found[key_y], len(x))


def read_indices(path: Path, n: int) -> Tensor:
    """Indices of samples from a .npy: whole numbers 0 ... n - 1, each once, or a mask [n]."""
    found = _load(path, ".npy")
    if found.dtype == bool and found.shape == (n,):
        found = np.flatnonzero(found)
    if found.dtype.kind not in "iu" or found.ndim != 1 or len(found) == 0:
        raise InputError(
            f"{path} is {found.dtype} {found.shape}: expected indices of samples, whole numbers [k]"
            " (.astype(int), .flatten()), at least one"
        )
    if found.shape == (n,) and set(found.tolist()) == {0, 1}:
        raise InputError(f"{path} holds 0 and 1, one for each sample: a mask? use .astype(bool)")
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= n:
        raise InputError(
            f"{path} spans {low} ... {high}: expected indices in 0 ... {n - 1}, counted from 0"
        )
    if len(np.unique(found)) < len(found):
        twice = len(found) - len(np.unique(found))
        raise InputError(f"{path} names {twice} samples twice: expected each once (numpy.unique)")
    return torch.from_numpy(found.astype(np.int64))


def said(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _load(path: Path, kind: str, sets: Sequence[tuple[str, ...]] = ()) -> Any:
    """The array of a ``.npy``; or of a ``.npz`` those that are asked for, by name: all of one of
    the ``sets``, and what is ``OPTIONAL``."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: check the path of the {kind} file")
    what, arrays, names = str(path), {}, []
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            with found:
                names = found.files
                for key in names:
                    if key in sum(sets, OPTIONAL):
                        what = f"{path}: {key}"
                        arrays[key] = found[key]
    except Exception as error:  # zipfile, OSError, EOFError, ValueError (objects): not readable
        text = path.suffix in (".csv", ".tsv", ".txt")  # of which NumPy says that it is pickled
        raise InputError(
            f"{what} can't be read as {kind} ({'it is text' if text else said(error)}): write it "
            "with numpy.save"
            f"{'z' if kind == '.npz' else ''}, numbers only, nothing pickled"
        ) from error
    if isinstance(found, np.ndarray) != (kind == ".npy"):
        what = "one array" if isinstance(found, np.ndarray) else "an archive of arrays"
        raise InputError(f"{path} holds {what}: expected a {kind} file")
    if sets and not any(arrays.keys() >= set(keys) for keys in sets):
        wanted = " or ".join(", ".join(keys) for keys in sets)
        raise InputError(
            f"{path} has the arrays {', '.join(names[:8]) or 'none'}: expected {wanted}"
        )
    return arrays if sets else found


def _side(file: Path, arrays: dict[str, np.ndarray], part: str) -> Pair:
    """Images and labels of one side, checked and in torch's layout."""
    x = arrays[f"{part}_images"]
    is_image = x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3))
    if x.dtype != np.uint8 or not is_image or x.size == 0:
        raise InputError(
            f"{file}: {part}_images are {x.dtype} {x.shape}: expected uint8 images [n, height, "
            "width] or [n, height, width, 1 or 3]; put the channels last, and multiply what lies "
            "in [0, 1] by 255"
        )
    y = _whole(file, f"{part}_labels", arrays[f"{part}_labels"], len(x))
    return torch.from_numpy(np.ascontiguousarray(_channels_first(x))), y


def _channels_first(x: np.ndarray) -> np.ndarray:
    return x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)


def _whole(file: Path, key: str, y: np.ndarray, n: int) -> Tensor:
    """Labels as int64 [n]."""
    if y.dtype.kind not in "iu" or y.shape not in ((n,), (n, 1)):
        raise InputError(
            f"{file}: {key} is {y.dtype} {y.shape} for {n} samples: expected one whole number "
            "each, [n] or [n, 1]; choose one column, or use .astype('int64'), of names "
            "numpy.unique(y, return_inverse=True)[1], of one-hot rows y.argmax(1)"
        )
    return torch.from_numpy(y.reshape(n).astype(np.int64))


def _classes(file: Path, arrays: dict[str, np.ndarray], y: Tensor, y_test: Tensor) -> tuple:
    """Names of the classes; every class must be trained on, and labels have no gap."""
    found = sorted(set(y.tolist()))
    names = arrays.get("class_names", np.array([str(c) for c in range(len(found))]))
    if names.dtype.kind != "U" or names.ndim != 1:
        raise InputError(
            f"{file}: class_names are {names.dtype} {names.shape}: expected one string a class"
        )
    if found != list(range(len(names))) or len(found) < 2:
        raise InputError(
            f"{file}: train_labels hold {str(found[:10])[1:-1]}: expected every class of 0 ... "
            f"{max(len(names) - 1, 1)} and no other; number the classes from 0 without gaps"
        )
    if extra := sorted(set(y_test.tolist()) - set(found)):
        raise InputError(
            f"{file}: test_labels hold {str(extra[:10])[1:-1]}, which train_labels don't: remove "
            "those samples, or add such to the train side"
        )
    return tuple(str(n) for n in names)
