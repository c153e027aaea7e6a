"""Copies found on another model: on linear models what they do is known exactly."""

from dataclasses import replace

import pytest
import torch

from rurklib.attacks.registry import ATTACKS, SHOWN, AttackSetting, attack
from rurklib.attacks.transfer import transferred
from rurklib.residual.spec import Measurement

REACH = 0.2 * 0.5  # the setting's share of the largest tau
X = torch.tensor([[0.3, 0.8], [0.6, 0.1], [0.5, 0.4]])
Y = torch.tensor([0, 1, 0])


@pytest.fixture
def nets(linear):
    """Two linear models of two classes that agree about the first feature and not the second."""
    weights = {"model": [[2.0, 1.0], [0.0, 0.0]], "source": [[3.0, -1.0], [0.0, 0.0]]}
    return {name: linear(w, dtype=torch.float32) for name, w in weights.items()}


@pytest.fixture
def setting(nets):
    measured = Measurement((0.0, 0.5), draws=2, bounds=None)
    pair = (X, Y)
    return AttackSetting(
        measured, {"0": torch.zeros(3, 2)}, pair, pair, pair, sources={"Original": [nets["source"]]}
    )


def test_a_copy_goes_where_the_source_is_led_and_is_judged_by_the_model(nets, setting):
    """Class 0's copies move by -0.1 sign (3, -1), class 1's the other way; the model's margin of
    class 0 is 2 a + b, so it falls by 0.1 * (2 - 1). Fails if the search is on the model itself
    (by 0.3), or the source judges (by 0.4)."""
    sign = torch.where(Y == 0, 1.0, -1.0)
    expected = sign * (X @ torch.tensor([2.0, 1.0])) - REACH * (2 - 1)
    found = transferred(nets["model"], X, Y, setting, "Original")
    assert torch.allclose(found, expected.double(), atol=1e-5)
    own = ATTACKS["PGD away"](nets["model"], X, Y, setting)
    assert torch.allclose(own, expected.double() - REACH * (3 - 1), atol=1e-5)


def test_several_sources_are_rows_and_none_is_no_attack(nets, setting):
    both = replace(setting, sources={"Original": [nets["source"], nets["model"]]})
    asked = {name: ATTACKS[name] for name in SHOWN}
    found = attack(nets["model"], {"a": (X, Y)}, both, asked)
    assert list(found) == ["transfer, Original"]
    assert found["transfer, Original"]["a"].shape == (2, 3)
    alone = attack(nets["model"], {"a": (X, Y)}, setting, asked)["transfer, Original"]["a"]
    assert found["transfer, Original"]["a"][0] == pytest.approx(alone)
