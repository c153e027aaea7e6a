"""The npz door: what MedMNIST files hold gets in unchanged, all else is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rurklib import study
from rurklib.checks import InputError
from rurklib.data import forget_part_of_a_class
from rurklib.study.models import trained_on
from rurklib.study.run import open_run
from rurklib.study.sources.npz import npz


def arrays(n: int = 6, shape: tuple[int, ...] = (4, 5), **changes) -> dict:
    """A small valid file's content: n train and n - 2 test images, labels 0, 1, 0, 1, ..."""
    rng = np.random.default_rng(0)
    content = {}
    for part, count in (("train", n), ("test", n - 2)):
        content[f"{part}_images"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        content[f"{part}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    return {**content, **changes}


def write(tmp_path: Path, **content) -> Path:
    path = tmp_path / "some.npz"
    np.savez(path, **{k: v for k, v in content.items() if v is not None})
    return path


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i2"])
def test_images_come_in_as_they_are(tmp_path, shape, dtype):
    """Fails if height and width or rows and channels are mixed up, or values are scaled."""
    content = arrays(shape=shape)
    content["train_labels"] = content["train_labels"].astype(dtype).ravel()
    data = npz(write(tmp_path, **content))
    x, y = data.train
    assert x.shape == (6, shape[2] if len(shape) == 3 else 1, 4, 5)
    assert x.dtype == torch.uint8
    assert y.tolist() == [0, 1, 0, 1, 0, 1]
    stored = content["train_images"].reshape(6, 4, 5, -1)
    assert int(x[2, -1, 3, 1]) == stored[2, 3, 1, -1]
    assert x.is_contiguous()
    assert data.classes == ("0", "1")
    assert data.bounds == (0.0, 1.0)
    assert len(data.test[0]) == 4


def test_names_are_kept_and_the_validation_part_is_not_read(tmp_path):
    """Fails if MedMNIST's val images slip into a side, where they would be trained or tuned on."""
    plain = npz(write(tmp_path, **arrays()))
    extra = {"val_images": np.array([object()]), "val_labels": np.zeros(3)}
    named = npz(write(tmp_path, **arrays(class_names=np.array(["cat", "dog"])), **extra))
    assert named.classes == ("cat", "dog")
    assert named.digest == plain.digest


class Trap:
    """Unpickling it writes a file."""

    def __reduce__(self):
        return (open, (str(Trap.witness), "w"))


@pytest.mark.parametrize("inside", [True, False])
def test_nothing_is_unpickled(tmp_path, inside):
    """Fails if a pickle is executed, alone or as a member of an archive."""
    import pickle

    Trap.witness = tmp_path / "executed"
    path = tmp_path / "trap.npz"
    if inside:
        np.savez(path, **arrays(class_names=np.array([Trap(), Trap()], object)))
    else:
        path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match=r"trap\.npz"):
        npz(path)
    assert not Trap.witness.exists()


def test_a_damaged_member_is_noticed(tmp_path):
    """Fails if flipped bytes are read as pixels: zip's checksum must be heeded."""
    path = write(tmp_path, **arrays(n=60, shape=(8, 8)))
    raw = bytearray(path.read_bytes())
    at = raw.index(b"train_images.npy") + 600
    raw[at] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(InputError, match="train_images can't be read"):
        npz(path)


def test_copies_of_a_forgotten_image_are_forgotten_with_it(tmp_path):
    """MedMNIST has identical images in one training set. Fails if a twin stays in retain, where
    every method would refuse it hours later."""
    content = arrays(n=20)
    content["train_images"][10:] = content["train_images"][:10]
    data = npz(write(tmp_path, **content))
    split = forget_part_of_a_class(data, forget_class=1, forget_share=0.2, seed=3)
    assert len(split.forget) == 4  # two drawn, and the twin of each
    assert {(i + 10) % 20 for i in split.forget} == set(split.forget)
    assert not set(split.forget) & set(split.retain)


def test_test_samples_that_were_trained_on_are_told(tmp_path):
    """Fails if a copy on the test side goes unsaid, or clean data are blamed."""
    content = arrays(40)
    data = npz(write(tmp_path, **content))
    assert trained_on(data, forget_part_of_a_class(data, forget_class=1)) == ""
    content["test_images"][:3] = content["train_images"][[7, 7, 30]]  # of classes 0, 1, 0 there
    data = npz(write(tmp_path, **content))
    split = forget_part_of_a_class(data, forget_class=1)
    told = trained_on(data, split)
    assert told.startswith("3 of 38 test samples (1 of what is forgotten) are among the training")


def test_a_study_tells_them(tmp_path, capsys):
    content = arrays(40, shape=(8, 8))
    content["test_images"][0] = content["train_images"][0]
    settings = {
        "path": str(write(tmp_path, **content)),
        "references": 2,
        "epochs": 1,
        "methods": [],
    }
    study.train(open_run("npz", tmp_path / "run", seeds=[0], settings=settings))
    assert "warning: 1 of 38 test samples" in capsys.readouterr().out
