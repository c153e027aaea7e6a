"""Models, data and code as a user has them, and a command about them that works."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

from rurklib.study.cli.main import main
from rurklib.tensors import generator

CODE = """
from helper import WIDTH
from torch import nn

def build():
    return nn.Sequential(nn.Linear(24, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3))

def breaks():
    raise RuntimeError("no such file\\nin two lines")

def seven():
    return 7

def ends():
    raise SystemExit(0)

class Lost(nn.Sequential):
    def forward(self, x):
        raise KeyError("no")

def lost():
    return Lost(nn.Linear(24, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3))

def wide():
    return nn.Sequential(nn.Linear(24, 65), nn.ReLU(), nn.Linear(65, 3))
"""
WORKS = {
    "model": "m.py:build",
    "weights": "original.safetensors",
    "references": [f"a{i}.safetensors" for i in range(6)],
    "data": "data.npz",
    "forget": "forget.npy",
    "taus": "0,0.1,0.2",
    "draws": 10,
}


@pytest.fixture(scope="session")
def folder(planted, tmp_path_factory) -> Path:
    """Models, data and code as a user has them."""
    at = tmp_path_factory.mktemp("mine")
    (at / "m.py").write_text(CODE)
    (at / "helper.py").write_text("WIDTH = 64\n")
    references = {f"a{i}": m for i, m in enumerate(planted.references)}
    own = {"original": planted.original, "retrained": planted.retrained}
    for name, model in {**own, **references}.items():
        save_file(model.state_dict(), at / f"{name}.safetensors")
    np.savez(at / "data.npz", x=planted.x.numpy(), y=planted.y.numpy())
    for name in ("forget", "kept", "held_out"):
        np.save(at / f"{name}.npy", getattr(planted, name).numpy())
    hx, hy = planted.pair("held_out")
    np.savez(at / "test.npz", x=hx.numpy(), y=hy.numpy()[:, None])
    return at


@pytest.fixture
def always() -> Callable[[int, int], nn.Module]:
    """``always(answer, seed)``: a net that gives one answer, whatever it is shown, and is surer of
    it here than there."""

    def make(answer: int, seed: int) -> nn.Module:
        net = nn.Linear(24, 3)
        net.weight.data = 0.1 * torch.randn(3, 24, generator=generator(seed))
        net.bias.data = 9.0 * nn.functional.one_hot(torch.tensor(answer), 3)
        return net.eval()

    return make


@pytest.fixture
def audit(folder, monkeypatch) -> Callable:
    """``audit(**changed)``: the result of a command that works in ``folder``, but for what is
    changed (None: left out)."""
    monkeypatch.chdir(folder)

    def run(**changed):
        words = ["audit"]
        for name, value in (WORKS | changed).items():
            if value is not None:
                several = value if isinstance(value, list) else [value]
                words += [f"--{name.replace('_', '-')}", *map(str, several)]
        return CliRunner().invoke(main, words)

    return run
