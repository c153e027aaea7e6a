"""Files: whole or not there, and refused when they aren't what they say."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from rurklib import InputError
from rurklib.study import files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    """An exception halfway leaves the old file and no partial. Fails if the file is written in
    place."""
    path = tmp_path / "deep" / "a.txt"
    files.write(path, "old")

    def halfway(partial):
        partial.write_text("new, but not w")
        assert path.read_text() == "old"
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"), files.replacing(path) as partial:
        halfway(partial)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]
    files.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_partials_of_a_killed_process_are_swept_and_nothing_else(tmp_path):
    path = tmp_path / "models" / "a.safetensors"
    with files.replacing(path) as stale:
        stale.write_text("whole")
    stale.write_text("half-written")
    notes = tmp_path / "partial.txt"
    notes.write_text("mine")
    files.sweep(tmp_path)
    assert not stale.exists()
    assert path.read_text() == "whole"
    assert notes.exists()


def weights() -> dict[str, torch.Tensor]:
    gen = torch.Generator().manual_seed(0)
    return {
        "w": torch.randn(3, 4, generator=gen).T,  # not contiguous
        "scalar": torch.tensor(0.25),
        "steps": torch.tensor(7),
        "double": torch.rand(2, generator=gen, dtype=torch.float64),
    }


def test_weights_come_back_to_the_bit(tmp_path):
    path = tmp_path / "m.safetensors"
    files.save_weights(path, weights(), "f00d", method="GD", seed=3)
    tensors, fingerprint, record = files.load_weights(path)
    assert fingerprint == "f00d"
    assert record == {"method": "GD", "seed": 3}
    assert tensors.keys() == weights().keys()
    for name, tensor in weights().items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert files.weights_digest(tensors) == files.weights_digest(weights())


def test_the_digest_of_weights_sees_names_types_and_every_bit():
    one = weights()
    others = [
        {**one, "steps": torch.tensor(8)},
        {**one, "scalar": torch.tensor(0.25, dtype=torch.float64)},
        {**one, "w": one["w"].contiguous().view(3, 4)},
        {("v" if k == "w" else k): v for k, v in one.items()},
    ]
    digests = {files.weights_digest(w) for w in (one, *others)}
    assert len(digests) == 5
    assert files.weights_digest(dict(reversed(one.items()))) in digests


def test_a_checkpoint_that_is_not_ours_or_not_whole_is_refused(tmp_path):
    """Fails if the digest in the header isn't compared with the content, for one."""
    path = tmp_path / "m.safetensors"
    save_file(weights() | {"w": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="foreign checkpoint"):
        files.load_weights(path)
    files.save_weights(path, weights(), "f00d")
    whole = path.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    unreadable = "not a readable checkpoint"
    for content, why in (
        (flipped, "m.safetensors is corrupted"),
        (whole[:-8], unreadable),
        (whole[:20], unreadable),
        (b"", unreadable),
        (b"PK\x03\x04 not safetensors at all", unreadable),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{why}.*delete it"):
            files.load_weights(path)
    path.unlink()
    with pytest.raises(InputError, match=unreadable):
        files.load_weights(path)


def test_arrays_come_back_and_damage_is_found(tmp_path):
    path, arrays = tmp_path / "a.npz", {"hits": np.arange(999), "models": np.array(["a", "b"])}
    files.save_arrays(path, arrays, "f00d")
    back, fingerprint = files.load_arrays(path)
    assert fingerprint == "f00d"
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[k], arrays[k]) for k in arrays)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (whole[: len(whole) // 2], b"", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a.npz is not readable"):
            files.load_arrays(path)


def test_arrays_without_a_fingerprint_or_with_objects_are_refused(tmp_path):
    """Nothing is ever unpickled."""
    path = tmp_path / "a.npz"
    np.savez(path, hits=np.arange(3))
    with pytest.raises(InputError, match="fingerprint"):
        files.load_arrays(path)
    np.savez(path, hits=np.array([{}], dtype=object), fingerprint=np.array("f00d"))
    with pytest.raises(InputError, match="not readable"):
        files.load_arrays(path)


def test_frames_are_written_with_the_same_bytes_every_time(tmp_path):
    """Eight significant digits, Unix line ends, an empty cell for NaN."""
    frame = pd.DataFrame({"tau": [0.0, 0.1 + 0.2], "n": [1, 2], "low": [np.nan, 1 / 3]})
    path = tmp_path / "f.csv"
    files.write_frame(path, frame)
    assert path.read_bytes() == b"tau,n,low\n0,1,\n0.3,2,0.33333333\n"


def test_json_comes_back_and_damage_is_found(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"b": [1, 2], "a": "x"})
    assert files.read_json(path) == {"a": "x", "b": [1, 2]}
    one = path.read_bytes()
    files.write_json(path, {"a": "x", "b": [1, 2]})
    assert path.read_bytes() == one
    for content in (b'{"a": ', b"\xff\xfe", b"3", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a.json is not readable as JSON"):
            files.read_json(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": float("nan")})
