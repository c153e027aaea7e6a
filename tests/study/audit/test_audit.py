"""``rurk audit`` and ``rurklib.audit`` end to end, on nets that plain torch trained."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import rurklib
from rurklib import InputError
from rurklib.residual.exchange import ALIKE
from rurklib.residual.verdict import NO_VERDICT, NONE, RESIDUAL
from rurklib.study.cli import show_progress
from rurklib.study.report import page

FILES = {"audit.json", "residual_knowledge.csv", "samples.csv", "controls.csv", "curves.png",
         "report.html"}  # fmt: skip
QUICK = {"taus": [0], "draws": 1}


def test_end_to_end(tmp_path, audit):
    """Found in the one that learnt by heart, not in the re-trained one; nothing of this package
    made either. The folder has everything, and the page needs nothing else."""
    findings = {}
    for name in ("original", "retrained"):
        out = tmp_path / "deep" / name
        weights, controls = f"{name}.safetensors", {"held_out": "test.npz", "retain": "kept.npy"}
        result = audit(weights=weights, out=out, **controls)
        assert result.exit_code == 0, result.output
        record = json.loads((out / "audit.json").read_text())
        findings[name] = record["verdict"]["finding"]
        assert {p.name for p in out.iterdir()} == FILES
        assert result.output.splitlines()[1] == record["verdict"]["sentence"]
        assert record["flags"] == []
        assert record["measurement"]["samples"] == {"forget": 45, "held out": 200, "retained": 200}
        assert record["measurement"]["references"][0] == "a0.safetensors"
        frame = pd.read_csv(out / "residual_knowledge.csv")
        assert frame.tau.tolist() == [0.0, 0.1, 0.2]
        assert pd.read_csv(out / "controls.csv").control.value_counts().tolist() == [3, 3]
        html = (out / "report.html").read_text()
        assert html.count("data:image/png;base64,") == 1
        assert "http" not in html
        assert record["verdict"]["sentence"][:60] in html
        assert f"Residual knowledge over tau, Audit of {weights}" in html
    assert findings == {"original": RESIDUAL, "retrained": NONE}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["original", "retrained"]


def test_the_same_in_python(planted, tmp_path, audit):
    """Every number is residual_knowledge's, and the command's options arrive."""
    settings = {"perturbation": "pgd", "seed": 4, "draws": 2}
    done = audit(out=tmp_path / "out", bounds="-1,1", held_out="test.npz", **settings)
    assert done.exit_code == 0, done.output
    x, y = planted.pair("forget")
    settings |= {"taus": [0, 0.1, 0.2], "bounds": (-1, 1)}
    same = rurklib.audit(planted.original, planted.references, x, y, **settings)
    plain = rurklib.residual_knowledge(planted.original, planted.references, x, y, **settings)
    assert same.frame.equals(plain.frame)
    written = pd.read_csv(tmp_path / "out" / "residual_knowledge.csv")
    pd.testing.assert_frame_equal(written, same.frame, rtol=1e-6, check_dtype=False)
    verdict = json.loads((tmp_path / "out" / "audit.json").read_text())["verdict"]
    assert verdict["p"] == pytest.approx(same.verdict.p)
    # Accuracies stand below the answers, by tau: the references' say where taus belong.
    rows = [line.split() for line in done.output.splitlines()]
    assert ["tau", "0", "0.1", "0.2"] in rows
    assert ["model", *(f"{a:.3f}" for a in same.frame.forget_accuracy)] in rows
    assert ["re-trained", *(f"{a:.3f}" for a in same.frame.reference_accuracy)] in rows


def test_no_reference_at_all_and_an_exit_code_for_a_pipeline(tmp_path, audit):
    """Memory is found with three references at most, and named by an exit code when asked for."""
    settings = {"held_out": "test.npz", "fail_on": "treated-differently", "taus": "0"}
    codes = {}
    for name, k in itertools.product(("original", "retrained"), (0, 3)):
        out, references = tmp_path / f"{name}{k}", [f"a{i}.safetensors" for i in range(k)]
        done = audit(weights=f"{name}.safetensors", references=references or None, out=out,
                     **settings)  # fmt: skip
        codes[name, k] = done.exit_code
        assert ("\nNo verdict: 0 re-trained models" in done.output) == (k == 0)
        record = json.loads((out / "audit.json").read_text())
        assert record["exchange"]["sentence"] in done.output
        assert record["exchange"]["n"] == [45, 200]
        assert done.exit_code == (record["exchange"]["finding"] != ALIKE)
        checksum = hashlib.sha256(Path(f"{name}.safetensors").read_bytes()).hexdigest()
        assert record["measurement"]["sha256"][f"{name}.safetensors"] == checksum
        assert {"m.py", "data.npz", "test.npz"} <= record["measurement"]["sha256"].keys()
    assert (codes["original", 3], codes["retrained", 3], codes["retrained", 0]) == (1, 0, 0)
    found = audit(out=tmp_path / "k", fail_on="residual,over-forgotten", taus="0,0.1")
    assert found.exit_code == 1
    assert audit(out=tmp_path / "n", fail_on="over-forgotten", taus="0,0.1").exit_code == 0


@pytest.mark.parametrize("word", ["residual", "over-forgotten"])
def test_who_asks_for_a_finding_is_not_answered_by_no_verdict(tmp_path, audit, word):
    """Fails if a pipeline passes for want of re-trained models."""
    settings = {"held_out": "test.npz", "taus": "0", "references": None}
    done = audit(out=tmp_path / "out", fail_on=word, weights="retrained.safetensors", **settings)
    assert done.exit_code == 1
    assert f"--fail-on {word}: {NO_VERDICT}" in done.output


def test_the_folder_appears_whole_or_not_at_all(planted, tmp_path, monkeypatch):
    """An empty one may be there; without controls there is no file of controls."""
    given = planted.original, planted.references, *planted.pair("forget")
    (tmp_path / "o").mkdir()
    rurklib.audit(*given, **QUICK, out=tmp_path / "o")
    assert {p.name for p in (tmp_path / "o").iterdir()} == FILES - {"controls.csv"}
    monkeypatch.setattr(page, "write_page", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rurklib.audit(*given, **QUICK, out=tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir()] == ["o"]


def test_held_out_samples_of_other_classes_are_left_out(planted):
    x, y = (a[planted.y[:45] == 1] for a in planted.pair("forget"))
    given, held_out = (planted.original, planted.references, x, y), planted.pair("held_out")
    result = rurklib.audit(*given, held_out=held_out, **QUICK)
    hits = result.control_results["held out"].counts.hits["model"]
    assert hits.shape[1] == int((held_out[1] == 1).sum())
    with pytest.raises(InputError, match=r"none of the forgotten classes \[1\]"):
        rurklib.audit(*given, held_out=(x, y * 0), taus=[0])


def test_large_controls_are_sampled(planted):
    """At most 200, the same ones for a seed."""
    given = planted.original, planted.references, *planted.pair("forget")
    one, again, other = (
        rurklib.audit(*given, seed=s, retained=planted.pair("kept"), **QUICK)
        .control_results["retained"].counts.margins["model"]
        for s in (0, 0, 1)
    )  # fmt: skip
    assert one.shape[1] == 200
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_radii_in_grey_levels_are_refused_and_those_of_a_norm_are_not(planted):
    given = planted.original, planted.references, *planted.pair("forget")
    with pytest.raises(InputError, match=r"taus reach 16, inputs span 0 \.\.\. 1"):
        rurklib.audit(*given, taus=[0, 8, 16], draws=2)
    rurklib.audit(*given, taus=[0, 2.0], draws=2, perturbation="uniform-l2")


def test_the_users_random_state_stays(planted, same_random_state):
    with same_random_state():
        rurklib.audit(planted.original, planted.references, *planted.pair("forget"), **QUICK)
    assert torch.is_grad_enabled()


def test_a_long_audit_says_what_is_left(capsys, monkeypatch):
    """Ten seconds a step. Fails if it is silent, counts the time left from the wrong end, or
    writes into the answer."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    show = show_progress(15)
    for part in (0.25, 0.5, 0.75):
        show(part)
    assert capsys.readouterr() == ("", "50% of the copies counted, about 20 s left\n")
