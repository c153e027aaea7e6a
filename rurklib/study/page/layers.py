"""A net as a list of layers with numbers, for a reader that has no PyTorch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rurklib.checks import InputError
from rurklib.models import Normalized

Layer = tuple[dict[str, Any], dict[str, Tensor]]  # what it is, and its weights by name


def layers(net: nn.Module) -> list[Layer]:
    """The layers of a net in eval mode, in the order in which they are applied.

    Of each its ``kind``, its settings, and its weights in float64, on the CPU. BatchNorm is folded
    into the layer before it where that is linear, and else a ``scale``, ``x * weight + bias`` for
    each channel, as ``Normalized`` is. Raises InputError for a net that isn't one layer after the
    other, or for a layer that isn't in ``KNOWN``.
    """
    if isinstance(net, Normalized):
        mean, std = net.mean.double().cpu(), net.std.double().cpu()
        scale = {"weight": 1 / std, "bias": -mean / std}
        return [({"kind": "scale"}, scale), *layers(net.net)]
    if type(net) is nn.Sequential:
        return _folded([layer for part in net for layer in layers(part)])
    known = KNOWN[type(net)](net) if type(net) in KNOWN else None
    if known is None:
        names = ", ".join(kind.__name__ for kind in KNOWN)
        raise InputError(
            f"{net}: the page's nets are {names} (square, ungrouped, without dilation), one after "
            "the other; expected a run of such a net, as --set model=small-cnn makes"
        )
    what, weights = known
    return [(what, {name: t.detach().double().cpu() for name, t in weights.items()})]


def _folded(found: list[Layer]) -> list[Layer]:
    """A scale after a linear layer becomes part of its weights."""
    kept: list[Layer] = []
    for what, own in found:
        if what["kind"] == "scale" and kept and kept[-1][0]["kind"] in ("conv2d", "linear"):
            before = kept[-1][1]
            before["weight"] = before["weight"].flatten(1) * own["weight"].reshape(-1, 1)
            before["bias"] = before["bias"] * own["weight"] + own["bias"]
        else:
            kept.append((what, own))
    return kept


def _linear(m: Any, out: int, **settings: Any) -> Any:
    bias = torch.zeros(out) if m.bias is None else m.bias
    kind = "conv2d" if settings else "linear"
    return {"kind": kind, "out": out, **settings}, {"weight": m.weight, "bias": bias}


def _conv(m: Any) -> Any:
    square = all(pair[0] == pair[-1] for pair in (m.kernel_size, m.stride, m.padding))
    plain = m.groups == 1 and m.dilation == (1, 1) and m.padding_mode == "zeros"
    if not (square and plain) or isinstance(m.padding, str):
        return None
    settings = {"size": m.kernel_size[0], "stride": m.stride[0], "padding": m.padding[0]}
    return _linear(m, m.out_channels, **settings)


def _norm(m: Any) -> Any:
    if not (m.affine and m.track_running_stats):
        return None
    scale = m.weight.double() / torch.sqrt(m.running_var.double() + m.eps)
    shift = m.bias.double() - m.running_mean.double() * scale
    return {"kind": "scale"}, {"weight": scale, "bias": shift}


def _pool(m: Any) -> Any:
    plain = m.padding == 0 and m.dilation == 1 and not m.ceil_mode and m.stride == m.kernel_size
    whole = plain and isinstance(m.kernel_size, int)
    return ({"kind": "maxpool2d", "size": m.kernel_size}, {}) if whole else None


def _mean(m: Any) -> Any:
    whole = isinstance(m.output_size, int)
    return ({"kind": "avgpool2d", "out": m.output_size}, {}) if whole else None


KNOWN: dict[type[nn.Module], Callable[[Any], Any]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _norm,
    nn.ReLU: lambda m: ({"kind": "relu"}, {}),
    nn.MaxPool2d: _pool,
    nn.AdaptiveAvgPool2d: _mean,
    nn.Flatten: lambda m: (
        ({"kind": "flatten"}, {}) if (m.start_dim, m.end_dim) == (1, -1) else None
    ),
    nn.Linear: lambda m: _linear(m, m.out_features),
}
