"""A user's files: weights as people have them, code, arrays, and nets trained on other units."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from rurklib import InputError
from rurklib.study.audit.files import build_function, built, fitted, read_weights
from rurklib.study.readers import read_indices, read_samples

README = Path(__file__).parents[3] / "README.md"


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


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_is_no_state_dict_is_refused(tmp_path):
    """Averaged weights are another model: fails if the one that isn't served is audited."""
    own = {"w": torch.ones(1)}
    torch.save({"model": own, "ema": own}, tmp_path / "two.pt")
    torch.save({**own, "best": 0.3}, tmp_path / "more.pt")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pt")
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "script.pt")
    program = torch.export.export(torch.nn.Linear(1, 1), (torch.ones(1, 1),))
    torch.export.save(program, tmp_path / "program.pt2")
    for name, why in (
        ("two.pt", "it holds model and ema: expected one model"),
        ("more.pt", "expected a state_dict, tensors by name"),
        ("whole.pt", "it holds torch.nn.modules.linear.Linear, which is code"),
        ("script.pt", "TorchScript"),
        ("program.pt2", "failed locating file data.pkl"),
    ):
        with pytest.raises(InputError, match=f"{name} can't be read as weights .*{why}"):
            read_weights(tmp_path / name)


def test_a_pickle_that_runs_code_runs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(1), "x": Trap()}, "m.pt")
    with pytest.raises(InputError, match=r"m.pt can't be read as weights"):
        read_weights(Path("m.pt"))
    assert not Path("sprung").exists()


def test_weights_are_all_loaded_or_refused(audit_files, same_random_state):
    """Building a net draws no number of the caller's; its own imports are found."""
    before = list(sys.path)
    build = build_function(f"{audit_files}/m.py:build")
    assert sys.path == before
    weights = load_file(audit_files / "original.safetensors")
    with same_random_state():
        net = built(build, Path("w"), weights, "m.py:build")
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in weights.items())
    assert not net.training
    norm = nn.BatchNorm1d(3)
    norm.running_var[1] = torch.inf
    with pytest.raises(InputError, match=r"w\.pt: running_var holds NaN or infinity"):
        built(lambda: nn.BatchNorm1d(3), Path("w.pt"), norm.state_dict(), "m.py:build")


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


def test_copies_of_forget_samples_in_the_data_are_told(planted, audit_files, tmp_path, audit):
    """References may have been trained on them. Fails if they pass in silence, if a forget sample
    counts as its own copy, or if one that is named as forgotten too does."""
    x, y = planted.x.numpy(), planted.y.numpy()
    at = planted.forget[[3, 3, 8]].numpy()
    np.savez(audit_files / "again.npz", x=np.concatenate([x, x[at]]), y=np.concatenate([y, y[at]]))
    both = np.append(planted.forget.numpy(), [len(x), len(x) + 1])
    np.save(audit_files / "both.npy", both)
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


def test_logits_are_those_that_one_computes_by_hand():
    """Fails if an order is taken for its inverse, or a channel is scaled by another's numbers."""
    net = nn.Flatten()  # its logits are its inputs
    x, y = torch.tensor([[[0.5], [0.3], [0.9]]]), torch.tensor([0])  # 3 channels of 1
    (model,) = fitted([net], x, y, [0.1, 0.2, 0.3], [0.2, 0.5, 0.1], [1, 2, 0])
    normalised = [2.0, 0.2, 6.0]  # outputs of labels 1, 2, 0
    assert model(x)[0].tolist() == pytest.approx([normalised[2], normalised[0], normalised[1]])
    assert not model.training
    (model,) = fitted([net], x, y, [0.1])
    assert model(x)[0].tolist() == pytest.approx([0.4, 0.2, 0.8])
    (model,) = fitted([net], x, y, None, [0.5])
    assert model(x)[0].tolist() == pytest.approx([1.0, 0.6, 1.8])
    assert fitted([net], x, y) == [net]


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
    assert done.output.startswith(
        "Right, without noise: on forget samples: model 20 of 20, re-trained 20 of 20; on held-out "
    )
    assert Path("audit-pt", "report.html").exists()
