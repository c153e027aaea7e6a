"""Weights that ``torch.save`` wrote: read in another process, by the restricted loader."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rurklib import InputError
from rurklib.study.audit.files import read_weights


class Trap:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def test_weights_as_people_have_them_are_read_elsewhere(folder, tmp_path, monkeypatch):
    """Also by DataParallel, and within a trainer's checkpoint. Fails if this process unpickles."""
    ours = folder / "original.safetensors"
    own = load_file(ours)
    paths = [tmp_path / f"{name}.pt" for name in ("bare", "state_dict", "model")]
    torch.save(own, paths[0])
    for path in paths[1:]:
        torch.save({"epoch": 3, path.stem: {f"module.{k}": v for k, v in own.items()}}, path)
    monkeypatch.setattr(torch, "load", None)
    read = read_weights([ours, *paths])
    for loaded in read.values():
        assert loaded.keys() == own.keys()
        assert all(torch.equal(loaded[k], own[k]) for k in own)
    assert list(read) == [ours, *paths]


def test_a_pickle_that_runs_code_runs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(1), "x": Trap()}, "m.pt")
    with pytest.raises(InputError, match=r"m.pt can't be read as weights"):
        read_weights([Path("m.pt")])
    assert not Path("sprung").exists()
