"""Models, data and code as a user has them, and a command about them that works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.torch import save_file

from rurklib.study.cli.main import main

CODE = """
from helper import WIDTH
from torch import nn

def build():
    return nn.Sequential(nn.Linear(24, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3))

def breaks():
    raise RuntimeError("no such file\\nin two lines")

def seven():
    return 7

def wide():
    return nn.Sequential(nn.Linear(24, 65), nn.ReLU(), nn.Linear(65, 3))
"""


@pytest.fixture(scope="session")
def folder(planted, tmp_path_factory) -> Path:
    """Models, data and code as a user has them."""
    at = tmp_path_factory.mktemp("mine")
    (at / "m.py").write_text(CODE)
    (at / "helper.py").write_text("WIDTH = 64\n")
    for name, model in {
        "original": planted.original,
        "retrained": planted.retrained,
        **{f"a{i}": m for i, m in enumerate(planted.references)},
    }.items():
        save_file(model.state_dict(), at / f"{name}.safetensors")
    np.savez(at / "data.npz", x=planted.x.numpy(), y=planted.y.numpy())
    for name in ("forget", "kept", "held_out"):
        np.save(at / f"{name}.npy", getattr(planted, name).numpy())
    hx, hy = planted.pair("held_out")
    np.savez(at / "test.npz", x=hx.numpy(), y=hy.numpy()[:, None])
    return at


@pytest.fixture(scope="session")
def words() -> Callable[..., list[str]]:
    """``words(folder, **changed)``: the words of a command that works, but for what is changed
    (None: left out)."""
    return _words


@pytest.fixture(scope="session")
def audit() -> Callable:
    """``audit(*words)``: the command's result."""
    return lambda *told: CliRunner().invoke(main, ["audit", *told])


def _words(folder: Path, **changed) -> list[str]:
    options = {
        "--model": f"{folder}/m.py:build",
        "--weights": folder / "original.safetensors",
        "--references": [folder / f"a{i}.safetensors" for i in range(6)],
        "--data": folder / "data.npz",
        "--forget": folder / "forget.npy",
        "--taus": "0,0.1,0.2",
        "--draws": 10,
        **{f"--{k.replace('_', '-')}": v for k, v in changed.items()},
    }
    told = []
    for name, value in options.items():
        if value is not None:
            told += [name, *map(str, value if isinstance(value, list) else [value])]
    return told
