"""Models, samples and indices that were made elsewhere, read without unpickling anything.

Weights are safetensors and are loaded, all of them and no other, into a net that a function of the
user's builds (running that function runs the user's code: nothing else here runs code from a file).
ONNX files are run by onnxruntime, an optional extra; they give no gradients. Arrays are .npz or
.npy of numbers. Refused, with how to convert: pickles (.pt, .pth, ...), which run code when opened,
and programs from torch.export (.pt2): torch.export.load falls back on torch.load(weights_only=
False) and pickle.loads, as of torch 2.13, so that opening one may run code too.
"""

from rurklib.study.audit.files import Onnx, build_function, built, read_audit, read_weights

__all__ = ["Onnx", "build_function", "built", "read_audit", "read_weights"]
