"""A command about a user's models that works, and nets that guess."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from rurklib.tensors import generator

WORKS = {
    "model": "m.py:build",
    "weights": "original.safetensors",
    "references": [f"a{i}.safetensors" for i in range(6)],
    "data": "data.npz",
    "forget": "forget.npy",
    "taus": "0,0.1,0.2",
    "draws": 10,
}


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
def audit(audit_files, monkeypatch, rurk) -> Callable:
    """``audit(**changed)``: the result of a command that works in ``audit_files``, but for what is
    changed (None: left out)."""
    monkeypatch.chdir(audit_files)

    def run(**changed):
        words = ["audit"]
        for name, value in (WORKS | changed).items():
            if value is not None:
                several = value if isinstance(value, list) else [value]
                words += [f"--{name.replace('_', '-')}", *map(str, several)]
        return rurk(*words)

    return run
