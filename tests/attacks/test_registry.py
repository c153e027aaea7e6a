"""The setting is checked once; any attack's numbers come back part by part."""

import math
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


def test_a_distance_beyond_thirty_steps_reach_is_found(linear):
    """z = (0, w x - 30) along one axis of 64, y = 1 recognised at distances of 30 / |w|: 5 and 15,
    further than a radius grows in thirty steps. Fails if it is taken for the box's diagonal. And an
    infinite box has the samples' own diagonal."""
    x, y = torch.zeros(2, 64), torch.tensor([0, 0])
    x[1, 0] = 20.0
    for length in (5.0, 15.0):
        w = torch.zeros(2, 64)
        w[1] = 30 / length / 8
        for bounds in (None, (-1e3, 1e3)):
            own = AttackSetting(Measurement((0.1,), bounds=bounds), {}, (x, y), (x, y), (x, y))
            model = linear(w.tolist(), [0.0, -30.0], dtype=torch.float32)
            found = ATTACKS["distance L2"](model, x, y, own)[0]
            assert found.item() == pytest.approx(length, rel=0.01)
            found = ATTACKS["distance L-inf"](model, x, y, own)[0]
            assert found.item() == pytest.approx(length / 8, rel=0.01)
    never = linear(torch.zeros(2, 64).tolist(), [1.0, 0.0], dtype=torch.float32)
    for bounds in (None, (-math.inf, math.inf), (0.0, 20.0)):
        own = AttackSetting(Measurement((0.1,), bounds=bounds), {}, (x, y), (x, y), (x, y))
        assert ATTACKS["distance L2"](never, x, y, own).tolist() == [160.0, 160.0]


def test_noise_is_about_the_model_that_is_asked(setting, cnn, images):
    """Fails if a setting remembers another model's copies, or a searched perturbation has none to
    search on."""
    x, y = images(7)
    first, second = cnn(1), cnn(2)
    for law in ("gaussian", "fgsm"):
        own = replace(setting, measured=replace(setting.measured, perturbation=law))
        found = [ATTACKS["noise (margin)"](m, x, y, own).tolist() for m in (first, second, first)]
        assert found[0] == found[2] != found[1]


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
