"""ONNX files as modules, run by onnxruntime, an optional extra."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rurklib.checks import InputError
from rurklib.study.environment import needs
from rurklib.study.sources.npz import said


class Onnx(nn.Module):
    """An ONNX classifier as a module: floats [n, ...] to logits [n, classes], on the CPU.

    A fixed batch size in the file is kept to; the last batch is filled up with repeats.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        needs("onnxruntime", extra="onnx")
        import onnxruntime

        if not path.is_file():
            raise InputError(f"{path} does not exist: check the path of the ONNX file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise InputError(f"{path} is not a readable ONNX file ({said(error)})") from error
        taken = self.session.get_inputs()
        kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64}
        if len(taken) != 1 or taken[0].type not in kinds:
            got = ", ".join(f"{t.name}: {t.type}" for t in taken)
            raise InputError(f"{path} takes {got}: expected one float input [n, ...]")
        self.input, self.kind = taken[0].name, kinds[taken[0].type]
        size = taken[0].shape[0] if taken[0].shape else None
        self.size = size if isinstance(size, int) else None
        sha = hashlib.sha256(path.read_bytes()).digest()  # what it is known by: it has no weights
        self.register_buffer("sha", torch.tensor(list(sha), dtype=torch.uint8))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        given = x.detach().cpu().numpy().astype(self.kind)
        n, size = len(given), self.size or len(given)
        filled = np.resize(given, (-(-n // size) * size, *given.shape[1:]))
        try:
            out = [
                self.session.run(None, {self.input: filled[i : i + size]})[0]
                for i in range(0, len(filled), size)
            ]
        except Exception as error:  # onnxruntime's own kinds
            raise RuntimeError(said(error)) from error
        return torch.from_numpy(np.concatenate(out)[:n]).to(x.device)
