"""Weights that ``torch.save`` wrote: read by the restricted loader."""

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


def test_weights_as_people_have_them_are_read(folder, tmp_path):
    """Also by DataParallel, and within a trainer's checkpoint."""
    ours = folder / "original.safetensors"
    own = load_file(ours)
    paths = [tmp_path / f"{name}.pt" for name in ("bare", "state_dict", "model")]
    torch.save(own, paths[0])
    for path in paths[1:]:
        torch.save({"epoch": 3, path.stem: {f"module.{k}": v for k, v in own.items()}}, path)
    for path in (ours, *paths):
        loaded = read_weights(path)
        assert loaded.keys() == own.keys()
        assert all(torch.equal(loaded[k], own[k]) for k in own)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_is_no_state_dict_is_refused(tmp_path):
    """Averaged weights are another model: fails if the one that isn't served is audited."""
    own = {"w": torch.ones(1)}
    torch.save({"model": own, "ema": own}, tmp_path / "two.pt")
    torch.save({**own, "best": 0.3}, tmp_path / "more.pt")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pt")
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "script.pt")
    program = torch.export.export(torch.nn.Linear(1, 1), (torch.ones(1, 1),))
    torch.export.save(program, tmp_path / "program.pt2")
    for name, why in (
        ("two.pt", "it holds model and ema: expected one model"),
        ("more.pt", "expected a state_dict, tensors by name"),
        ("whole.pt", "it holds torch.nn.modules.linear.Linear, which is code"),
        ("script.pt", "TorchScript"),
        ("program.pt2", "failed locating file data.pkl"),
    ):
        with pytest.raises(InputError, match=f"{name} can't be read as weights .*{why}"):
            read_weights(tmp_path / name)


def test_a_pickle_that_runs_code_runs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(1), "x": Trap()}, "m.pt")
    with pytest.raises(InputError, match=r"m.pt can't be read as weights"):
        read_weights(Path("m.pt"))
    assert not Path("sprung").exists()
