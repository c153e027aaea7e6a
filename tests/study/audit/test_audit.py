"""``rurk audit`` end to end, on nets that plain torch trained, and input that it must refuse."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import rurklib
from rurklib import InputError
from rurklib.residual.exchange import ALIKE
from rurklib.residual.verdict import NONE, RESIDUAL
from rurklib.study.audit.files import build_function, built
from rurklib.study.report import page
from rurklib.study.sources.npz import read_indices, read_samples

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
        assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert findings == {"original": RESIDUAL, "retrained": NONE}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["original", "retrained"]


def test_the_same_in_python(planted, tmp_path, audit):
    """Every number is residual_knowledge's, and the command's options arrive."""
    asked = {"perturbation": "pgd", "seed": 4, "draws": 2}
    told = {"held_out": "test.npz"}
    assert audit(out=tmp_path / "out", bounds="-1,1", **asked, **told).exit_code == 0
    x, y = planted.pair("forget")
    asked |= {"taus": [0, 0.1, 0.2], "bounds": (-1, 1)}
    same = rurklib.audit(planted.original, planted.references, x, y, **asked)
    plain = rurklib.residual_knowledge(planted.original, planted.references, x, y, **asked)
    assert same.frame.equals(plain.frame)
    written = pd.read_csv(tmp_path / "out" / "residual_knowledge.csv")
    pd.testing.assert_frame_equal(written, same.frame, rtol=1e-6, check_dtype=False)
    verdict = json.loads((tmp_path / "out" / "audit.json").read_text())["verdict"]
    assert verdict["p"] == pytest.approx(same.verdict.p)
    assert not [*Path.cwd().glob("audit")]


def test_flags_are_printed_and_written(tmp_path, audit):
    result = audit(references=["a0.safetensors", "a1.safetensors"], out=tmp_path / "out")
    assert result.exit_code == 0
    assert "\nNo verdict: 2 re-trained models can't show" in result.output
    assert "flag: few references: 2 given" in result.output
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert [f["name"] for f in record["flags"]] == ["few references"]
    assert record["verdict"]["p"] is None


@pytest.fixture(scope="module")
def bad(folder) -> Path:
    """Files that are wrong in one way each, beside the good ones."""
    weights = {k: v.clone() for k, v in load_file(folder / "original.safetensors").items()}
    (folder / "text.safetensors").write_text("hello")
    save_file({k: v for k, v in weights.items() if k != "2.bias"}, folder / "lacks.safetensors")
    save_file({**weights, "extra": torch.zeros(1)}, folder / "extra.safetensors")
    x, y = np.zeros((9, 24), np.float32), np.arange(9) % 3
    np.savez(folder / "keys.npz", images=x, labels=y)
    np.savez(folder / "objects.npz", x=np.array([{}] * 9), y=y)
    np.savez(folder / "short.npz", x=x, y=y[:5])
    np.savez(folder / "whole.npz", x=x.astype(np.int64), y=y)
    np.savez(folder / "number.npz", x=np.float32(3), y=y)
    np.savez(folder / "grey.npz", x=255 * np.ones((700, 24), np.float32), y=np.arange(700) % 3)
    np.savez(folder / "narrow.npz", x=np.zeros((700, 20), np.float32), y=np.arange(700) % 3)
    np.savez(folder / "four.npz", x=np.zeros((700, 24), np.float32), y=np.arange(700) % 4)
    np.save(folder / "beyond.npy", np.array([0, 700]))
    np.save(folder / "below.npy", np.array([-1, 3]))
    np.save(folder / "twice.npy", np.array([1, 1, 2]))
    np.save(folder / "none.npy", np.array([], np.int64))
    np.save(folder / "real.npy", np.array([0.5]))
    np.save(folder / "overlap.npy", np.array([44, 45]))
    np.save(folder / "mask.npy", np.arange(700) % 2)
    (folder / "table.csv").write_text("0,1\n")
    shutil.copy(folder / "data.npz", folder / "again.npz")
    (folder / "leaves.py").write_text("raise SystemExit(0)\n")
    (folder / "broken.py").write_text("import nothing_like_it\n")
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("precious")
    return folder


CASES = [
    ({"forget": "mask.npy"}, "one for each sample: a mask? use .astype(bool)"),
    ({"forget": "table.csv"}, "table.csv can't be read as .npy (it is text): write it with numpy"),
    ({"taus": "0,8,16"}, "taus reach 16, inputs span 0 ... 1: nothing is left of a sample"),
    ({"weights": "text.safetensors"}, "text.safetensors can't be read as weights (Error while "),
    ({"weights": "gone.safetensors"}, "gone.safetensors does not exist"),
    ({"weights": "lacks.safetensors"}, 'Missing key(s) in state_dict: "2.bias"'),
    ({"weights": "extra.safetensors"}, 'Unexpected key(s) in state_dict: "extra"'),
    ({"weights": "a0.safetensors"}, "is given twice"),
    ({"references": ["a0.safetensors", "a1.safetensors", "a0.safetensors"]}, "twice"),
    ({"references": None}, "or held-out samples, which need none"),
    ({"model": "m.py:biuld"}, "has no function 'biuld'"),
    ({"model": "m.py"}, "expected FILE.py:FUNCTION"),
    ({"model": "gone.py:build"}, "gone.py does not exist"),
    ({"model": "broken.py:build"}, "can't be imported (No module named 'nothing_like_it')"),
    ({"model": "m.py:breaks"}, "the model's function raised no such file: mend its code"),
    ({"model": "m.py:seven"}, "returned a int"),
    ({"model": "leaves.py:build"}, "leaves.py can't be imported (0): mend its line 1"),
    ({"model": "m.py:ends"}, "the model's function raised 0: mend its code"),
    ({"model": "m.py:lost"}, "can't be applied to a batch of (24,) inputs ('no')"),
    ({"out": "x" * 240}, "has a name of 240 letters"),
    ({"out": "dangling"}, "is a link: name a new or an empty folder"),
    ({"out": "/proc/x/y"}, "/proc is no folder to write in"),
    (
        {"model": "m.py:wide"},
        "original.safetensors doesn't fit the net that --model m.py:wide builds (size mismatch for "
        "0.weight: copying a param with shape torch.Size([64, 24])",
    ),
    ({"model": "m.py:wide"}, "): name the function of the net that these weights are of, or give"),
    ({"data": "keys.npz"}, "has the arrays images, labels: expected x, y"),
    ({"data": "objects.npz"}, "can't be read as .npz"),
    ({"data": "short.npz"}, "for 9 samples: expected one whole number each"),
    ({"data": "whole.npz"}, "x is int64 (9, 24): expected uint8 images or floats"),
    ({"data": "number.npz"}, "x is float32 (): expected uint8 images or floats, [n, ...]"),
    ({"data": "grey.npz"}, "expected values in [0, 1]"),
    ({"data": "narrow.npz"}, "can't be applied to a batch of (20,) inputs"),
    ({"data": "four.npz"}, "expected labels in 0 ... 2"),
    ({"data": "forget.npy"}, "holds one array: expected a .npz file"),
    ({"forget": "beyond.npy"}, "spans 0 ... 700: expected indices in 0 ... 699"),
    ({"forget": "below.npy"}, "spans -1 ... 3: expected indices in 0 ... 699"),
    ({"forget": "twice.npy"}, "names 1 samples twice"),
    ({"forget": "none.npy"}, "expected indices of samples"),
    ({"forget": "real.npy"}, "expected indices of samples"),
    ({"forget": "data.npz"}, "holds an archive of arrays: expected a .npy file"),
    ({"held_out": "overlap.npy"}, "overlap.npy names 1 samples that"),
    ({"held_out": "data.npz"}, "data.npz is --data itself"),
    ({"held_out": "again.npz"}, "are in the forget set too"),
    ({"out": "full"}, "is not empty: name a new or an empty folder"),
    ({"out": "full", "weights": "gone.safetensors"}, "is not empty"),  # before files are read
    ({"out": "m.py"}, "is a file: name a new or an empty folder"),
    ({"out": "m.py/under"}, "is no folder to write in"),
    ({"taus": "0,a"}, "expected numbers such as"),
    ({"taus": "-1"}, "tau = -1"),
    ({"bounds": "1,0"}, "expected the lowest and the highest value"),
    ({"perturbation": "gausian"}, "did you mean 'gaussian'"),
    ({"draws": 0}, "draws = 0"),
    ({"draws": 10**13}, "more memory than there is"),
    ({"device": "meta:x"}, "--device meta:x can't be used here"),
    ({"device": "cuda:99"}, "--device cuda:99 can't be used here"),
    ({"fail_on": "residul"}, "did you mean 'residual'"),
    ({"fail_on": "treated-differently"}, "needs --held-out"),
]


@pytest.mark.parametrize(("changed", "says"), CASES, ids=lambda c: str(c)[:40])
def test_bad_input_is_refused_in_one_line(bad, changed, says, audit):
    """Exit code 2, one line, and no file is made or changed."""

    def contents():
        files = (p for p in bad.rglob("*") if p.is_file() and "pycache" not in str(p))
        return {p: p.read_bytes() for p in files}

    before = contents()
    result = audit(**{"out": "result", **changed})
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert contents() == before
    assert not (bad / "result").exists()


def test_no_reference_at_all_and_an_exit_code_for_a_pipeline(tmp_path, audit):
    """Memory is found with three references at most, and named by an exit code when asked for."""
    asked = {"held_out": "test.npz", "fail_on": "treated-differently", "taus": "0"}
    codes = {}
    for name in ("original", "retrained"):
        for k in (0, 3):
            out, some = tmp_path / f"{name}{k}", [f"a{i}.safetensors" for i in range(k)]
            done = audit(weights=f"{name}.safetensors", references=some or None, out=out, **asked)
            codes[name, k] = done.exit_code
            assert ("\nNo verdict: no re-trained model was given" in done.output) == (k == 0)
            record = json.loads((out / "audit.json").read_text())
            assert record["exchange"]["sentence"] in done.output
            assert record["exchange"]["n"] == [45, 200]
            assert done.exit_code == (record["exchange"]["finding"] != ALIKE)
            digest = hashlib.sha256(Path(f"{name}.safetensors").read_bytes()).hexdigest()
            assert record["measurement"]["sha256"][f"{name}.safetensors"] == digest
            assert {"m.py", "data.npz", "test.npz"} <= record["measurement"]["sha256"].keys()
    assert (codes["original", 3], codes["retrained", 3], codes["retrained", 0]) == (1, 0, 0)
    found = audit(out=tmp_path / "k", fail_on="residual,over-forgotten", taus="0,0.1")
    assert found.exit_code == 1
    assert audit(out=tmp_path / "n", fail_on="over-forgotten", taus="0,0.1").exit_code == 0


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
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # empty, and can't be replaced
    for out in (".", tmp_path / "here"):
        with pytest.raises(InputError, match="is where you are: name a folder in it"):
            rurklib.audit(*given, **QUICK, out=out)


def test_held_out_samples_of_other_classes_are_left_out(planted):
    x, y = (a[planted.y[:45] == 1] for a in planted.pair("forget"))
    given, held_out = (planted.original, planted.references, x, y), planted.pair("held_out")
    result = rurklib.audit(*given, held_out=held_out, **QUICK)
    counts = result.control_results["held out"].counts["model"]
    assert counts.hits.shape[2] == int((held_out[1] == 1).sum())
    with pytest.raises(InputError, match=r"none of the forgotten classes \[1\]"):
        rurklib.audit(*given, held_out=(x, y * 0), taus=[0])


def test_large_controls_are_sampled(planted):
    """At most 200, the same ones for a seed."""
    given = planted.original, planted.references, *planted.pair("forget")
    one, again, other = (
        rurklib.audit(*given, seed=s, retained=planted.pair("kept"), **QUICK)
        .control_results["retained"].counts["model"].margins
        for s in (0, 0, 1)
    )  # fmt: skip
    assert one.shape[2] == 200
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_medmnist_layout_and_masks(tmp_path):
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    np.savez(tmp_path / "d.npz", train_images=images, train_labels=np.array([[1], [0]]), more=[1])
    x, y = read_samples(tmp_path / "d.npz")
    assert x.shape == (2, 3, 4, 5)
    assert x.dtype == torch.uint8
    assert x[1, 2, 3, 4] == images[1, 3, 4, 2]
    assert y.tolist() == [1, 0]
    np.savez(tmp_path / "grey.npz", train_images=images[..., 0], train_labels=np.array([1, 0]))
    assert read_samples(tmp_path / "grey.npz")[0].shape == (2, 1, 4, 5)
    np.savez(tmp_path / "double.npz", x=np.array([[0.5], [1 / 3]]), y=np.array([1, 0]))
    assert read_samples(tmp_path / "double.npz")[0].dtype == torch.float32
    np.save(tmp_path / "mask.npy", np.array([False, True]))
    assert read_indices(tmp_path / "mask.npy", 2).tolist() == [1]


def test_tied_weights_and_the_random_state(tmp_path, same_random_state):
    """Weights that are written once are loaded into both places; building draws no number."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

    weights = {"a.weight": torch.eye(3), "a.bias": torch.ones(3), "b.bias": torch.zeros(3)}
    save_file(weights, tmp_path / "w.safetensors")
    with same_random_state():
        net = built(Tied, tmp_path / "w", load_file(tmp_path / "w.safetensors"), "m.py:tied")
    assert net.b.weight is net.a.weight
    assert torch.equal(net.b.weight, torch.eye(3))
    assert not net.training


def test_the_users_code_may_import_its_neighbours(folder):
    before = list(sys.path)
    assert isinstance(build_function(f"{folder}/m.py:build")(), nn.Sequential)
    assert sys.path == before
