"""The setting is checked once; any attack's numbers come back part by part."""

from dataclasses import replace

import pytest
import torch

from rurklib.attacks.registry import ATTACKS, AttackSetting, attack
from rurklib.checks import InputError
from rurklib.residual.spec import Measurement


@pytest.fixture
def setting(images):
    measured = Measurement((0.0, 0.2), draws=2)
    return AttackSetting(measured, {"0": torch.zeros(7, 3)}, images(9), images(8, 1), images(3, 2))


def test_an_attack_of_ones_own_is_asked_about_all_parts_in_eval_mode(
    setting, cnn, images, left_as_found
):
    model = cnn().train()

    def first(model, x, y, setting):
        assert not model.training
        return x.flatten(1)[:, 0] + setting.reach

    parts = {"a": images(4), "b": images(3, 5)}
    with left_as_found(model):
        found = attack(model, parts, setting, {"first": first})
    for name, (x, _) in parts.items():
        assert found["first"][name].tolist() == pytest.approx((x[:, 0, 0, 0] + 0.04).tolist())


def test_shifts_and_turns_are_left_out_where_there_are_no_pictures(linear, rng):
    x, y = torch.rand(6, 4, generator=rng(0)), torch.arange(6) % 2
    model = linear(4, dtype=torch.float32)
    own = AttackSetting(Measurement((0.1,)), {"0": torch.zeros(6, 2)}, (x, y), (x, y), (x, y))
    asked = {name: ATTACKS[name] for name in ("shifts", "confidence (LiRA)", "turns")}
    assert list(attack(model, {"a": (x, y)}, own, asked)) == ["confidence (LiRA)"]


def test_what_cannot_be_used_is_named(setting, cnn, images):
    for change, named in (
        ({"steps": 0}, "steps = 0"),
        ({"queries": 1.5}, "queries = 1.5"),
        ({"share": 2.0}, "share = 2.0"),
        ({"shots": (torch.zeros(0, 1, 6, 6), torch.zeros(0))}, "shots is empty"),
    ):
        with pytest.raises(InputError, match=named):
            replace(setting, **change)
    with pytest.raises(InputError, match=r"targets '0' \(7, 3\).*\[4, 3\]"):
        attack(cnn(), {"a": images(4)}, setting)
    with pytest.raises(InputError, match="a x spans"):
        attack(cnn(), {"a": (images(7)[0] + 1, images(7)[1])}, setting)
