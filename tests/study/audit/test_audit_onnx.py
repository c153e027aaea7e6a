"""``rurk audit`` on ONNX files: the same numbers as the nets that they were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rurklib.study.audit.files import Onnx


def as_onnx(
    model: nn.Sequential, path: Path, batch: int | str = "n", softmax: bool = False
) -> None:
    """Two linear layers with a ReLU between, written node by node."""
    onnx = pytest.importorskip("onnx", reason="writing ONNX files needs onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = {k: v.numpy() for k, v in model.state_dict().items()}
    nodes = [
        helper.make_node("Gemm", ["x", "0.weight", "0.bias"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node(
            "Gemm", ["r", "2.weight", "2.bias"], ["z" if softmax else "out"], transB=1
        ),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["z"], ["out"], axis=1))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [info("x", onnx.TensorProto.FLOAT, [batch, 24])],
        [info("out", onnx.TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(file, path)


@pytest.fixture
def onnx_folder(planted, folder, tmp_path) -> Path:
    pytest.importorskip("onnxruntime", reason='needs pip install -e ".[onnx]"')
    for name, model in {
        "m": planted.original,
        **{f"a{i}": m for i, m in enumerate(planted.references)},
    }.items():
        as_onnx(model, tmp_path / f"{name}.onnx")
    return tmp_path


def test_onnx_gives_the_same_audit(onnx_folder, folder, tmp_path, words, audit):
    """The numbers of the nets that the files were made of, up to rounding; also with the cache's
    identities, which tell files apart."""
    references = [onnx_folder / f"a{i}.onnx" for i in range(6)]
    told = words(folder, model=onnx_folder / "m.onnx", weights=None, references=references)
    result = audit(*told, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert audit(*words(folder, out=tmp_path / "torch")).exit_code == 0
    one, other = (pd.read_csv(tmp_path / n / "residual_knowledge.csv") for n in ("out", "torch"))
    pd.testing.assert_frame_equal(one, other, rtol=1e-3, atol=1e-4)
    from rurklib.residual.cache import identity

    assert len({identity(Onnx(r)) for r in references}) == 6


def test_a_fixed_batch_size_is_kept(planted, tmp_path):
    pytest.importorskip("onnxruntime", reason='needs pip install -e ".[onnx]"')
    as_onnx(planted.original, tmp_path / "m.onnx", batch=4)
    x = planted.x[:10]
    with torch.no_grad():
        assert torch.allclose(Onnx(tmp_path / "m.onnx")(x), planted.original(x), atol=1e-4)


def test_onnx_is_refused_where_it_can_not_work(
    onnx_folder, folder, planted, tmp_path, words, audit
):
    references = [onnx_folder / f"a{i}.onnx" for i in range(6)]
    as_onnx(planted.original, onnx_folder / "soft.onnx", softmax=True)
    (onnx_folder / "text.onnx").write_text("hello")
    np.savez(tmp_path / "narrow.npz", x=np.zeros((700, 20)), y=np.arange(700) % 3)
    good = {"model": onnx_folder / "m.onnx", "weights": None, "references": references}
    for changed, says in [
        ({"perturbation": "pgd"}, "model gives no gradient with respect to its input"),
        ({"weights": folder / "original.safetensors"}, "holds its own weights"),
        ({"references": [folder / "a0.safetensors"]}, "give the references as ONNX files too"),
        ({"model": onnx_folder / "soft.onnx"}, "returned probabilities"),
        ({"model": onnx_folder / "text.onnx"}, "is not a readable ONNX file"),
        ({"model": onnx_folder / "gone.onnx"}, "does not exist"),
        ({"data": tmp_path / "narrow.npz"}, "can't be applied to a batch of (20,) inputs"),
    ]:
        result = audit(*words(folder, **{**good, "out": tmp_path / "out", **changed}))
        assert result.exit_code == 2, result.output
        assert says in result.output
        assert len(result.output.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()
