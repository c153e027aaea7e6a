"""``rurk audit`` on ONNX files: the same numbers as the nets that they were made of."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rurklib.study.audit.files import Onnx

onnx = pytest.importorskip("onnx", reason='pip install -e ".[test]"')
pytest.importorskip("onnxruntime", reason='pip install -e ".[onnx]"')


def as_onnx(
    model: nn.Sequential, path: Path, batch: int | str = "n", softmax: bool = False
) -> None:
    """Two linear layers with a ReLU between, written node by node."""
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    last = "z" if softmax else "out"
    nodes = [
        node("Gemm", ["x", "0.weight", "0.bias"], ["h"], transB=1),
        node("Relu", ["h"], ["r"]),
        node("Gemm", ["r", "2.weight", "2.bias"], [last], transB=1),
        *([node("Softmax", ["z"], ["out"], axis=1)] if softmax else []),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [info("x", onnx.TensorProto.FLOAT, [batch, 24])],
        [info("out", onnx.TensorProto.FLOAT, [batch, 3])],
        [onnx.numpy_helper.from_array(v.numpy(), k) for k, v in model.state_dict().items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)


@pytest.fixture
def good(planted, tmp_path) -> dict:
    """The options of an audit of ONNX files that works."""
    references = [tmp_path / f"a{i}.onnx" for i in range(6)]
    paths = [tmp_path / "m.onnx", *references]
    for path, model in zip(paths, [planted.original, *planted.references], strict=True):
        as_onnx(model, path)
    return {"model": paths[0], "weights": None, "references": references, "out": tmp_path / "out"}


def test_onnx_gives_the_same_audit(good, tmp_path, audit):
    """The numbers of the nets that the files were made of, up to rounding; what tells models apart
    by their weights tells two files apart."""
    result = audit(**good)
    assert result.exit_code == 0, result.output
    assert audit(out=tmp_path / "torch").exit_code == 0
    one, other = (pd.read_csv(tmp_path / n / "residual_knowledge.csv") for n in ("out", "torch"))
    pd.testing.assert_frame_equal(one, other, rtol=1e-3, atol=1e-4)
    states = [Onnx(r).state_dict() for r in good["references"]]
    assert len({str(s["sha"].tolist()) for s in states}) == 6


def test_a_fixed_batch_size_is_kept(planted, tmp_path):
    as_onnx(planted.original, tmp_path / "m.onnx", batch=4)
    x = planted.x[:10]
    with torch.no_grad():
        assert torch.allclose(Onnx(tmp_path / "m.onnx")(x), planted.original(x), atol=1e-4)


def test_onnx_is_refused_where_it_can_not_work(good, planted, tmp_path, audit):
    as_onnx(planted.original, tmp_path / "soft.onnx", softmax=True)
    (tmp_path / "text.onnx").write_text("hello")
    np.savez(tmp_path / "narrow.npz", x=np.zeros((700, 20)), y=np.arange(700) % 3)
    for changed, says in [
        ({"perturbation": "pgd"}, "model gives no gradient with respect to its input"),
        ({"weights": "original.safetensors"}, "holds its own weights"),
        ({"references": ["a0.safetensors"]}, "give the references as ONNX files too"),
        ({"model": tmp_path / "soft.onnx"}, "returned probabilities"),
        ({"model": tmp_path / "text.onnx"}, "is not a readable ONNX file"),
        ({"model": tmp_path / "gone.onnx"}, "does not exist"),
        ({"data": tmp_path / "narrow.npz"}, "can't be applied to a batch of (20,) inputs"),
    ]:
        result = audit(**{**good, **changed})
        assert result.exit_code == 2, result.output
        assert says in result.output
        assert len(result.output.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()
