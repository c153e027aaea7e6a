"""Real data through the readers, where they are: in ``../shared/data`` beside the clone, or in the
folder that ``RURKLIB_DATA`` names. Counts are those that the data's authors publish."""

import io
import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rurklib.data import forget_part_of_a_class
from rurklib.study.sources import cifar5, cifar10, npz, text

BESIDE = Path(__file__).parents[4] / "shared" / "data"
HERE = Path(os.environ.get("RURKLIB_DATA") or BESIDE)


def real(name: str) -> Path:
    """A file of the folder; without it the test is skipped."""
    if not (HERE / name).is_file():
        pytest.skip(f"{HERE / name} is not there: RURKLIB_DATA names a folder of real data")
    return HERE / name


def test_pneumoniamnist():
    """Fails if the validation images come in, or if one of the seven X-rays that stand twice in
    the training set is forgotten without its twin."""
    data = npz(real("pneumoniamnist.npz"))
    assert (data.train[0].shape, data.test[0].shape) == ((4708, 1, 28, 28), (624, 1, 28, 28))
    assert data.train[1].bincount().tolist() == [1214, 3494]
    assert data.test[1].bincount().tolist() == [234, 390]
    assert float(data.train[0].float().mean() / 255) == pytest.approx(0.5719, abs=1e-4)
    split = forget_part_of_a_class(data, forget_class=1)
    assert len(split.forget) == 3494 // 2 + 7


@pytest.mark.parametrize(
    ("name", "length", "classes", "texts"),
    [
        ("sms", 32, ("ham", "spam"), 5_574),
        ("trec", 16, ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"), 5_452 + 500),
        ("sst2", 24, ("0", "1"), 6_920 + 1_821),
    ],
)
def test_texts(name, length, classes, texts, tmp_path):
    """With the scenarios' windows. Fails if a line is lost or cut at a quotation mark, or if a text
    stands on both sides."""
    runpy.run_path(str(real("unpack.py")))[name](tmp_path / name)
    data = text(tmp_path / name, length=length, dim=16)
    assert data.classes == classes
    repeats = int(data.provenance.split(" repeats dropped")[0].split()[-1])
    assert len(data.train[0]) + len(data.test[0]) + repeats == texts
    trained, tested = ({x.numpy().tobytes() for x in part[0]} for part in (data.train, data.test))
    assert not trained & tested
    assert len(trained) == len(data.train[0])
    assert min(data.test[1].bincount()) >= 7


@pytest.fixture(scope="module")
def cifar(tmp_path_factory) -> Path:
    """A ``.npz`` of CIFAR-10's first 2,500 training images and of the test images of its first five
    classes, from mosaics of 50 x 50 images."""

    def side(pack: str, part: str, mosaics: int) -> tuple[np.ndarray, np.ndarray]:
        with np.load(real(pack)) as found:
            names = [f"{part}_webp_{k:02d}" for k in range(mosaics)]
            tiles = [np.asarray(Image.open(io.BytesIO(found[name].tobytes()))) for name in names]
            parted = np.stack(tiles).reshape(-1, 50, 32, 50, 32, 3).transpose(0, 1, 3, 2, 4, 5)
            return parted.reshape(-1, 32, 32, 3), found["labels"][: 2500 * mosaics]

    file = tmp_path_factory.mktemp("cifar") / "c.npz"
    x, y = side("cifar10_train_a.npz", "train", 1)
    u, v = side("cifar10_test.npz", "test", 2)
    np.savez(file, train_images=x, train_labels=y, test_images=u, test_labels=v)
    return file


def test_cifar10(cifar):
    """The first image is a frog, the second a truck, as everywhere. Fails if rows, columns or
    colours change places."""
    data = cifar10(cifar)
    x, y = data.train
    assert [data.classes[c] for c in y[:4]] == ["frog", "truck", "truck", "deer"]
    assert x[0, :, 0, 0].tolist() == [59, 62, 63]
    means = x.float().mean((0, 2, 3)) / 255
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)


def test_cifar5(cifar):
    """The paper's small part: 200 + 200 images of each of five classes, in official order."""
    data, whole = cifar5(cifar), cifar10(cifar)
    assert data.classes == ("airplane", "automobile", "bird", "cat", "deer")
    for (x, y), (all_x, all_y) in ((data.train, whole.train), (data.test, whole.test)):
        assert y.bincount().tolist() == [200] * 5
        assert (x[y == 3] == all_x[all_y == 3][:200]).all()
