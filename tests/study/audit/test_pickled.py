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


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_of_two_models_in_a_checkpoint_none_is_chosen_in_silence(tmp_path):
    """Averaged weights are another model. Fails if the one that isn't served is audited."""
    own = {"w": torch.ones(1)}
    torch.save({"model": own, "ema": own}, tmp_path / "m.pt")
    with pytest.raises(InputError, match="it holds 'model' and 'ema', two models: expected one"):
        read_weights([tmp_path / "m.pt"])
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "script.pt")
    with pytest.raises(
        InputError, match=r"script\.pt can't be read as weights \(it is TorchScript"
    ):
        read_weights([tmp_path / "script.pt"])


def test_a_pickle_that_runs_code_runs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(1), "x": Trap()}, "m.pt")
    with pytest.raises(InputError, match=r"m.pt can't be read as weights"):
        read_weights([Path("m.pt")])
    assert not Path("sprung").exists()
