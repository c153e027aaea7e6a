"""The same answers from a faster form of a model: what a measurement spends its time on.

A net in eval mode does work that inference doesn't need: BatchNorm is a linear map that the
convolution before it can carry, ReLU can be applied while a convolution's sums are still in
registers, and channels-last is the fastest layout for convolutions of few channels on a CPU. So a
*copy* of the model is traced (torch.fx), its BatchNorms are folded, and convolutions are run by
oneDNN's fused kernels, with weights packed once. Your model is never changed.

Sums taken in another order round differently, so the fast form is tried on the data that it is made
for: no logit may differ from the model's own by more than a few hundred roundings. Where a model
can't be traced or copied, has hooks, or fails the trial, the model itself is used, and
:class:`Forward` says why.

**Screening in bfloat16.** Whether a copy is recognised depends on the largest logit alone, and
bfloat16 moves logits by a few hundredths. So all copies are asked in bfloat16, and those whose two
best logits are so close that this might decide are asked again in float32. How close that is, is
measured: one in sixteen of each batch is asked both ways, and a lead of less than four times the
largest difference found there is in doubt. So this is an estimate: a hit could differ where errors
are twice those of the copies asked both ways; none was seen to. Logits that nobody doubted stay
bfloat16's, less their mean error on the copies asked both ways.

The batch size follows from the sizes of the activations, not from a stopwatch: a timed choice would
differ from run to run, and with it the last digit of a sum.
"""

import copy
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from rurklib.tensors import evaluating
from rurklib.train import Precision, resolved

TRIAL = 64  # samples that a fast form is tried on
ROUNDINGS = 500  # by which logits may differ, each of the largest logit's size
ACTIVATION = 2**18  # numbers in a batch's largest activation: a megabyte of float32
SMALLEST, LARGEST, GPU = 64, 1024, 4096  # limits on the batch size, and that on a GPU
MOST = 2**23  # numbers in any activation: 32 megabytes, whatever the limits say
RELU = (F.relu, torch.relu, "relu", "relu_")


@dataclass(frozen=True)
class Forward:
    """A model made ready to be asked many times; call it with inputs to get logits.

    ``batch_size`` is how many samples to show it at once. ``reason`` is empty, or says why this is
    the model itself rather than a faster form, or float32 where bfloat16 was asked for.
    """

    call: Callable[[Tensor], Tensor]
    batch_size: int
    reason: str = ""

    def __call__(self, x: Tensor) -> Tensor:
        with whole_float32():
            return self.call(x)

    def of_many(self, x: Tensor) -> Tensor:
        """Logits of any number of inputs, ``batch_size`` at a time at most."""
        pieces = x.tensor_split(-(-len(x) // self.batch_size))
        with torch.inference_mode():
            return torch.cat([self(piece) for piece in pieces])


def accelerate(
    model: nn.Module, example: Tensor, *, gradients: bool = False, precision: Precision = "float32"
) -> Forward:
    """``model`` in eval mode, in the fastest form that we know to give the same answers.

    ``example`` [n, ...] are floats of the kind that it will be asked about; the first 64 are the
    trial. ``gradients``: gradients with respect to the input will be taken, so only ordinary
    layers are used (``call`` is then a module). ``precision`` "bfloat16", or "auto" on a processor
    or GPU that has it: screened in bfloat16 (see above). Nothing that the model does is raised.
    Later changes of its weights don't reach the form: make it anew.
    """
    example = laid_out(example[:TRIAL])
    with evaluating(model), whole_float32():
        own, size = measured(model, example)
        made = Forward(model, size, "the model has hooks")
        forms = [fold_batchnorm] if gradients or not packable(example) else [fuse_onednn]
        # A copy must not run whatever runs beside the forward methods.
        hooked = any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        for form in [] if hooked else dict.fromkeys([*forms, fold_batchnorm]):
            try:
                net = form(model)
                with torch.no_grad() if gradients else torch.inference_mode():
                    reason = logit_mismatch(own, net(example))
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
            made = Forward(model if reason else net, size, reason)
            if not reason:
                break
        if gradients or resolved(precision, example.device) == "float32":
            return made
        reason = made.reason
        if not reason:
            try:
                call = screened(fold_batchnorm(model), made.call, example)
                return Forward(call, max(size, min(BATCH, 4 * size)))
            except Exception as error:
                reason = f"in float32: {error}".splitlines()[0]
        if precision == "bfloat16":  # "auto" takes what is there
            warnings.warn(f"copies are not screened in bfloat16: {reason}", stacklevel=3)
        return replace(made, reason=reason)


def laid_out(x: Tensor) -> Tensor:
    """Images in channels-last layout (the same numbers), anything else as it is."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def logit_mismatch(own: Tensor, other: Tensor) -> str:
    """Empty if two sets of logits are the same but for rounding, else what is not."""
    if own.shape != other.shape:
        return f"the fast form's logits have shape {tuple(other.shape)}, not {tuple(own.shape)}"
    apart, allowed = (own - other).abs().max(), own.abs().max() * torch.finfo(own.dtype).eps
    if not bool(apart <= ROUNDINGS * allowed):  # "not", for NaN compares as False
        return f"the fast form's logits differ by {float(apart):.2g}"
    return ""


def measured(model: nn.Module, example: Tensor) -> tuple[Tensor, int]:
    """Logits, and how many samples make the largest activation (or input) about a megabyte."""
    largest = [example.numel()]

    def watch(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            largest.append(output.numel())

    watched = [m.register_forward_hook(watch) for m in model.modules()]
    try:
        with torch.no_grad():
            own = model(example)
    finally:
        for handle in watched:
            handle.remove()
    one = max(1, max(largest) // len(example))
    # A GPU has no cache to stay in, but thousands of cores to fill.
    size = GPU if example.is_cuda else min(max(ACTIVATION // one, SMALLEST), LARGEST)
    return own, max(1, min(size, MOST // one))


def fold_batchnorm(model: nn.Module) -> fx.GraphModule:
    """A traced copy with BatchNorm folded into the layer before it, in channels-last layout.

    Ordinary layers, whose weights take no gradients. Raises whatever tracing or copying raises.
    """
    net: Any = fuse(model.eval())  # copies it
    net.delete_all_unused_submodules()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
        parameter.data = laid_out(parameter.data)
    return net


# --- oneDNN -------------------------------------------------------------------------------------


def packable(x: Tensor) -> bool:
    """Whether oneDNN's kernels may be asked: float32 images on a CPU."""
    images = x.device.type == "cpu" and x.dtype == torch.float32 and x.ndim == 4
    return images and torch.backends.mkldnn.is_available()


def fuse_onednn(model: nn.Module) -> fx.GraphModule:
    """:func:`fold_batchnorm`, then each 2-d convolution with its bias and ReLU in one kernel."""
    net = fold_batchnorm(model)
    layers = dict(net.named_modules())
    for node in list(net.graph.nodes):
        layer = layers.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(layer, nn.Conv2d) or isinstance(layer.padding, str):
            continue
        calls = sum(n.target == node.target for n in net.graph.nodes)
        if layer.padding_mode != "zeros" or calls > 1:
            continue
        relu = None
        if len(node.users) == 1:
            after = next(iter(node.users))
            if after.target in RELU or isinstance(layers.get(str(after.target)), nn.ReLU):
                relu = after
        parent, _, name = str(node.target).rpartition(".")
        setattr(net.get_submodule(parent), name, Convolution(layer, relu is not None))
        if relu is not None:
            relu.replace_all_uses_with(node)
            net.graph.erase_node(relu)
    net.recompile()
    net.delete_all_unused_submodules()
    return net


class Convolution(nn.Module):
    """A 2-d convolution, its bias and a ReLU in one kernel, with weights packed at first use.

    The operators are those that torch.compile's CPU backend calls. They are not part of torch's
    promised interface: where they fail, :func:`accelerate` does without.
    """

    def __init__(self, layer: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight.detach(), layer.bias
        self.shape = list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups
        self.after = "relu" if relu else "none"

    def forward(self, x: Tensor) -> Tensor:
        if not self.weight.is_mkldnn:
            self.weight = torch.ops.aten.mkldnn_reorder_conv2d_weight(
                self.weight.to_mkldnn(), *self.shape, list(x.shape)
            )
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.shape, self.after, [], ""
        )


# --- precision ----------------------------------------------------------------------------------


def whole_float32() -> AbstractContextManager[None]:
    """Convolutions of float32 are in float32 inside the block; then as they were.

    TensorFloat-32 (ten bits) is PyTorch's default in cuDNN. Answers on copies near a border would
    depend on it, and no fast form would pass its trial. Matrix products are whole by default.
    """
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


EVERY = 16  # of the copies in a batch, one is asked both ways
SAFE = 4  # a lead of so many times the largest difference isn't in doubt
BATCH = 256  # copies at once, so that some are asked both ways


def screened(
    net: nn.Module, call: Callable[[Tensor], Tensor], example: Tensor
) -> Callable[[Tensor], Tensor]:
    """A function that gives ``call``'s answers, sooner; ``net`` is the same model as ordinary
    layers. Raises ValueError if more than half of the answers to ``example`` are in doubt."""
    half = copy.deepcopy(net).to(torch.bfloat16)

    def rough(x: Tensor) -> Tensor:
        return half(x.to(torch.bfloat16)).float()

    def answers(x: Tensor) -> Tensor:
        logits = rough(x)
        asked = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        asked[::EVERY] = True
        exact = call(x[asked])
        logits += (exact - logits[asked]).mean(0)
        doubt = SAFE * (exact - logits[asked]).abs().max()
        logits[asked] = exact
        # NaN and infinity: "not", so that they are asked again.
        again = ~(lead(logits) > doubt) & ~asked
        if again.any():
            logits[again] = call(x[again])
        return logits

    with torch.inference_mode():
        own = call(example)
        doubted = lead(own) <= SAFE * (own - rough(example)).abs().max()
    if not own.isfinite().all() or doubted.float().mean() > 0.5:
        raise ValueError(f"{int(doubted.sum())} of {len(own)} answers in bfloat16 are in doubt")
    return answers


def lead(logits: Tensor) -> Tensor:
    """How far the largest logit is ahead of the next one, [n]."""
    best = logits.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]
