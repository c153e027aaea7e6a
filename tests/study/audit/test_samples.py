"""Who is known best, and who is told from held-out samples: by hand, and by scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest

import rurklib
from rurklib import InputError
from rurklib.study.audit.samples import samples_table


def test_samples_are_ranked_among_those_held_out(planted):
    """By hand. Fails if ranks cross classes, or the references' mean isn't taken away."""
    x, y = planted.pair("forget")
    held_out = planted.pair("held_out")
    given = {"taus": [0.0, 0.1], "draws": 4, "bounds": (-1, 1), "held_out": held_out}
    result = rurklib.audit(planted.original, planted.references, x, y, **given)
    table = samples_table(result)

    def apart(result):
        margins = result.counts["model"].margins.mean(axis=1)
        return margins[0] - margins[1:].mean(axis=0)

    own, theirs = apart(result), apart(result.control_results["held out"])
    first = int(own.argmax())
    row = table.iloc[0]
    assert row["sample"] == first
    assert row.margin_difference == pytest.approx(own[first])
    same = result.control_results["held out"].y == int(y[first])
    assert row["rank"] == pytest.approx((own[first] > theirs[same]).mean())
    hits = result.counts["model"].hits[:, :, first].sum(axis=1) / 8
    assert (row.accuracy, row.reference_accuracy) == pytest.approx((hits[0], hits[1:].mean()))
    assert table["rank"].mean() > 0.55  # it learnt them by heart
    assert table["index"].equals(table["sample"])
    named = samples_table(result, planted.forget + 100)
    assert named["index"].tolist() == (planted.forget[table["sample"].tolist()] + 100).tolist()
    with pytest.raises(InputError, match="3 indices for 45 samples: expected one each"):
        rurklib.audit(planted.original, planted.references, x, y, indices=[1, 2, 3])


def test_each_sample_is_found_in_the_data_again(planted, folder, tmp_path, audit):
    """Through the command, which is given indices in no order. Fails if they are its places among
    the forget samples, or go with other rows."""
    mixed = planted.forget.flip(0)[:20]
    np.save(folder / "mixed.npy", mixed.numpy())
    assert audit(forget="mixed.npy", out=tmp_path / "o", taus="0", draws=1).exit_code == 0
    table = pd.read_csv(tmp_path / "o" / "samples.csv")
    assert table.columns[:3].tolist() == ["sample", "index", "label"]
    assert sorted(table["index"]) == sorted(mixed.tolist())
    assert (mixed.numpy()[table["sample"]] == table["index"]).all()
    assert (planted.y.numpy()[table["index"]] == table.label).all()


def test_copies_of_forget_samples_in_the_data_are_told(planted, folder, tmp_path, audit):
    """References may have been trained on them. Fails if they pass in silence, if a forget sample
    counts as its own copy, or if one that is named as forgotten too does."""
    x, y = planted.x.numpy(), planted.y.numpy()
    at = planted.forget[[3, 3, 8]].numpy()
    np.savez(folder / "again.npz", x=np.concatenate([x, x[at]]), y=np.concatenate([y, y[at]]))
    both = np.append(planted.forget.numpy(), [len(x), len(x) + 1])
    np.save(folder / "both.npy", both)
    told = {}
    for name, changed in {
        "once": {},
        "again": {"data": "again.npz"},
        "named": {"data": "again.npz", "forget": "both.npy"},
    }.items():
        result = audit(out=tmp_path / name, taus="0", draws=1, **changed)
        assert result.exit_code == 0, result.output
        flags = json.loads((tmp_path / name / "audit.json").read_text())["flags"]
        told[name] = [f["message"] for f in flags if f["name"] == "forget samples elsewhere"]
    n = len(x)
    assert told["once"] == []
    (message,) = told["again"]
    assert message.startswith(f"at index {n}, {n + 1}, {n + 2} of the data forget samples stand ")
    assert told["named"] == [message.replace(f"{n}, {n + 1}, {n + 2}", f"{n + 2}")]
