"""Every scenario is whole; the paper's values; what --set changes; pre-training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rurklib import InputError, study
from rurklib.data import Dataset, forget_part_of_a_class
from rurklib.models import build
from rurklib.study import scenario as scenarios
from rurklib.study.run import ModelId, open_run
from rurklib.study.scenario import SCENARIOS, describe, literal, load, read_settings
from rurklib.train import fit
from rurklib.unlearn.layers import last_layers
from rurklib.unlearn.rurk import FIRST

BASELINES = ["GD", "NGD", "GA", "NegGrad+", "EU-k", "CF-k", "SCRUB", "SSD", "RURK"]
PAPERS = ("cifar10", "cifar5-paper", "imagenet100")
FINE_TUNED = {"lr": 1e-2, "momentum": 0.9, "weight_decay": 1e-4, "batch_size": 128}
# Sections 3, B.2, B.3 and B.4; what the paper leaves open stands in the scenarios' files.
COMMON = {
    "GD": {**FINE_TUNED, "epochs": 10},
    "NGD": {**FINE_TUNED, "lr": 0.1, "sigma": 0.03, "momentum": 0.0},
    "GA": {**FINE_TUNED, "lr": 1e-5, "clip": 1.0, "epochs": 1},
    "NegGrad+": {**FINE_TUNED, "beta": 0.001, "clip": 1.0, "epochs": 1},
    "EU-k": {**FINE_TUNED, "epochs": 10},
    "CF-k": {**FINE_TUNED, "epochs": 10},
    "SCRUB": {"lr": 5e-4, "momentum": 0.9, "weight_decay": 5e-4, "alpha": 0.001},
    "SSD": {"dampening": 1.0},
    "RURK": {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "clip": 1.0, "tau": 0.03, "v": 1},
}
VALUES = [
    *((name, "seeds", (131, 42, 7)) for name in PAPERS),
    *((name, "draws", 100) for name in PAPERS),
    *((name, "forget_class", 0) for name in PAPERS),
    *((name, "forget_share", 0.5) for name in PAPERS),
    *(
        (name, f"{m}.{k}", v)
        for name in PAPERS
        for m, own in COMMON.items()
        for k, v in own.items()
    ),
    *((name, "RURK.lambda_f", 0.03) for name in PAPERS),
    *(("cifar10", f"training.{k}", v) for k, v in (("epochs", 137), ("lr", 0.01))),
    *(("cifar5-paper", f"training.{k}", v) for k, v in (("epochs", 25), ("lr", 0.01))),
    ("cifar10", "training.batch_size", 128),
    ("cifar10", "model", "resnet18"),
    ("cifar10", "validation_of_train", 0.2),
    ("cifar10", "NGD.epochs", 2),
    ("cifar10", "SCRUB.gamma", 0.6),
    ("cifar10", "SSD.alpha", 10.0),
    ("cifar10", "RURK.lambda_a", 0.00045),
    ("cifar5-paper", "model", "resnet18"),
    ("cifar5-paper", "retrain_epochs", 100),
    ("cifar5-paper", "training.weight_decay", 2e-4),
    ("cifar5-paper", "pretrain.epochs", 200),
    ("cifar5-paper", "pretrain.lr", 0.4),
    ("cifar5-paper", "NGD.epochs", 10),
    ("cifar5-paper", "SCRUB.gamma", 1.0),
    ("cifar5-paper", "SSD.alpha", 100.0),
    ("cifar5-paper", "RURK.lambda_a", 0.03),
    ("imagenet100", "model", "resnet50"),
    ("imagenet100", "validation_of_train", None),
]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_plain_data_and_every_setting_can_be_set(name):
    """Fails if one can't be written to run.json, or is another one when it is read from there."""
    scenario = SCENARIOS[name]
    settings = json.loads(json.dumps(scenario.settings()))
    methods = settings.pop("methods")
    flat = {f"{m}.{k}": v for m, own in methods.items() for k, v in own.items()}
    again = scenario.changed({**settings, **flat, "methods": list(methods)})
    assert json.loads(json.dumps(again.settings())) == json.loads(json.dumps(scenario.settings()))
    assert scenario.name == name
    assert scenario.taus[0] == 0
    assert {"GD", "GA", "NegGrad+", "RURK"} <= scenario.methods.keys()
    assert "training.epochs: " in describe(scenario)


@pytest.mark.parametrize("name", ["digits", "digits-class", "breast-cancer", "iris"])
def test_what_comes_with_scikit_learn_splits(name):
    s = SCENARIOS[name]
    options = {"forget_class": s.forget_class, "forget_share": s.forget_share}
    split = forget_part_of_a_class(s.read(), **options, seed=s.split_seed)
    assert len(split.forget) >= 20
    assert split.held_out


def test_the_papers_values():
    for name, what, value in VALUES:
        scenario = SCENARIOS[name]
        method, _, key = what.rpartition(".")
        found = (
            scenario.hyperparameters(method)[key]
            if method in scenario.methods
            else scenario.settings().get(what, getattr(scenario, what, None))
        )
        assert found == value, (name, what)
    for name in PAPERS:
        np.testing.assert_allclose(SCENARIOS[name].taus, np.linspace(0, 8 / 255, 11), atol=6e-5)
    assert list(SCENARIOS["cifar10"].methods) == BASELINES


@pytest.mark.parametrize(("name", "blocks"), [("cifar10", "01"), ("imagenet100", "12")])
def test_k_is_the_head_and_two_residual_blocks(name, blocks):
    """EU-k and CF-k train "fc and the last two residual blocks". Fails if k counts other layers."""
    net = build(SCENARIOS[name].model, 3, 10, seed=0)
    layers = last_layers(net, SCENARIOS[name].hyperparameters("EU-k")["k"])
    chosen = {id(p) for module in layers for p in module.parameters()}
    wanted = (*(f"layer4.{b}." for b in blocks), "fc.")
    for parameter, p in net.named_parameters():
        assert (id(p) in chosen) == any(w in parameter for w in wanted), parameter


@pytest.mark.parametrize("name", ["digits", "cifar5", "fashion"])
def test_a_method_in_two_steps_has_the_tuned_values_of_both(name):
    methods = SCENARIOS[name].methods
    for first in FIRST:
        assert methods[f"{first}+RURK"] == {**methods["RURK"], "first": methods[first]}


@pytest.mark.parametrize("name", ["digits", "cifar5"])
def test_a_whole_class_is_the_same_study_but_for_the_share(name):
    half, whole = SCENARIOS[name].settings(), SCENARIOS[f"{name}-class"].settings()
    assert set(whole.pop("methods")) < set(half.pop("methods"))
    assert {k for k in half if half[k] != whole[k]} == {"forget_share"}


def test_a_file_extends_another(tmp_path, monkeypatch):
    """By hand. Fails if an entry that isn't named is lost, or a list of methods loses values."""
    (tmp_path / "a.yaml").write_text(
        "{title: a, data: digits, model: mlp, forget_class: 1, taus: [0, 1.0e-1],"
        "training: {epochs: 3, lr: 1e-3}, methods: {GD: {lr: 0.5}, GA: {}, RURK: {tau: 0.1}}}"
    )
    (tmp_path / "b.yaml").write_text(
        "{extends: a, training: {epochs: 4}, methods: {GA: {lr: 0.1}}}"
    )
    (tmp_path / "c.yaml").write_text("{extends: b, title: c, methods: [GA, GD, SSD]}")
    monkeypatch.setattr(scenarios, "FOLDER", tmp_path)
    b, c = load("b"), load("c")
    assert (b.recipe.epochs, b.recipe.lr, b.recipe.batch_size) == (4, 0.001, 64)
    assert b.methods == {"GD": {"lr": 0.5}, "GA": {"lr": 0.1}, "RURK": {"tau": 0.1}}
    assert (c.title, c.recipe, c.taus) == ("c", b.recipe, (0.0, 0.1))
    assert list(c.methods.items()) == [("GA", {"lr": 0.1}), ("GD", {"lr": 0.5}), ("SSD", {})]


def test_set_changes_values(tmp_path):
    """Fails if a chosen method loses its values, or a value reaches another name."""
    digits = SCENARIOS["digits"]
    some = digits.changed({"methods": ["RURK", "GD"], "GD.epochs": 2, "training.epochs": 7})
    assert list(some.methods) == ["GD", "RURK"]
    assert some.hyperparameters("RURK") == digits.hyperparameters("RURK")
    assert some.hyperparameters("GD")["epochs"] == 2
    assert some.training("Re-train") == replace(digits.recipe, epochs=7)
    assert digits.changed({"retrain_epochs": 3}).training("Re-train").epochs == 3
    assert digits.changed({"taus": 0.2, "perturbations": "pgd"}).taus == (0.2,)
    assert digits.changed({"forget_class": "any"}).settings()["forget_class"] == "any"
    short = SCENARIOS["cifar10-cpu"].changed({"training.epochs": 1})
    assert short.training("Original").warmup == 1.0  # not refused: it shows that everything runs
    (tmp_path / "s.yaml").write_text("RURK.tau: 1e-3\nmethods: [RURK]")
    assert read_settings(tmp_path / "s.yaml") == {"RURK.tau": 0.001, "methods": ["RURK"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 0.001), ("a,b", ["a", "b"]), ("0,0.1", [0, 0.1]), ("true", True),
     ("null", None), ("flip-crop", "flip-crop"), ("{lr: 0.5}", {"lr": 0.5}), ("[", "[")],
)  # fmt: skip
def test_a_typed_value_is_yaml(text, value):
    assert literal(text) == value


def images(classes: int, seed: int) -> Dataset:
    """20 + 20 colour images of 8x8 pixels a class."""
    y = torch.arange(20 * classes) % classes
    g = torch.Generator().manual_seed(seed)
    sides = [
        (torch.randint(0, 50, (len(y), 3, 8, 8), generator=g).to(torch.uint8), y) for _ in "ab"
    ]
    return Dataset("shades", *sides, tuple(map(str, range(classes))), "random numbers")


def few(path: str) -> Dataset:
    return images(5, 0)


def many(path: str) -> Dataset:
    return images(10, 1)


def test_all_start_from_the_pre_trained_net_with_a_new_head(tmp_path, monkeypatch):
    """By hand. Fails if a net starts from scratch, or Re-train has Original's epochs or data."""
    paper = SCENARIOS["cifar5-paper"]
    small = replace(
        paper, name="small", data=few, model="small-cnn", retrain_epochs=3, references=2,
        pretrain=replace(paper.pretrain, data=many, epochs=1, lr=0.05),
        recipe=replace(paper.recipe, epochs=1), methods={"GD": {"epochs": 1}},
    )  # fmt: skip
    monkeypatch.setitem(SCENARIOS, "small", small)
    run = open_run("small", tmp_path / "run", seeds=[0])
    nets = study.train(run)
    first = build("small-cnn", 3, 10, seed=0)
    fit(first, *many("").train, small.training("Pre-train"), seed=0)
    for name in (ModelId("Original", 0), ModelId("Re-train", 1001)):
        net = build("small-cnn", 3, 5, seed=name.seed)
        state, before = net.state_dict(), first.state_dict()
        for key in list(state)[:-2]:
            state[key].copy_(before[key])
        part = "original" if name.method == "Original" else "retain"
        fit(net, *run.pair(part), small.training(name.method), seed=name.seed)
        assert all(torch.equal(v, net.state_dict()[k]) for k, v in nets[name].state_dict().items())


def test_a_scenario_names_its_seeds_and_its_data(tmp_path):
    """4 of 20 images a class validate. Fails if official test images validate."""
    rng, y = np.random.default_rng(0), np.arange(200) % 10
    x = rng.integers(0, 256, (200, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "c", train_images=x, train_labels=y, test_images=x[::-1], test_labels=y)
    settings = {"path": str(tmp_path / "c.npz")}
    run = open_run("cifar10", tmp_path / "run", settings=settings)
    assert run.seeds == (131, 42, 7)
    assert (len(run.split.original), len(run.split.forget)) == (160, 8)
    assert (len(run.split.validation), len(run.split.test)) == (40, 200)
    with pytest.raises(InputError, match="unknown setting"):
        open_run("cifar10", tmp_path / "other", settings={"epochs": 1})
