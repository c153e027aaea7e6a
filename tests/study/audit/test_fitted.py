"""Nets for normalised inputs and another order of labels, and arrays by other names."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from rurklib import InputError
from rurklib.study.audit.fitted import fitted, shown_to
from rurklib.study.cli.main import main

README = Path(__file__).parents[3] / "README.md"


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
    assert record["right"] == same["right"]
    assert record["verdict"]["effect"] == pytest.approx(same["verdict"]["effect"], rel=1e-3)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"mean": "0.1,0.2"}, "--mean has 2 numbers: expected one, or one for each of the 24 ch"),
        ({"mean": "a"}, "--mean a: expected numbers such as"),
        ({"mean": "nan"}, "--mean = nan: expected a finite number"),
        ({"std": "0"}, "--std 0: expected numbers above 0, in units of x"),
        ({"label_order": "0,1,1"}, "--label-order 0,1,1: expected each of 0 ... 2 once, for the m"),
        ({"label_order": "0,0.5,2"}, "--label-order 0,0.5,2: expected each of 0 ... 2 once"),
        ({"label_order": "0,1,2,3"}, "has 3 outputs; give the label that each stands for, the f"),
        ({"data": "c.npz"}, "expected x, y or train_images, train_labels"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(folder, tmp_path, audit, changed, says):
    np.savez(folder / "c.npz", c=np.zeros(3))
    done = audit(out=tmp_path / "out", **changed)
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_images_without_a_channel_are_told_the_mend():
    """Only where it is one."""
    net, x, y = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), torch.rand(9, 4, 4), torch.zeros(9)
    assert shown_to(net, x[:, None], y.long()) == 8
    with pytest.raises(
        InputError, match=r"\(4, 4\) inputs .*with one channel it works: try x\[:, N"
    ):
        shown_to(net, x, y.long())
    with pytest.raises(InputError, match="check the shape") as other:
        shown_to(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), x, y.long())
    assert "try x" not in str(other.value)


def test_the_readmes_command_for_pt_files_works_as_it_stands(tmp_path, monkeypatch):
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
    stopped = CliRunner().invoke(main, other)
    assert stopped.exit_code == 2
    assert "unlearned.pt is right on 0 of 40 held-out samples, 0: expected 0.985" in stopped.output
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(
        "Right, without noise: on the forgotten: model 20 of 20, re-trained 20 of 20; on held-out "
    )
    assert Path("audit-pt", "report.html").exists()
