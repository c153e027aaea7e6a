"""Three guided steps: in the inspector by the study's counts, named as on the live page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rurklib.study.page
from rurklib.study.inspector.steps import HEADINGS, NAMES, steps, word_of
from rurklib.study.panels.guide import guided
from rurklib.study.panels.inspector import InspectorPanel


@pytest.fixture(scope="module")
def told(inspector):
    return steps(inspector)


def test_the_steps_are_called_as_on_the_live_page(inspector, told):
    html = (Path(rurklib.study.page.__file__).parent / "page.html").read_text(encoding="utf-8")
    for name, step, heading in zip(NAMES, told, HEADINGS, strict=True):
        assert f">{name}<" in html
        assert (step.name, step.heading) == (name, heading.format(word="nine"))
    assert word_of(inspector.run) == "nine"


def test_they_say_what_the_study_counted(inspector, told):
    """Fails if tau = 0 is counted, a method is taken for a reference, or Original for a method."""
    hits = {name: inspector.hits(name)[0] for name in inspector.models}
    others = np.stack([hits[name] for name in inspector.references])
    first, again, hard = (step.settings["sample"] for step in told)
    assert first == again == inspector.order[0]
    assert f"24 copies of it, Original recognises {hits['Original'][first]}." in told[0].text
    low, high = others[:, first].min(), others[:, first].max()
    keeper = told[1].settings["model"]
    assert hits[keeper][first] == max(hits["GD"][first], hits["RURK"][first])
    assert f"recognise {low} to {high}; {keeper}, " in told[1].text
    least = min(("GD", "RURK"), key=lambda m: hits[m].sum())
    assert told[2].settings["model"] == least
    s, known = told[2].settings, {}
    for name in inspector.models:
        copy = inspector.copies(s["sample"], "gaussian", s["tau"], [s["draw"]], "Original", 1)
        known[name] = bool(inspector.models[name](copy).argmax(1) == 9)
    assert (known[least], known[inspector.references[0]]) == (False, True)
    gap = others.min(0) - hits[least]
    assert gap[hard] == gap[hits["Original"] >= others.min(0)].max()
    assert f"recognises {hits[least][hard]} of 24 copies" in told[2].text


def test_steps_that_would_say_what_is_not_so_are_left_out(inspector, monkeypatch):
    """The third where nothing is below re-trained models; all without a method, or where the study
    counted copies of another kind than those that are shown."""
    hits, run = inspector.hits, inspector.run
    known = {"Original", *inspector.references}
    with monkeypatch.context() as other:
        other.setattr(inspector, "models", {m: inspector.models[m] for m in known})
        assert steps(inspector) == []
    with monkeypatch.context() as other:
        scenario = replace(run.scenario, perturbations=("pgd", "gaussian"))
        other.setattr(inspector, "run", replace(run, scenario=scenario))
        assert steps(inspector) == []
    with monkeypatch.context() as other:  # GD and RURK answer as Original does, who knows more
        shown = {
            name: hits("Original" if name in ("GD", "RURK") else name)
            for name in known | {"GD", "RURK"}
        }
        other.setattr(inspector, "hits", shown.__getitem__)
        assert [step.name for step in steps(inspector)] == list(NAMES[:2])
    monkeypatch.setattr(inspector, "hits", lambda name: tuple(0 * h for h in hits(name)))
    assert steps(inspector) == []  # nobody knows more, or less


def test_a_button_sets_the_panel_and_says_so(inspector, told):
    panel = InspectorPanel(inspector)
    box, _, bar, _ = guided(panel).children
    words = bar.children[1]
    assert [b.description for b in box.children] == [
        f"{n}. {s.name}" for n, s in enumerate(told, 1)
    ]
    for button, step in zip(box.children, told, strict=True):
        panel.set(kind="PGD", tau=0.1)
        button.click()
        assert {k: panel.state[k] for k in step.settings} == step.settings
        assert step.heading in words.value
        assert 'role="status"' in words.value
    panel.set(sample=int(inspector.order[-1]))
    assert not words.value


def test_a_step_and_a_task_take_each_others_place(inspector):
    """Fails if the bar stays, empty, when a step's words are gone."""
    steps, found, bar, _ = guided(InspectorPanel(inspector)).children
    _, words, asked = bar.children
    question, row, said = asked.children
    found.children[0].click()
    row.children[0].click()
    assert question.value
    assert said.value
    steps.children[0].click()
    assert words.value
    assert (question.value, said.value, row.layout.display) == ("", "", "none")
    found.children[0].click()
    assert (words.value, row.layout.display) == ("", "flex")
