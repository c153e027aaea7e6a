"""``rurk audit`` and ``rurklib.audit``: numbers, findings, files, and what stops them."""

import copy
import hashlib
import itertools
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import rurklib
from rurklib import InputError
from rurklib.residual.exchange import ALIKE
from rurklib.residual.verdict import NO_VERDICT, NONE, RESIDUAL
from rurklib.study import audit as audits
from rurklib.study.audit import samples_table
from rurklib.study.audit_files import (
    AuditFiles,
    Fitted,
    build_function,
    built,
    read_weights,
    transform,
)
from rurklib.study.cli import show_progress
from rurklib.tensors import generator

README = Path(__file__).parents[2] / "README.md"
FILES = {f"{name}.csv" for name in ("residual_knowledge", "samples", "controls")}
FILES |= {"audit.json", "curves.png", "report.html"}
QUICK = {"taus": [0], "draws": 1}
FEW = {"taus": [0, 0.1], "draws": 4}


WORKS = {
    "model": "m.py:build",
    "weights": "original.safetensors",
    "references": [f"a{i}.safetensors" for i in range(6)],
    "data": "data.npz",
    "forget": "forget.npy",
    "taus": "0,0.1,0.2",
    "draws": 10,
}


@pytest.fixture
def always() -> Callable[[int, int], nn.Module]:
    """``always(answer, seed)``: a net that gives one answer, whatever it is shown, and is surer of
    it here than there."""

    def make(answer: int, seed: int) -> nn.Module:
        net = nn.Linear(24, 3)
        net.weight.data = 0.1 * torch.randn(3, 24, generator=generator(seed))
        net.bias.data = 9.0 * nn.functional.one_hot(torch.tensor(answer), 3)
        return net.eval()

    return make


@pytest.fixture
def audit(audit_files, monkeypatch, rurk) -> Callable:
    """``audit(**changed)``: the result of a command that works in ``audit_files``, but for what is
    changed (None: left out)."""
    monkeypatch.chdir(audit_files)

    def run(**changed):
        words = ["audit"]
        for name, value in (WORKS | changed).items():
            if value is not None:
                several = value if isinstance(value, list) else [value]
                words += [f"--{name.replace('_', '-')}", *map(str, several)]
        return rurk(*words)

    return run


def test_end_to_end(tmp_path, audit):
    """Found in the one that learnt by heart, not in the re-trained one. The folder has everything,
    and the page needs nothing else."""
    findings = {}
    for name in ("original", "retrained"):
        out = tmp_path / "deep" / name
        weights, controls = f"{name}.safetensors", {"held_out": "test.npz", "retain": "kept.npy"}
        result = audit(weights=weights, out=out, **controls)
        assert result.exit_code == 0, result.output
        record = json.loads((out / "audit.json").read_text())
        findings[name] = record["verdict"]["finding"]
        assert {p.name for p in out.iterdir()} == FILES
        assert result.output.splitlines()[:3] == record["sentences"]
        assert record["flags"] == []
        assert record["measurement"]["samples"] == {"forget": 45, "held out": 200, "retained": 200}
        assert record["measurement"]["references"][0] == "a0.safetensors"
        frame = pd.read_csv(out / "residual_knowledge.csv")
        assert frame.tau.tolist() == [0.0, 0.1, 0.2]
        assert pd.read_csv(out / "controls.csv").control.value_counts().tolist() == [3, 3]
        html = (out / "report.html").read_text()
        assert html.count("data:image/png;base64,") == 1
        assert "http" not in html
        first = [html.index(text[:40]) for text in record["sentences"]]
        assert first == sorted(first)
        assert first[-1] < html.index("<table")
        assert len(record["leave_one_out"]) == 6
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
        given = {"weights": f"{name}.safetensors", "references": references or None}
        done = audit(out=out, **given, **settings)
        codes[name, k] = done.exit_code
        assert ("\nNo verdict: " in done.output) == (k == 0)
        record = json.loads((out / "audit.json").read_text())
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
    assert "None" not in (tmp_path / "out" / "report.html").read_text()  # of numbers there are none


def test_the_folder_appears_whole_or_not_at_all(planted, tmp_path, monkeypatch):
    """An empty one may be there; without controls there is no file of controls."""
    given = planted.original, planted.references, *planted.pair("forget")
    (tmp_path / "o").mkdir()
    rurklib.audit(*given, **QUICK, out=tmp_path / "o")
    assert {p.name for p in (tmp_path / "o").iterdir()} == FILES - {"controls.csv"}
    monkeypatch.setattr(audits.report, "page", lambda *a: 1 / 0)
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


def test_right_answers_are_counted_without_noise(planted, tmp_path, audit):
    """Fails if they are of noisy copies, or tau 0 has to be measured for them."""
    models = [planted.original, *planted.references]
    counts = {g: [right_on(m, planted.pair(g)) for m in models] for g in ("forget", "held_out")}
    names = ["model", *(f"a{k}.safetensors" for k in range(6))]
    for taus in ("0,0.3", "0.3"):
        done = audit(out=tmp_path / taus, taus=taus, held_out="test.npz")
        assert f"right on {counts['forget'][0]} of 45 forget samples" in done.output
        right = json.loads((tmp_path / taus / "audit.json").read_text())["right"]
        assert (right["forgotten"].pop("of"), right["held out"].pop("of")) == (45, 200)
        for group, hits in zip(("forgotten", "held out"), counts.values(), strict=True):
            assert right[group] == dict(zip(names, hits, strict=True))


def right_on(model, samples) -> int:
    x, y = samples
    return int((model(x).argmax(1) == y).sum())


def test_references_that_guess_stop_an_audit_unless_that_is_meant(planted, tmp_path, audit):
    """Where every model is shown its classes in another order, no model passes."""
    done = audit(out=tmp_path / "wrong", label_order="1,2,0", held_out="test.npz")
    assert done.exit_code == 2, done.output
    assert "references at chance" in done.output
    assert not (tmp_path / "wrong").exists()
    x, y = planted.pair("forget")
    given = planted.original, planted.references, x, (y + 1) % 3  # none of them knows these
    with pytest.raises(InputError, match="--expect-chance"):
        rurklib.audit(*given, **FEW)
    meant = rurklib.audit(*given, **FEW, expect_chance=True)
    assert audits.CHANCE in [flag.name for flag in meant.flags]
    assert meant.verdict.finding == rurklib.residual_knowledge(*given, **FEW).verdict.finding


def test_models_that_always_say_the_forgotten_class_acquit_nobody(planted, always):
    """They are right on all of it, so only samples of other classes tell. Fails if these aren't
    asked, or if good models are said to guess."""
    x, y = (a[planted.y[:45] == 1] for a in planted.pair("forget"))
    model, *references = (always(1, seed) for seed in range(5))
    shown = {"held_out": planted.pair("held_out"), **FEW}
    with pytest.raises(InputError, match="33 % of each class, over 3 classes"):
        rurklib.audit(model, references, x, y, **shown)
    good = rurklib.audit(planted.original, planted.references, x, y, **shown)
    assert good.flags == []
    assert good.right["held out, all classes"]["of"] == 200


def test_held_out_samples_of_another_kind_are_no_control(planted):
    """Fails if the exchange test is made with them, or they have a say in the verdict."""
    given = planted.original, planted.references, *planted.pair("forget")
    x, y = planted.pair("held_out")
    result = rurklib.audit(*given, held_out=(x, (y + 1) % 3), **FEW)  # nobody knows these
    assert "references unlike held-out samples" in [flag.name for flag in result.flags]
    assert result.summary["exchange"] is None
    alone = rurklib.audit(*given, **FEW).summary
    assert result.summary["verdict"]["finding"] == RESIDUAL
    assert [result.summary[k] for k in ("verdict", "sentences")] == [
        alone["verdict"],
        alone["sentences"],
    ]


def test_a_long_audit_says_what_is_left(capsys, monkeypatch):
    """Ten seconds a step. Fails if the time left is counted from the wrong end, or if it is written
    into the answer."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    show = show_progress(15)
    for part in (0.25, 0.5, 0.75):
        show(part)
    assert capsys.readouterr() == ("", "50% of the copies counted, about 20 s left\n")


def test_a_finding_stays_or_not_without_each_reference(planted):
    """By judging again with five of the six."""
    x, y = planted.pair("forget")
    result = rurklib.audit(planted.original, planted.references, x, y, **FEW)
    for i, name in enumerate(result.references):
        rest = [r for k, r in enumerate(planted.references) if k != i]
        by_hand = rurklib.residual_knowledge(planted.original, rest, x, y, **FEW)
        assert result.summary["leave_one_out"][name] == by_hand.verdict.finding


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


def test_the_models_file_among_the_references_is_flagged(tmp_path, audit):
    """Fails if it is left out without a word, or counts."""
    audit(weights="a0.safetensors", out=tmp_path / "o", taus="0", draws=1)
    record = json.loads((tmp_path / "o" / "audit.json").read_text())
    assert [f["name"] for f in record["flags"]] == ["references alike"]
    assert record["verdict"]["references"] == 5


def test_a_finding_that_rests_on_one_sample_says_so(planted, tmp_path):
    """Re-trained models, and one that knows a single sample very well. Fails if that is told as if
    it were of all; or if anything is texts of Original, which knows most of them."""
    x, y = planted.pair("forget")

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(planted.retrained)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            near = ((z - x[7]).norm(dim=1) < 0.8)[:, None]
            return self.net(z) + near * 1e3 * nn.functional.one_hot(y[7:8], 3)

    given = {"held_out": planted.pair("held_out"), "indices": [*range(100, 145)], **FEW}
    texts = {}
    for name, model in (("one", One()), ("all", planted.original)):
        rurklib.audit(model, planted.references, x, y, out=tmp_path / name, **given)
        texts[name] = json.loads((tmp_path / name / "audit.json").read_text())["rests_on"]
    assert texts["one"].startswith(
        "The finding rests on one sample, index 107: without it the answ"
    )
    assert texts["all"] == ""
    assert texts["one"][:40] in (tmp_path / "one" / "report.html").read_text()


def test_samples_are_ranked_among_those_held_out(planted):
    """By hand. Fails if ranks cross classes, or the references' mean isn't taken away."""
    x, y = planted.pair("forget")
    given = {"bounds": (-1, 1), "held_out": planted.pair("held_out"), **FEW}
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


# --- files ------------------------------------------------------------------------------------


class Trap:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def test_weights_as_people_have_them_are_read(audit_files, tmp_path):
    """Also by DataParallel, and within a trainer's checkpoint."""
    ours = audit_files / "original.safetensors"
    own = load_file(ours)
    paths = [tmp_path / f"{name}.pt" for name in ("bare", "state_dict", "model")]
    torch.save(own, paths[0])
    for path in paths[1:]:
        torch.save({"epoch": 3, path.stem: {f"module.{k}": v for k, v in own.items()}}, path)
    for path in (ours, *paths):
        loaded = read_weights(path)
        assert loaded.keys() == own.keys()
        assert all(torch.equal(loaded[k], own[k]) for k in own)


def test_what_is_no_state_dict_is_refused(tmp_path):
    """Averaged weights are another model: fails if the one that isn't served is audited."""
    weights = {"w": torch.ones(1)}
    for content, why in (
        ({"model": weights, "ema": weights}, "it holds model and ema: expected one model"),
        ({**weights, "best": 0.3}, "expected a state_dict, tensors by name"),
        (torch.nn.Linear(1, 1), "Weights only load failed"),
    ):
        torch.save(content, tmp_path / "m.pt")
        with pytest.raises(InputError, match=f"m.pt can't be read as weights .*{why}"):
            read_weights(tmp_path / "m.pt")


def test_a_pickle_that_runs_code_runs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(1), "x": Trap()}, "m.pt")
    with pytest.raises(InputError, match=r"m.pt can't be read as weights"):
        read_weights(Path("m.pt"))
    assert not Path("sprung").exists()


def test_weights_are_all_loaded_or_refused(audit_files, same_random_state):
    """Building a net draws no number of the caller's; its own imports are found."""
    build = build_function(f"{audit_files}/m.py:build")
    weights = load_file(audit_files / "original.safetensors")
    with same_random_state():
        net = built(build, Path("w"), weights, "m.py:build")
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in weights.items())
    assert not net.training


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (([0.1, 0.2, 0.3], [0.2, 0.5, 0.1], [1, 2, 0]), [6.0, 2.0, 0.2]),
        (([0.1], None, None), [0.4, 0.2, 0.8]),
        ((None, [0.5], None), [1.0, 0.6, 1.8]),
        ((None, None, None), [0.5, 0.3, 0.9]),
    ],
)
def test_logits_are_those_that_one_computes_by_hand(numbers, expected):
    """Fails if an order is taken for its inverse, or a channel is scaled by another's numbers."""
    x = torch.tensor([[[0.5], [0.3], [0.9]]])  # 3 channels of 1
    fit = dict(zip(("mean", "std", "label_order"), numbers, strict=True))
    files = AuditFiles("", Path(), Path(), Path(), **fit)
    model = Fitted(nn.Flatten(), *transform(files, x.shape[1:], 3))  # its logits are its inputs
    assert model(x)[0].tolist() == pytest.approx(expected)


def test_the_command_has_it(planted, tmp_path, audit):
    """Data of other units and labels: the same models as without. Fails if a reference
    isn't fitted."""
    x, y = 0.4 * planted.x + 0.3, torch.tensor([2, 0, 1])[planted.y]
    np.savez(tmp_path / "other.npz", x=x.numpy(), y=y.numpy())
    asked = {"mean": 0.3, "std": ",".join(["0.4"] * 24), "label_order": "2,0,1", "taus": "0"}
    asked |= {"data": tmp_path / "other.npz", "held_out": "kept.npy"}
    done = audit(out=tmp_path / "out", **asked)
    assert done.exit_code == 0, done.output
    audit(out=tmp_path / "plain", taus="0", held_out="kept.npy")
    record, same = (json.loads((tmp_path / o / "audit.json").read_text()) for o in ("out", "plain"))
    assert record["measurement"]["preprocessing"]["label_order"] == [2, 0, 1]
    assert record["right"] == same["right"]
    assert record["verdict"]["effect"] == pytest.approx(same["verdict"]["effect"], rel=1e-3)


def test_the_readmes_command_for_pt_files_works_as_it_stands(tmp_path, monkeypatch, rurk):
    """On nets that are right only if the numbers in it arrive: ten pixels, the brightest is the
    label, outputs in the README's order. With another order it stops, and says what to mend."""
    (block,) = re.findall(r"have `.pt` files.*?```sh\nrurk (.*?)```", README.read_text(), re.S)
    words = shlex.split(block.replace("\\\n", ""))
    order = [int(k) for k in words[words.index("--label-order") + 1].split(",")]
    monkeypatch.chdir(tmp_path)
    code = "class Net(nn.Sequential):\n    def __init__(self):\n"
    code += "        super().__init__(nn.Flatten(), nn.Linear(10, 10))\n"
    Path("net.py").write_text(f"from torch import nn\n{code}")
    noise = torch.Generator().manual_seed(0)
    for path in [word for word in words if word.endswith(".pt")]:
        weight = torch.eye(10)[order] + 0.01 * torch.randn(10, 10, generator=noise)
        bias = torch.full((10,), 0.305 / 0.376)
        torch.save({"1.weight": weight, "1.bias": bias}, path)
    y = np.arange(60) % 10
    x = 0.5 * np.eye(10, dtype=np.float32)[y] + np.random.default_rng(0).random((60, 10)) / 10
    np.savez("data.npz", x=x.reshape(60, 1, 2, 5), y=y)
    np.save("forget.npy", np.arange(20))
    np.save("test.npy", np.arange(20, 60))
    other = [",".join(map(str, reversed(order))) if "," in word else word for word in words]
    stopped = rurk(*other)
    assert stopped.exit_code == 2
    assert "unlearned.pt is right on 0 of 40 held-out samples, 0: expected 0.985" in stopped.output
    done = rurk(*words)
    assert done.exit_code == 0, done.output
    assert "right on 20 of 20 forget samples" in done.output
    assert Path("audit-pt", "report.html").exists()
