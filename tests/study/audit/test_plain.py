"""What stands first in an audit, and what a set-up that isn't the training's comes to."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import rurklib
from rurklib.residual.exchange import ALIKE, LESS_SURE, SURER, Exchange
from rurklib.residual.verdict import NO_VERDICT, NONE, OVER, RESIDUAL
from rurklib.study.audit.plain import UNLIKE, rising, said, together

WRONG = {"label_order": "1,2,0", "held_out": "test.npz"}  # every model guesses, and worse


def right_on(model, samples) -> int:
    x, y = samples
    return int((model(x).argmax(1) == y).sum())


def test_plain_counts_stand_first(planted, tmp_path, audit):
    """In the terminal, on the page and in the record. Fails if they are of noisy copies, or tau 0
    has to be measured for them."""
    own = [planted.original, *planted.references]
    counts = {g: [right_on(m, planted.pair(g)) for m in own] for g in ("forget", "held_out")}
    lines = set()
    for taus in ("0,0.3", "0.3"):
        out = tmp_path / taus
        done = audit(out=out, taus=taus, held_out="test.npz")
        lines.add(done.output.splitlines()[0])
        assert done.output.splitlines()[0] in (out / "report.html").read_text()
        right = json.loads((out / "audit.json").read_text())["right"]
        assert right["forgotten"].pop("of") == 45
        assert right["held out"].pop("of") == 200
        names = ["model", *(f"a{k}.safetensors" for k in range(6))]
        for group, hits in zip(("forgotten", "held out"), counts.values(), strict=True):
            assert right[group] == dict(zip(names, hits, strict=True))
        page = (out / "report.html").read_text()
        assert page.index("Right, without noise") < page.index("level 0.05")
    (line,) = lines
    low, high = (f(counts["forget"][1:]) for f in (min, max))
    assert f"forgotten: model {counts['forget'][0]} of 45, re-trained {low} ... {high} of" in line
    result = rurklib.audit(*own[:1], own[1:], *planted.pair("forget"), taus=[0.3], draws=2)
    assert list(result.right["forgotten"].values()) == [45, *counts["forget"]]
    for k, told in ((0, "model 3 of 4."), (1, "model 3 of 4, re-trained 2 of 4.")):
        row = dict(zip(("of", "model", "a")[: k + 2], (4, 3, 2), strict=False))
        assert said({"forgotten": row}) == f"Right, without noise: on the forgotten: {told}"


def test_accuracies_stand_below_by_tau(planted, tmp_path, audit):
    """Where re-trained models begin to fail is read off them. Fails without the references' row."""
    done = audit(out=tmp_path / "out")
    found = rurklib.audit(planted.original, planted.references, *planted.pair("forget"),
                          taus=[0, 0.1, 0.2], draws=10).frame  # fmt: skip
    rows = [line.split() for line in done.output.splitlines()]
    assert ["tau", "0", "0.1", "0.2"] in rows
    assert ["re-trained", *(f"{a:.3f}" for a in found.reference_accuracy)] in rows
    assert ["model", *(f"{a:.3f}" for a in found.forget_accuracy)] in rows


def test_references_that_guess_give_no_verdict_unless_that_is_meant(tmp_path, audit):
    """Where every model is shown its classes in another order, nobody is acquitted."""
    done = audit(out=tmp_path / "wrong", fail_on="flags,over-forgotten", **WRONG)
    assert done.exit_code == 1, done.output
    assert "\nNo verdict: re-trained models are right on" in done.output
    assert "--fail-on flags: references at chance" in done.output
    assert "--fail-on over-forgotten: no verdict, which acquits nobody" in done.output
    record = json.loads((tmp_path / "wrong" / "audit.json").read_text())
    assert (record["verdict"]["finding"], record["verdict"]["p"]) == (NO_VERDICT, None)
    assert "No verdict" in (tmp_path / "wrong" / "report.html").read_text()
    plain = audit(out=tmp_path / "fine", fail_on="flags")
    assert plain.exit_code == 0, plain.output


def test_models_that_always_say_the_forgotten_class_acquit_nobody(planted, tmp_path, always):
    """They are right on all of it, so only samples of other classes tell. Fails if these aren't
    asked, if good models are called guessing, or held-out ones of one class are counted twice."""
    x, y = (a[planted.y[:45] == 1] for a in planted.pair("forget"))
    shown = {"held_out": planted.pair("held_out"), "taus": [0, 0.1], "draws": 4}
    model, *others = (always(1, seed) for seed in range(5))
    for told in ({}, {"expect_chance": True}):
        result = rurklib.audit(model, others, x, y, **shown, **told, out=tmp_path / str(len(told)))
        assert [f.name for f in result.flags] == ["references at chance"]
        assert "33 % of each class, on average over 3 classes" in result.flags[0].message
        ones = int((planted.pair("held_out")[1] == 1).sum())
        assert set(result.right["held out, all classes"].values()) == {200, ones}
        assert result.right["held out"]["model"] == result.right["held out"]["of"] == ones
        assert (result.verdict.finding == NO_VERDICT) == (not told)
        record = json.loads((tmp_path / str(len(told)) / "audit.json").read_text())
        assert (record["exchange"] is None) == (not told)
    good = rurklib.audit(planted.original, planted.references, x, y, **shown)
    assert good.flags == []
    assert good.right["held out, all classes"]["of"] == 200
    only = planted.pair("held_out")[0][:66], torch.ones(66, dtype=torch.int64)
    alone = rurklib.audit(model, others, x, y, **{**shown, "held_out": only})
    assert "held out, all classes" not in alone.right


def test_held_out_samples_of_another_kind_are_no_control(planted, tmp_path):
    """Fails if a sentence is said beside them: that held-out samples (don't) show it, or that some
    are treated unlike others."""
    x, y = planted.pair("forget")
    other = planted.pair("held_out")[0], (planted.pair("held_out")[1] + 1) % 3  # nobody knows these
    asked = {"held_out": other, "taus": [0, 0.1], "draws": 4, "out": tmp_path / "out"}
    result = rurklib.audit(planted.original, planted.references, x, y, **asked)
    assert UNLIKE in result.flagged
    assert result.verdict.finding == RESIDUAL
    assert "Held-out samples" not in str(result.verdict)
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert record["exchange"] is None
    assert "wasn't asked" in record["together"]
    assert record["together"][:50] in (tmp_path / "out" / "report.html").read_text()


def test_noise_that_drives_answers_towards_the_class_is_told():
    """Of shares that rise, and of no others."""
    for shares, told in (
        ([0.9, 0.95, 1.0], "0.900 at the first"),
        ([0.9, 1.0, 0.9], ""),
        ([1], ""),
    ):
        frame = pd.DataFrame({"reference_accuracy": shares})
        result = SimpleNamespace(frame=frame, references=("a",), guessed=False)
        assert told in rising(result)
        assert bool(rising(result)) == bool(told)
        result.guessed = True  # then it is no noise that is wrong
        assert rising(result) == ""
    nobody = pd.DataFrame({"reference_accuracy": [np.nan, np.nan]})
    assert rising(SimpleNamespace(frame=nobody, references=())) == ""


def test_a_whole_class_may_be_at_chance(planted):
    """Fails if saying so changes nothing, or a result in Python says otherwise than the folder."""
    x, y = planted.pair("forget")
    given = planted.original, planted.references, x, (y + 1) % 3  # none of them knows these
    asked = {"taus": [0, 0.1], "draws": 2}
    silent = rurklib.audit(*given, **asked)
    meant = rurklib.audit(*given, **asked, expect_chance=True)
    assert [f.name for f in meant.flags][:1] == ["references at chance"]
    assert silent.verdict.finding == NO_VERDICT
    assert "--expect-chance" in repr(silent).replace("\n", " ")
    same = rurklib.residual_knowledge(*given, **asked).verdict
    assert meant.verdict.finding == same.finding != NO_VERDICT


def test_no_expected_accuracy_no_audit(planted, tmp_path, audit):
    """Of each model, on all held-out samples that are given. Exit code 2, one line, no folder."""
    held_out = planted.pair("held_out")
    worst = min(right_on(m, held_out) for m in [planted.original, *planted.references]) / 200
    first = right_on(planted.original, held_out)
    fine = audit(out=tmp_path / "out", held_out="test.npz", expect_accuracy=worst)
    assert fine.exit_code == 0, fine.output
    cases = [
        ({"held_out": "test.npz", "expect_accuracy": worst + 0.001}, "safetensors is right on"),
        (WRONG | {"expect_accuracy": 0.7}, "original.safetensors is right on "),
        ({"expect_accuracy": 0.7}, "--expect-accuracy 0.7 needs --held-out or --retain: samples"),
        ({"expect_accuracy": 7}, "--expect-accuracy = 7.0: expected a finite number in [0, 1]"),
        ({"retain": "kept.npy", "expect_accuracy": 1}, " of 255 retained samples, 0."),
        (
            {"held_out": "test.npz", "expect_accuracy": 1},
            f"original.safetensors is right on {first} of 200 held-out samples, {first / 200:.4g}: "
            "expected 1 or more (--expect-accuracy); mend normalisation (--mean, --std), the "
            "order of labels (--label-order), or the weights",
        ),
    ]
    for changed, says in cases:
        done = audit(out=tmp_path / "none", **changed)
        assert done.exit_code == 2, done.output
        assert says in done.output
        assert len(done.output.strip().splitlines()) == 1
        assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("word", ["residual", "over-forgotten"])
def test_who_asks_for_a_finding_is_not_answered_by_no_verdict(tmp_path, audit, word):
    """Fails if a pipeline passes for want of re-trained models."""
    asked = {"held_out": "test.npz", "taus": "0", "references": None}
    done = audit(out=tmp_path / "out", fail_on=word, weights="retrained.safetensors", **asked)
    assert done.exit_code == 1
    assert f"--fail-on {word}: no verdict, which acquits nobody; it says why above" in done.output


def treated(finding: str, references: int = 3) -> Exchange:
    z = np.array([-3.0 if finding == LESS_SURE else 3.0])
    return Exchange(0.9 if finding == ALIKE else 0.01, z, z, (45, 200), references)


@pytest.mark.parametrize(
    ("first", "second", "held_out", "says"),
    [
        (RESIDUAL, ALIKE, RESIDUAL, "above them on the forget samples and on held-out ones"),
        (RESIDUAL, ALIKE, NONE, "seen by the first alone"),
        (RESIDUAL, ALIKE, None, "above them on the forget samples; the second"),
        (OVER, ALIKE, OVER, "So far it knows less of the classes"),
        (NONE, SURER, NONE, "yet surer of the forget samples than of held-out ones"),
        (NONE, LESS_SURE, NONE, "yet less sure of the forget samples than of held-out"),
        (RESIDUAL, LESS_SURE, RESIDUAL, "above re-trained ones on the forget samples, and more so"),
        (OVER, SURER, OVER, "below re-trained ones on the forget samples, and more so"),
        (RESIDUAL, SURER, NONE, ""),
        (OVER, LESS_SURE, NONE, ""),
        (NONE, ALIKE, RESIDUAL, ""),
        (NO_VERDICT, SURER, NONE, ""),
    ],
)
def test_two_answers_that_seem_to_contradict_are_explained(first, second, held_out, says):
    beside = held_out and SimpleNamespace(finding=held_out)
    told = together(SimpleNamespace(finding=first), treated(second), beside)
    assert says in told
    assert told.startswith("Both are true: ") == bool(says)
    assert told == told.replace("  ", " ").strip()
    assert together(SimpleNamespace(finding=first), None) == ""


def test_the_third_sentence_is_told(folder, tmp_path, audit):
    """Wherever the other two are. Fails if it is made and shown nowhere."""
    np.save(folder / "half.npy", np.arange(23))
    np.save(folder / "rest.npy", np.arange(23, 45))  # the model remembers those as well
    done = audit(out=tmp_path / "out", forget="half.npy", held_out="rest.npy")
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert record["exchange"]["finding"] == ALIKE
    assert record["verdict"]["finding"] == RESIDUAL
    assert record["together"].startswith("Both are true: ")
    assert record["together"] in done.output.splitlines()
    assert record["together"][:60] in (tmp_path / "out" / "report.html").read_text()


def test_one_re_trained_model_and_none_in_words(tmp_path, audit):
    for k, words in (
        (0, "no re-trained model was there to compare."),
        (1, "a re-trained model's was taken off."),
    ):
        assert f"chance would give; {words}" in str(treated(ALIKE, k))
        files = [f"a{i}.safetensors" for i in range(k)] or None
        out = tmp_path / str(k)
        done = audit(out=out, references=files, held_out="test.npz", taus="0")
        assert words in done.output
        page = (out / "report.html").read_text()
        assert words.replace("'", "&#x27;") in page
        assert f"{k or 'no'} re-trained reference{'s' * (k == 0)}, seed 0" in page
    said = str(treated(ALIKE, 2))
    assert "the mean of 2 re-trained models' was taken off. A difference of" in said
    assert said.endswith("is found in four of five cases.")
    assert str(treated(SURER, 2)).endswith("the mean of 2 re-trained models' was taken off.")
