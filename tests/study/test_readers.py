"""One data set, whatever it is written as: pixels, labels and order come in unchanged.

Real data are read where they are: in ``../shared/data`` beside the clone, or in the folder that
``RURKLIB_DATA`` names. Their counts are those that the authors publish.
"""

import hashlib
import io
import os
import pickle
import runpy
import struct
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from rurklib import study
from rurklib.checks import InputError
from rurklib.data import forget_part_of_a_class
from rurklib.study.readers import cifar5, cifar10, fashion_mnist, image_folder, npz, text, vector
from rurklib.study.run import open_run

BESIDE = Path(__file__).parents[3] / "shared" / "data"
REAL = Path(os.environ.get("RURKLIB_DATA") or BESIDE)
NAMES = [*"abcdefghij"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RURK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def ten(*shape: int, seed: int = 0) -> np.ndarray:
    """Ten images [10, height, width(, 3)]; image k is of class k."""
    return np.random.default_rng(seed).integers(0, 256, (10, *shape), np.uint8)


def write_npz(file: Path, train: np.ndarray, test: np.ndarray, **more) -> Path:
    labels = {f"{side}_labels": np.arange(10)[:, None] for side in ("train", "test")}
    np.savez(file, **{**labels, "train_images": train, "test_images": test, **more})
    return file


def write_folder(root: Path, train: np.ndarray, test: np.ndarray) -> Path:
    for side, images in (("train", train), ("val", test)):
        for name, pixels in zip(NAMES, images, strict=True):
            (root / side / name).mkdir(parents=True)
            Image.fromarray(pixels).save(root / side / name / "0.png")
    return root


def write_cifar(root: Path, train: np.ndarray, test: np.ndarray, monkeypatch) -> Path:
    """torchvision's pickles, two images in each of five files; their MD5 are the official ones."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def write(name: str, content: dict) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    def batch(x: np.ndarray, first: int) -> dict:
        rows = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        return {"data": rows, "labels": list(range(first, first + len(x)))}

    parts = [(f"data_batch_{k + 1}", batch(train[2 * k :][:2], 2 * k)) for k in range(5)]
    kind = datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [[name, write(name, b)] for name, b in parts])
    monkeypatch.setattr(kind, "test_list", [["test_batch", write("test_batch", batch(test, 0))]])
    md5 = write("batches.meta", {"label_names": NAMES})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5})
    return root


def write_fashion(root: Path, train: np.ndarray, test: np.ndarray) -> Path:
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, x in (("train", train), ("t10k", test)):
        images = struct.pack(">BBBBIII", 0, 0, 8, 3, *x.shape) + x.tobytes()
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, 10) + bytes(range(10))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    return root


def test_ten_images_are_the_same_from_every_form(tmp_path, monkeypatch):
    """Fails if rows, columns, channels or files change places, or values are scaled."""
    sides = ten(32, 32, 3), ten(32, 32, 3, seed=1)
    archive = write_npz(tmp_path / "some.npz", *sides, class_names=np.array(NAMES))
    folder = write_folder(tmp_path / "folder", *sides)
    root = write_cifar(tmp_path / "cifar", *sides, monkeypatch)
    found = [npz(archive), cifar10(archive), cifar10(root), image_folder(folder, size=32)]
    for data in found:
        for (x, y), pixels in zip((data.train, data.test), sides, strict=True):
            assert x.dtype == torch.uint8
            assert np.array_equal(x.numpy(), pixels.transpose(0, 3, 1, 2))
            assert y.tolist() == [*range(10)]
        assert data.classes == tuple(NAMES)
        assert data.bounds == (0.0, 1.0)
    assert len({data.digest for data in found}) == 1
    assert [data.name for data in found] == ["some", "cifar10", "cifar10", "folder"]


def test_grey_images_are_the_same_from_every_form(tmp_path, cache):
    """Fails, too, if another folder is read than the one that torchvision downloads into."""
    sides = ten(28, 28), ten(28, 28, seed=1)
    archive = write_npz(tmp_path / "some.npz", *sides)
    with_channel = write_npz(tmp_path / "other.npz", *(x[..., None] for x in sides))
    write_fashion(cache / "fashion-mnist", *sides)
    data = fashion_mnist()
    assert data.digest == npz(archive).digest == fashion_mnist(with_channel).digest
    assert np.array_equal(data.train[0][:, 0].numpy(), sides[0])
    assert list(data.classes) == datasets.FashionMNIST.classes
    assert npz(archive).classes == tuple("0123456789")


def test_a_changed_pickle_is_not_opened(tmp_path, monkeypatch):
    """Fails if a pickle is executed whose MD5 is not the official one."""
    root = write_cifar(tmp_path, ten(32, 32, 3), ten(32, 32, 3), monkeypatch)
    monkeypatch.setattr(pickle, "load", lambda *a, **k: pytest.fail("unpickled"))
    (root / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"changed")
    with pytest.raises(InputError, match=r"check path or the network"):
        cifar10(root)


@pytest.mark.parametrize("read", [cifar10, fashion_mnist])
def test_without_a_network_one_line_names_the_mend(read, monkeypatch, cache):
    """Fails if a download is tried elsewhere than in the cache, or its error comes through raw."""
    places = []

    def offline(url, *rest, **options):
        places.append(Path(options.get("download_root", *rest)))
        raise URLError("no network")

    for module in (datasets.cifar, datasets.mnist):
        monkeypatch.setattr(module, "download_and_extract_archive", offline)
    with pytest.raises(InputError, match=r"--set path") as error:
        read()
    assert "\n" not in str(error.value)
    assert places
    assert all(place.is_relative_to(cache) for place in places)


class Trap:
    """Unpickling it writes a file."""

    def __reduce__(self):
        return (open, ("executed", "w"))


def test_no_other_pickle_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = np.array([Trap()] * 10, object)
    write_npz(Path("trap.npz"), ten(4, 5), ten(4, 5), class_names=names)
    with pytest.raises(InputError, match=r"trap\.npz can't be read"):
        npz("trap.npz")
    assert not Path("executed").exists()


def test_validation_images_are_not_read(tmp_path):
    """Fails if MedMNIST's val images slip into a side, where they would be trained or tuned on."""
    plain = npz(write_npz(tmp_path / "a.npz", ten(4, 5), ten(4, 5)))
    extra = {"val_images": np.array([object()]), "val_labels": np.zeros(3)}
    assert npz(write_npz(tmp_path / "b.npz", ten(4, 5), ten(4, 5), **extra)).digest == plain.digest


def test_copies_are_forgotten_together_and_reported(tmp_path, capsys):
    """MedMNIST has identical images in one training set. Fails if a twin stays in retain, or if a
    study doesn't say that test samples are copies of training samples."""
    x, y = np.repeat(ten(8, 8), 2, axis=0), np.repeat(np.arange(10), 2)
    tested = ten(8, 8, seed=1)
    tested[:3] = x[[0, 2, 4]]
    file = write_npz(tmp_path / "twins.npz", x, tested, train_labels=y)
    split = forget_part_of_a_class(npz(file), forget_class=1, forget_share=0.5, seed=3)
    assert set(split.forget) == {2, 3}
    settings = {"path": str(file), "references": 2, "training.epochs": 1, "methods": []}
    study.train(open_run("npz", tmp_path / "run", seeds=[0], settings=settings))
    assert "warning: 3 of 10 test samples (1 of what is forgotten)" in capsys.readouterr().out


def test_the_middle_of_an_image_is_kept(tmp_path):
    """Fails if a wide image is squeezed, or its left end taken."""
    folder = write_folder(tmp_path / "folder", ten(8, 8, 3), ten(8, 8, 3))
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    Image.fromarray(wide).save(folder / "train" / "c" / "0.png")
    assert (image_folder(folder, size=10).train[0][2] == 200).all()


def test_images_are_decoded_once_and_anew_when_one_changes(tmp_path, monkeypatch):
    """Fails if images are decoded on every opening, or an old cache outlives a changed file."""
    folder = write_folder(tmp_path / "folder", ten(8, 8, 3), ten(8, 8, 3))
    before = image_folder(folder, size=8)
    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", lambda *a: pytest.fail("decoded again"))
        assert image_folder(folder, size=8).digest == before.digest
    Image.new("L", (8, 8), 77).save(folder / "val" / "b" / "0.png")
    assert (image_folder(folder, size=8).test[0][1] == 77).all()
    assert image_folder(folder, size=4).train[0].shape == (10, 3, 4, 4)


def write_texts(folder: Path, train: str, test: str | None = None) -> Path:
    for name, rows in (("train", train), ("test", test)):
        if rows is not None:
            (folder / f"{name}.tsv").write_text(rows, encoding="utf-8")
    return folder


def test_a_words_vector_is_bits_of_a_hash():
    """The same on every machine. Fails with Python's salted ``hash``, or another byte order."""
    digest = hashlib.shake_256("crème".encode()).digest(2)
    bits = [(byte >> k) & 1 for byte in digest for k in range(7, -1, -1)]
    assert vector("crème", 16).tolist() == [2.0 * b - 1 for b in bits]
    assert vector("crème", 11).tolist() == vector("crème", 16).tolist()[:11]


def test_a_column_for_each_word_or_mark_and_zeros_behind(tmp_path):
    """Fails if a window is cut in front, words are not in their order, or a quotation mark ends a
    text; a third column is not read."""
    rows = 'ham\tOne don’t \nspam\tone, 5 p.m.\t3\n\nham\t"!\n'
    data = text(write_texts(tmp_path, rows, "spam\tnew\n"), dim=8, length=3)
    words = [["one", "don’t"], ["one", ",", "5"], ['"', "!"]]
    expected = np.zeros((3, 8, 3), np.float32)
    for i, window in enumerate(words):
        expected[i, :, : len(window)] = np.stack([vector(w, 8) for w in window], axis=1)
    assert np.array_equal(data.train[0].numpy(), expected)
    assert data.train[1].tolist() == [0, 1, 0]
    assert data.test[1].tolist() == [1]
    assert data.classes == ("ham", "spam")
    assert data.bounds is None


def test_every_text_is_there_once(tmp_path):
    """Repeats by case, space or what is cut off are the same x. Fails if one stands on both sides,
    is counted wrongly, or changes the numbers of another text."""
    train = "a\tone two\nb\tthree\na\tOne  TWO\nb\tx y z t u\nb\t!?\n"
    data = text(
        write_texts(tmp_path, train, "a\tthree\na\tnew\nb\tx y z t v\na\tNew\na\t \n"), length=4
    )
    assert (len(data.train[0]), data.train[1].tolist()) == (4, [0, 1, 1, 1])
    assert (len(data.test[0]), data.test[1].tolist()) == (1, [0])
    assert "5 repeats dropped" in data.provenance
    few = text(write_texts(tmp_path, "a\tone two\nb\tthree\n", "a\tnew\n"), length=4)
    assert torch.equal(few.train[0], data.train[0][:2])
    assert torch.equal(few.test[0], data.test[0])


def test_a_third_of_each_class_is_tested_on_where_there_is_no_test_side(tmp_path):
    rows = "".join(f"{'ab'[i % 3 == 0]}\tthis is {i}\n" for i in range(45))
    folder = write_texts(tmp_path, rows)
    data = text(folder)
    assert data.test[1].bincount().tolist() == [10, 5]
    assert data.train[1].bincount().tolist() == [20, 10]
    assert text(folder / "train.tsv").digest == data.digest


def real(name: str) -> Path:
    """A file of the folder; without it the test is skipped."""
    if not (REAL / name).is_file():
        pytest.skip(f"{REAL / name} is not there: RURKLIB_DATA names a folder of real data")
    return REAL / name


def test_pneumoniamnist():
    """Fails if validation images come in, or if one of the seven X-rays that stand twice in the
    training set is forgotten without its twin."""
    data = npz(real("pneumoniamnist.npz"))
    assert (data.train[0].shape, data.test[0].shape) == ((4708, 1, 28, 28), (624, 1, 28, 28))
    assert data.train[1].bincount().tolist() == [1214, 3494]
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
    """Fails if a line is lost or cut at a quotation mark, or if a text stands on both sides."""
    runpy.run_path(str(real("unpack.py")))[name](tmp_path / name)
    data = text(tmp_path / name, length=length, dim=16)
    assert data.classes == classes
    repeats = int(data.provenance.split(" repeats dropped")[0].split()[-1])
    assert len(data.train[0]) + len(data.test[0]) + repeats == texts
    trained, tested = ({x.numpy().tobytes() for x in part[0]} for part in (data.train, data.test))
    assert not trained & tested
    assert len(trained) == len(data.train[0])


def test_cifar(tmp_path):
    """The first image is a frog, the second a truck. Fails if rows, columns or colours change
    places, or if small CIFAR-5 is not each class's first 200, in official order."""
    found = []
    for pack, part, mosaics in (("cifar10_train_a", "train", 1), ("cifar10_test", "test", 2)):
        with np.load(real(f"{pack}.npz")) as file:
            names = [f"{part}_webp_{k:02d}" for k in range(mosaics)]
            tiles = [np.asarray(Image.open(io.BytesIO(file[name].tobytes()))) for name in names]
            parted = np.stack(tiles).reshape(-1, 50, 32, 50, 32, 3).transpose(0, 1, 3, 2, 4, 5)
            found += [parted.reshape(-1, 32, 32, 3), file["labels"][: 2500 * mosaics]]
    keys = ("train_images", "train_labels", "test_images", "test_labels")
    np.savez(tmp_path / "c.npz", **dict(zip(keys, found, strict=True)))
    whole, small = cifar10(tmp_path / "c.npz"), cifar5(tmp_path / "c.npz")
    x, y = whole.train
    assert y[:4].tolist() == [6, 9, 9, 4]
    assert x[0, :, 0, 0].tolist() == [59, 62, 63]
    for (few, labels), (every, every_y) in ((small.train, whole.train), (small.test, whole.test)):
        assert labels.bincount().tolist() == [200] * 5
        assert (few[labels == 3] == every[every_y == 3][:200]).all()
