"""Any images in one ``.npz`` file with the keys that MedMNIST uses.

``train_images``, ``test_images``: uint8 [n, height, width] or [n, height, width, 1 or 3].
``train_labels``, ``test_labels``: whole numbers 0 ... classes - 1, [n] or [n, 1].
``class_names`` (optional): one string a class.
``train_groups`` (optional): whole numbers [n], whose each training image is: all images of a
patient are forgotten together. No patient may be on the test side as well; that isn't checked.

Other keys are not read. That includes MedMNIST's ``val_images``: a split takes its validation part
from the test side, for every data set alike. Nothing is ever unpickled: an array of Python
objects is refused. MedMNIST itself: Yang et al., "MedMNIST v2", Scientific Data 2023.

Samples and indices from NumPy's files, numbers only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rurklib.checks import InputError
from rurklib.data.dataset import Dataset
from rurklib.samples import Pair

KEYS = ("train_images", "train_labels", "test_images", "test_labels")


OPTIONAL = ("class_names", "train_groups")


LAYOUT = "uint8 images [n, height, width] or [n, height, width, 1 or 3]"


def npz(path: str | Path) -> Dataset:
    """Read a ``.npz`` file as a :class:`Dataset`: x uint8 [n, channels, height, width].

    Raises InputError, in one line that names the file and the key, for anything that isn't what
    the module describes.
    """
    if not str(path):
        raise InputError("path is empty: name the file to read with --set path=FILE.npz")
    file = Path(path).expanduser()
    arrays = _arrays(file)
    train, test = (_side(file, arrays, part) for part in ("train", "test"))
    shapes = [tuple(x.shape[1:]) for x, _ in (train, test)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{file}: train_images are {shapes[0]} (channels, height, width), test_images "
            f"{shapes[1]}: expected one shape; resize one of them"
        )
    return Dataset(
        name=file.stem,
        train=train,
        test=test,
        classes=_classes(file, arrays, train, test),
        provenance=f"read from {file.name}",
        groups=_groups(file, arrays, len(train[0])),
    )


def _arrays(file: Path) -> dict[str, np.ndarray]:
    """The arrays of interest, each whole and not of objects."""
    if file.is_dir():
        raise InputError(
            f"{file} is a folder: expected a .npz file; for folders of images there is "
            "--scenario imagefolder"
        )
    if not file.exists():
        raise InputError(f"{file} does not exist: check the path of the .npz file")
    try:
        archive = np.load(file, allow_pickle=False)
    except Exception as error:  # zipfile, OSError, EOFError, ValueError, pickle: all mean that
        raise InputError(
            f"{file} is not a .npz archive ({_first_line(error)}): write it with numpy.savez"
        ) from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise InputError(f"{file} holds one array: expected a .npz archive with {', '.join(KEYS)}")
    arrays = {}
    with archive:
        if missing := [k for k in KEYS if k not in archive.files]:
            raise InputError(
                f"{file} has no {' and no '.join(missing)}: expected the keys {', '.join(KEYS)}; "
                f"found {', '.join(archive.files[:8]) or 'none'}"
            )
        for key in (*KEYS, *(k for k in archive.files if k in OPTIONAL)):
            try:
                arrays[key] = archive[key]
            except Exception as error:  # an array of objects (ValueError) or a damaged member
                raise InputError(
                    f"{file}: {key} can't be read ({_first_line(error)}): expected a plain array, "
                    "nothing pickled; save it again with numpy.savez as numbers or strings"
                ) from error
    return arrays


def _side(file: Path, arrays: dict[str, np.ndarray], part: str) -> Pair:
    """Images and labels of one side, checked and in torch's layout."""
    x, y = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    is_image = x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3))
    if x.dtype != np.uint8 or not is_image or x.size == 0:
        mend = {
            "f": "; multiply images in [0, 1] by 255 and round",
            "u": "; put the channels last" if x.ndim == 4 else "",
        }.get(x.dtype.kind, "")
        raise InputError(f"{file}: {part}_images are {x.dtype} {x.shape}: expected {LAYOUT}{mend}")
    if y.ndim == 2 and y.shape[1] > 1:
        raise InputError(
            f"{file}: {part}_labels have shape {y.shape}, several labels a sample: expected one "
            "class each, [n] or [n, 1]; choose one column"
        )
    if y.dtype.kind not in "iu" or y.ndim not in (1, 2):
        raise InputError(
            f"{file}: {part}_labels are {y.dtype} {y.shape}: expected whole numbers [n] or [n, 1]; "
            "convert them with .astype('int64')"
        )
    if len(x) != len(y):
        raise InputError(
            f"{file}: {len(x)} {part}_images but {len(y)} {part}_labels: expected one "
            "label an image; remove what has no partner"
        )
    nchw = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    labels = y.reshape(len(y)).astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(nchw)), torch.from_numpy(labels)


def _classes(file: Path, arrays: dict[str, np.ndarray], train: Pair, test: Pair) -> tuple[str, ...]:
    """Names of the classes; every class must be trained on, and labels have no gap."""
    found = sorted(set(train[1].tolist()))
    names = arrays.get("class_names", np.array([str(c) for c in range(len(found))]))
    if names.dtype.kind != "U" or names.ndim != 1:
        raise InputError(
            f"{file}: class_names are {names.dtype} {names.shape}: expected one string a class"
        )
    if found != list(range(len(names))) or len(found) < 2:
        raise InputError(
            f"{file}: train_labels hold {_some(found)}: expected every class of 0 ... "
            f"{max(len(names) - 1, 1)} and no other; number the classes from 0 without gaps"
        )
    if extra := sorted(set(test[1].tolist()) - set(found)):
        raise InputError(
            f"{file}: test_labels hold {_some(extra)}, which train_labels don't: remove those "
            "samples, or add such to the train side"
        )
    return tuple(str(n) for n in names)


def _groups(file: Path, arrays: dict[str, np.ndarray], n: int) -> torch.Tensor | None:
    """Whose each training image is, int64 [n], if the file says."""
    groups = arrays.get("train_groups")
    if groups is None:
        return None
    if groups.dtype.kind not in "iu" or groups.reshape(-1).shape != (n,) or groups.min() < 0:
        raise InputError(
            f"{file}: train_groups are {groups.dtype} {groups.shape}: expected a whole number of "
            f"at least 0 for each of the {n} training images"
        )
    return torch.from_numpy(groups.reshape(n).astype(np.int64))


def _some(values: list[int]) -> str:
    return ", ".join(map(str, values[:10])) + (", ..." if len(values) > 10 else "")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


AUDIT_KEYS = (("x", "y"), ("train_images", "train_labels"))


def read_samples(path: Path) -> tuple[Tensor, Tensor]:
    """Samples and labels of a .npz: arrays x, y, or train_images, train_labels as MedMNIST has.

    x is uint8 (read as x / 255) or floats, [n, ...]; images with the channels last, [n, h, w, 1 or
    3], as in ``train_images``, are brought to [n, channels, h, w], and [n, h, w] there to
    [n, 1, h, w]. ``x`` stays in the layout that the model takes. y: whole numbers [n] or [n, 1].
    """
    arrays = _load(path, ".npz")
    assert isinstance(arrays, dict)
    for keys in AUDIT_KEYS:
        if set(keys) <= arrays.keys():
            x, y = (arrays[k] for k in keys)
            break
    else:
        found = ", ".join(list(arrays)[:8]) or "none"
        raise InputError(
            f"{path} has the arrays {found}: expected x, y or train_images, train_labels"
        )
    if keys != AUDIT_KEYS[0] and x.ndim in (3, 4):
        x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise InputError(f"{path}: {keys[0]} is {x.dtype}: expected uint8 images or floats")
    if y.dtype.kind not in "iu" or y.shape not in ((len(x),), (len(x), 1)):
        raise InputError(
            f"{path}: {keys[1]} is {y.dtype} {y.shape} for {len(x)} samples: expected one whole "
            "number each"
        )
    x = np.ascontiguousarray(x if x.dtype == np.uint8 else x.astype(np.float32))
    return torch.from_numpy(x), torch.from_numpy(y.reshape(-1).astype(np.int64))


def read_indices(path: Path, n: int) -> Tensor:
    """Indices of samples from a .npy: whole numbers 0 ... n - 1, each once, or a mask [n]."""
    found = _load(path, ".npy")
    assert isinstance(found, np.ndarray)
    if found.dtype == bool and found.shape == (n,):
        found = np.flatnonzero(found)
    if found.dtype.kind not in "iu" or found.ndim != 1 or len(found) == 0:
        raise InputError(
            f"{path} is {found.dtype} {found.shape}: expected indices of samples, whole numbers [k]"
        )
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= n:
        raise InputError(f"{path} spans {low} ... {high}: expected indices in 0 ... {n - 1}")
    if len(np.unique(found)) < len(found):
        raise InputError(f"{path} names {len(found) - len(np.unique(found))} samples twice")
    return torch.from_numpy(found.astype(np.int64))


def _load(path: Path, kind: str) -> Any:
    if not path.is_file():
        raise InputError(f"{path} does not exist: check the path of the {kind} file")
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            with found:
                found = {
                    k: found[k] for k in found.files if k in sum(AUDIT_KEYS, ())
                } or dict.fromkeys(found.files)
    except Exception as error:  # zipfile, OSError, ValueError (pickled objects): not readable
        raise InputError(
            f"{path} can't be read as {kind} ({said(error)}): write it with numpy.save"
            f"{'z' if kind == '.npz' else ''}, numbers only"
        ) from error
    if isinstance(found, np.ndarray) != (kind == ".npy"):
        what = "one array" if isinstance(found, np.ndarray) else "an archive of arrays"
        raise InputError(f"{path} holds {what}: expected a {kind} file")
    return found


def said(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
