"""Counts of right answers, references that guess, and a row for each forget sample."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import rurklib
from rurklib import InputError
from rurklib.residual.verdict import NO_VERDICT, RESIDUAL
from rurklib.study.audit.plain import CHANCE, UNLIKE, samples_table

WRONG = {"label_order": "1,2,0", "held_out": "test.npz"}  # every model guesses, and worse
ASKED = {"taus": [0, 0.1], "draws": 4}


def right_on(model, samples) -> int:
    x, y = samples
    return int((model(x).argmax(1) == y).sum())


def test_plain_counts_stand_first(planted, tmp_path, audit):
    """In the terminal, on the page and in the record. Fails if they are of noisy copies, or tau 0
    has to be measured for them."""
    models = [planted.original, *planted.references]
    counts = {g: [right_on(m, planted.pair(g)) for m in models] for g in ("forget", "held_out")}
    lines = set()
    for taus in ("0,0.3", "0.3"):
        out = tmp_path / taus
        done = audit(out=out, taus=taus, held_out="test.npz")
        lines.add(done.output.splitlines()[0])
        html = (out / "report.html").read_text()
        assert done.output.splitlines()[0] in html
        assert html.index("Right, without noise") < html.index("(p = ")
        right = json.loads((out / "audit.json").read_text())["right"]
        assert right["forgotten"].pop("of") == 45
        assert right["held out"].pop("of") == 200
        names = ["model", *(f"a{k}.safetensors" for k in range(6))]
        for group, hits in zip(("forgotten", "held out"), counts.values(), strict=True):
            assert right[group] == dict(zip(names, hits, strict=True))
    (line,) = lines
    low, high = (f(counts["forget"][1:]) for f in (min, max))
    assert f"samples: model {counts['forget'][0]} of 45, re-trained {low} ... {high} of" in line


def test_references_that_guess_give_no_verdict_unless_that_is_meant(planted, tmp_path, audit):
    """Where every model is shown its classes in another order, no model passes. Fails if saying
    that it is meant changes nothing, or a result in Python says otherwise than the folder."""
    done = audit(out=tmp_path / "wrong", fail_on="flags,over-forgotten", **WRONG)
    assert done.exit_code == 1, done.output
    assert "\nNo verdict: references at chance: mend" in done.output
    assert "--fail-on flags: references at chance" in done.output
    assert "--fail-on over-forgotten: no verdict" in done.output
    record = json.loads((tmp_path / "wrong" / "audit.json").read_text())
    assert (record["verdict"]["finding"], record["verdict"]["p"]) == (NO_VERDICT, None)
    assert [f["name"] for f in record["flags"]] == [CHANCE]
    assert f"\nflag: {CHANCE}: " in done.output
    assert "No verdict" in (tmp_path / "wrong" / "report.html").read_text()
    plain = audit(out=tmp_path / "fine", fail_on="flags")
    assert plain.exit_code == 0, plain.output
    x, y = planted.pair("forget")
    given = planted.original, planted.references, x, (y + 1) % 3  # none of them knows these
    silent = rurklib.audit(*given, **ASKED)
    meant = rurklib.audit(*given, **ASKED, expect_chance=True)
    assert [f.name for f in meant.flags][:1] == [CHANCE]
    assert silent.verdict.finding == NO_VERDICT
    assert "--expect-chance" in repr(silent).replace("\n", " ")
    same = rurklib.residual_knowledge(*given, **ASKED).verdict
    assert meant.verdict.finding == same.finding != NO_VERDICT


def test_models_that_always_say_the_forgotten_class_acquit_nobody(planted, tmp_path, always):
    """They are right on all of it, so only samples of other classes tell. Fails if these aren't
    asked, if good models are called guessing, or held-out ones of one class are counted twice."""
    x, y = (a[planted.y[:45] == 1] for a in planted.pair("forget"))
    held_out = planted.pair("held_out")
    model, *references = (always(1, seed) for seed in range(5))
    for meant in (False, True):
        out, shown = tmp_path / str(meant), {"held_out": held_out, **ASKED}
        result = rurklib.audit(model, references, x, y, **shown, expect_chance=meant, out=out)
        assert [f.name for f in result.flags] == [CHANCE]
        assert "33 % of each class, on average over 3 classes" in result.flags[0].message
        ones = int((held_out[1] == 1).sum())
        assert set(result.right["held out, all classes"].values()) == {200, ones}
        assert result.right["held out"]["model"] == result.right["held out"]["of"] == ones
        assert (result.verdict.finding == NO_VERDICT) == (not meant)
        record = json.loads((out / "audit.json").read_text())
        assert (record["exchange"] is None) == (not meant)
    good = rurklib.audit(planted.original, planted.references, x, y, **shown)
    assert good.flags == []
    assert good.right["held out, all classes"]["of"] == 200
    only = held_out[0][:66], torch.ones(66, dtype=torch.int64)
    alone = rurklib.audit(model, references, x, y, held_out=only, **ASKED)
    assert "held out, all classes" not in alone.right


@pytest.mark.parametrize("expect_chance", [False, True])
def test_nets_that_give_one_answer_acquit_nobody(planted, always, expect_chance):
    """As without the normalisation: right on the share of one class, which is more than 1/3 of
    unequal classes. Fails if that isn't seen where forget samples are of every class; or if one of
    such nets is called one that saw them."""
    x, y = planted.pair("forget")
    unequal = torch.nonzero((y == 0) | (torch.arange(45) < 12)).flatten()
    model, *nets = (always(0, seed) for seed in range(6))
    given = {"held_out": planted.pair("held_out"), "expect_chance": expect_chance, **ASKED}
    result = rurklib.audit(model, nets, x[unequal], y[unequal], **given)
    assert (y[unequal] == 0).double().mean() > 0.5
    assert CHANCE in result.flagged
    assert "reference unlike the others" not in result.flagged
    assert (result.verdict.finding == NO_VERDICT) == (not expect_chance)


def test_held_out_samples_of_another_kind_are_no_control(planted, tmp_path):
    """Fails if a sentence is said beside them: that held-out samples (don't) show it, or that some
    are treated unlike others."""
    x, y = planted.pair("forget")
    other = planted.pair("held_out")[0], (planted.pair("held_out")[1] + 1) % 3  # nobody knows these
    given = {"held_out": other, "out": tmp_path / "out", **ASKED}
    result = rurklib.audit(planted.original, planted.references, x, y, **given)
    assert UNLIKE in result.flagged
    assert result.verdict.finding == RESIDUAL
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert "Held-out samples" not in record["verdict"]["sentence"]
    assert record["exchange"] is None
    assert UNLIKE in (tmp_path / "out" / "report.html").read_text()


def test_no_expected_accuracy_no_audit(planted, tmp_path, audit):
    """Of each model, on all held-out samples that are given. Fails if the least accurate passes."""
    models, held_out = [planted.original, *planted.references], planted.pair("held_out")
    least = min(right_on(m, held_out) for m in models) / 200
    fine = audit(out=tmp_path / "out", held_out="test.npz", expect_accuracy=least)
    assert fine.exit_code == 0, fine.output
    done = audit(out=tmp_path / "no", held_out="test.npz", expect_accuracy=least + 0.001)
    assert done.exit_code == 2
    assert f"of 200 held-out samples, {least:.4g}: expected" in done.output
    assert not (tmp_path / "no").exists()


def test_a_finding_that_rests_on_one_sample_says_so(planted, tmp_path):
    """Re-trained models, and one that knows a single sample very well. Fails if that is told as if
    it were of all; or if anything is said of Original, which knows most of them."""
    x, y = planted.pair("forget")

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(planted.retrained)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            near = ((z - x[7]).norm(dim=1) < 0.8)[:, None]
            return self.net(z) + near * 1e3 * nn.functional.one_hot(y[7:8], 3)

    given = {"held_out": planted.pair("held_out"), "indices": [*range(100, 145)], **ASKED}
    said = {}
    for name, model in (("one", One()), ("all", planted.original)):
        rurklib.audit(model, planted.references, x, y, out=tmp_path / name, **given)
        said[name] = json.loads((tmp_path / name / "audit.json").read_text())["rests_on"]
    assert said["one"].startswith("The finding rests on one sample, index 107: without it the answ")
    assert said["all"] == ""
    assert said["one"][:40] in (tmp_path / "one" / "report.html").read_text()


def test_samples_are_ranked_among_those_held_out(planted):
    """By hand. Fails if ranks cross classes, or the references' mean isn't taken away."""
    x, y = planted.pair("forget")
    given = {"bounds": (-1, 1), "held_out": planted.pair("held_out"), **ASKED}
    result = rurklib.audit(planted.original, planted.references, x, y, **given)
    table = samples_table(result)

    def apart(result):
        own, *others = (margins.mean(axis=0) for margins in result.counts.margins.values())
        return own - np.mean(others, axis=0)

    forget, held_out = apart(result), apart(result.control_results["held out"])
    first = int(forget.argmax())
    row = table.iloc[0]
    assert row["sample"] == first
    assert row.margin_difference == pytest.approx(forget[first])
    same = result.control_results["held out"].y == int(y[first])
    assert row["rank"] == pytest.approx((forget[first] > held_out[same]).mean())
    hits = np.array([own[:, first].sum() / 8 for own in result.counts.hits.values()])
    assert (row.accuracy, row.reference_accuracy) == pytest.approx((hits[0], hits[1:].mean()))
    assert table["rank"].mean() > 0.55  # it learnt them by heart
    assert table["index"].equals(table["sample"])
    with pytest.raises(InputError, match="3 indices for 45 samples: expected one each"):
        rurklib.audit(planted.original, planted.references, x, y, indices=[1, 2, 3])


def test_each_sample_is_found_in_the_data_again(planted, audit_files, tmp_path, audit):
    """Through the command, which is given indices in no order. Fails if they are its places among
    the forget samples, or go with other rows."""
    mixed = planted.forget.flip(0)[:20]
    np.save(audit_files / "mixed.npy", mixed.numpy())
    assert audit(forget="mixed.npy", out=tmp_path / "o", taus="0", draws=1).exit_code == 0
    table = pd.read_csv(tmp_path / "o" / "samples.csv")
    assert table.columns[:3].tolist() == ["sample", "index", "label"]
    assert sorted(table["index"]) == sorted(mixed.tolist())
    assert (mixed.numpy()[table["sample"]] == table["index"]).all()
    assert (planted.y.numpy()[table["index"]] == table.label).all()
