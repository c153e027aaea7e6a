"""Three tasks of the inspector: answers are so by the models; what is missing is named."""

from copy import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch.nn.functional as F

from rurklib.study.inspector.choices import AIMS
from rurklib.study.inspector.tasks import TASKS, example, question
from rurklib.study.inspector.view import Inspector
from rurklib.study.panels.guide import guided
from rurklib.study.panels.inspector import InspectorPanel

BY_NAME = {task.name: task for task in TASKS}


@pytest.fixture(scope="module")
def pushed(inspector) -> Inspector:
    """The inspector, with methods that say zero of everything."""
    never = SimpleNamespace(of_many=lambda copies: F.one_hot(copies[:, 0, 0, 0].long() * 0, 10))
    other = copy(inspector)
    other.forwards = inspector.forwards | {"GD": never, "RURK": never}
    return other


def test_a_method_that_knows_as_few_as_a_re_trained_model_did_not_overdo_it(pushed, answers):
    """Its ratio is below 1 all the same, and so is that of a re-trained model."""
    other, never = copy(pushed), pushed.forwards["GD"]
    nine = SimpleNamespace(of_many=lambda copies: never.of_many(copies).roll(9, 1))
    known = dict.fromkeys(pushed.references, nine) | {"Re-train 1000": never}
    other.forwards = pushed.forwards | known
    right, why = BY_NAME["Overdone"].check(other, answers["Overdone"])
    assert not right
    assert "after 12 copies. It knows 0, re-trained models 0 to 12, one of them as few" in why


@pytest.fixture(scope="module")
def answers(pushed) -> dict[str, dict]:
    """Settings that answer each task, as its search finds them."""
    return {task.name: example(pushed, task) for task in TASKS}


def knows(inspector: Inspector, name: str, state: dict, perturbation: str, draws) -> np.ndarray:
    """Of copies made here, those that a model recognises, asked of the model itself."""
    copies = inspector.copies(
        state["sample"], perturbation, state["tau"], draws, state["found_on"], state["steps"]
    )
    return (inspector.models[name](copies).argmax(1) == inspector.y[state["sample"]]).numpy()


def test_examples_are_answers_by_the_models_themselves(inspector, answers):
    s = answers["Only Original"]
    asked = {
        name: knows(inspector, name, s, "gaussian", [s["draw"]])[0] for name in inspector.models
    }
    assert asked["Original"]
    assert not any(asked[name] for name in inspector.references)
    s, draws = answers["Overdone"], range(inspector.run.scenario.draws)
    assert s["model"] in ("GD", "RURK")
    assert np.mean([knows(inspector, r, s, "gaussian", draws) for r in inspector.references]) > 0.5
    s = answers["Not fooled"]
    law, found_on = "pgd-untargeted", s["found_on"]
    assert knows(inspector, found_on, {**s, "tau": 0.0}, law, [0])[0]
    assert not knows(inspector, found_on, s, law, [s["draw"]])[0]
    assert knows(inspector, "Original", s, law, [s["draw"]])[0]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("Only Original", {"kind": "PGD"}, "not PGD"),
        ("Only Original", {"tau": 0.1}, "tau is 0.1: move it to 0.2"),
        ("Only Original", {"sample": "easy"}, "3 of 3 re-trained models"),
        ("Only Original", {"tau": 0.4}, "Original doesn't know"),
        ("Overdone", {"kind": "uniform"}, "not uniform"),
        ("Overdone", {"model": "Original"}, "Original wasn't made to forget"),
        ("Overdone", {"model": "Re-train 1000"}, "Re-train 1000 wasn't made to forget"),
        ("Overdone", {"sample": "easy", "model": "GD"}, "not wholly below 1"),
        ("Not fooled", {"kind": "Gaussian"}, "FGSM or PGD"),
        ("Not fooled", {"aim": AIMS[0]}, "away from y"),
        ("Not fooled", {"found_on": "Original"}, "not on Original"),
        ("Not fooled", {"tau": 0.0}, "still knows it"),
        ("Not fooled", {"tau": 0.4}, "Original is fooled as well"),
        ("Not fooled", {"sample": "hard"}, "doesn't know even the unchanged image"),
    ],
)
def test_what_is_missing_is_named(inspector, answers, name, change, said):
    own, others = inspector.hits("Original")
    known = {"easy": int((own + others.sum(0)).argmax()), "hard": int(others.sum(0).argmin())}
    change = {k: known.get(v, v) for k, v in change.items()}
    right, why = BY_NAME[name].check(inspector, {**answers[name], **change})
    assert not right
    assert said in why


def test_buttons_ask_check_and_show_one(inspector, pushed):
    panel = InspectorPanel(pushed)
    _, row, bar, _ = guided(panel).children
    asked, acts, said = bar.children[2].children
    check, show = acts.children
    for button, task in zip(row.children, TASKS, strict=True):
        panel.set(kind="Gaussian", tau=0.0, model="Original")
        button.click()
        assert task.name in button.description
        assert question(inspector, task) in asked.value
        assert "nine" in asked.value
        check.click()
        assert "✗" in said.value
        show.click()
        assert "✓" in said.value
        assert task.check(pushed, panel.state).right
        panel.set(tau=0.1)
        assert "check again" in said.value
    _, row, bar, _ = guided(InspectorPanel(inspector)).children
    acts, said = bar.children[2].children[1:]
    row.children[1].click()  # overdone: as it is, no method here is
    acts.children[1].click()
    assert "None was found" in said.value
