"""Input that can't be used is named before any work starts.

Every check raises :class:`InputError` with one line that says three things: the value that was
given, what was expected, and how to mend it. The command line turns it into exit code 2.
"""

import difflib
import functools
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any, TypeVar

import torch
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from typing_extensions import dataclass_transform

from rurklib.tensors import Bounds, as_float, copies, evaluating


class InputError(ValueError):
    """A value that can't be used; the message names it, what was expected and how to mend it."""


def one_of(what: str, value: object, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``allowed``, else raise with the nearest valid names."""
    names = {name.lower(): name for name in allowed}
    if isinstance(value, str) and value in names.values():
        return value
    near = difflib.get_close_matches(str(value).lower(), names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(repr(names[n]) for n in near)}? " if near else ""
    known = ", ".join([*names.values()][:40]) + (", ..." if len(names) > 40 else "")
    raise InputError(f"unknown {what} {value!r}: {hint}known: {known}")


Settings = TypeVar("Settings")
TYPES_DECIDE = ConfigDict(
    strict=True, allow_inf_nan=False, arbitrary_types_allowed=True, extra="forbid"
)


@dataclass_transform(frozen_default=True)
def values(settings: type[Settings]) -> type[Settings]:
    """A frozen dataclass whose types say what each value may be: a class decorator.

    ``Annotated[float, Field(ge=0)]`` takes a finite number of at least 0, an int among them, and
    neither a bool nor a text. Making one raises InputError for any other value.
    """
    made = dataclass(settings, frozen=True, config=TYPES_DECIDE)
    init, names = made.__init__, list(made.__dataclass_fields__)

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **named: Any) -> None:
        with as_input_error():  # which names a value by its field
            init(self, **dict(zip(names[: len(args)], args, strict=True)), **named)

    made.__init__ = checked  # type: ignore[method-assign]
    return made  # type: ignore[return-value]


@contextmanager
def as_input_error() -> Iterator[None]:
    """Raise pydantic's first complaint inside the block as an InputError of one line."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "value_error":  # raised by our own code: its words say everything
            raise InputError(str(first["ctx"]["error"])) from None
        what = ".".join(map(str, first["loc"]))
        says = first["msg"].replace("Input should be ", "expected ")
        says = says.replace("expected greater", "expected a number greater")
        says = says.replace("expected less", "expected a number less")
        raise InputError(f"{what} = {first['input']!r}: {says}") from None


def number(what: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """Return ``value`` as a float if it is a finite number in [low, high], else raise."""
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not ok or not low <= value <= high:
        raise InputError(f"{what} = {value!r}: expected a finite number in [{low:g}, {high:g}]")
    return float(value)


def count(what: str, value: Any, low: int = 1) -> int:
    """Return ``value`` if it is a whole number of at least ``low``, else raise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise InputError(f"{what} = {value!r}: expected a whole number of at least {low}")
    return value


def inputs(x: Any, bounds: Bounds = (0.0, 1.0), what: str = "x") -> None:
    """Check that ``x`` is a non-empty batch of finite inputs inside ``bounds``.

    ``x`` is uint8 (read as x / 255, so always inside [0, 1]) or floating point; ``bounds`` is the
    lowest and highest value an input can take, or None where there is no bound.
    """
    ends: Any = bounds if isinstance(bounds, (tuple, list)) and len(bounds) == 2 else ("", "")
    if bounds is not None and not (all(isinstance(b, Real) for b in ends) and ends[0] < ends[1]):
        raise InputError(f"bounds = {bounds!r}: expected (lowest, highest) of an input, or None")
    if not isinstance(x, Tensor):
        raise InputError(f"{what} is a {type(x).__name__}: expected a torch tensor [n, ...]")
    if x.ndim < 2 or len(x) == 0:
        raise InputError(f"{what} has shape {tuple(x.shape)}: expected a non-empty batch [n, ...]")
    if x.dtype == torch.uint8:
        return
    if not x.is_floating_point():
        raise InputError(f"{what} has dtype {x.dtype}: expected uint8 or a floating type")
    low, high = map(float, torch.aminmax(x))  # one pass over x; NaN is handed on
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int((~torch.isfinite(x)).flatten(1).any(1).sum())
        raise InputError(f"{what}: {bad} of {len(x)} samples hold NaN or infinity; remove them")
    if bounds is not None and (low < bounds[0] or high > bounds[1]):
        mend = "divide 0..255 images by 255, normalise in the model"
        raise InputError(f"{what} spans [{low:.4g}, {high:.4g}], not within {bounds}: {mend}")


def labels(y: Any, n: int, classes: int | None = None, what: str = "y") -> None:
    """Check that ``y`` is an int64 tensor [n] with values in 0 ... classes - 1."""
    if not isinstance(y, Tensor) or y.dtype != torch.int64 or y.shape != (n,):
        got = f"{y.dtype} {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise InputError(f"{what} is {got}: expected int64 labels [{n}]; use y.long().flatten()")
    low, high = int(y.min()), int(y.max())
    if low < 0 or (classes is not None and high >= classes):
        top = "..." if classes is None else str(classes - 1)
        raise InputError(f"{what} spans {low} ... {high}: expected labels in 0 ... {top}")


def logits(model: Any, x: Tensor, y: Tensor, what: str = "model") -> int:
    """Check on a few samples that ``model(x)`` gives logits [n, classes]; return ``classes``.

    ``x`` is a batch as :func:`inputs` accepts; at most 8 samples are tried, in eval mode, and the
    model is left as found. Probabilities (rows that are non-negative and sum to 1) are refused:
    the losses here are cross-entropies of logits, and a softmax twice hides small gradients.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"{what} is a {type(model).__name__}: expected a torch.nn.Module")
    probe = as_float(x[:8])
    given = probe.clone()  # a net that writes into its input is shown this, and not the caller's
    try:
        with evaluating(model), torch.no_grad():
            out = model(given)
    except Exception as error:  # whatever the caller's code raises
        first = (str(error).splitlines() or [type(error).__name__])[0]
        shape = tuple(probe.shape[1:])
        raise InputError(
            f"{what} can't be applied to a batch of {shape} inputs: {first}"
        ) from error
    if not torch.equal(given, probe):
        raise InputError(f"{what} writes into its input: in place of x -= mean, x = x - mean")
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(probe):
        got = tuple(out.shape) if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise InputError(f"{what} returned {got} for {len(probe)} samples: expected [n, classes]")
    if not bool(torch.isfinite(out).all()):
        raise InputError(f"{what} returned NaN or infinity: its weights or inputs are broken")
    if bool((out >= 0).all()) and bool((out.double().sum(1) - 1).abs().max() < 1e-4):
        raise InputError(f"{what} returned probabilities: expected logits; remove the softmax")
    if out.shape[1] == 1:
        raise InputError(f"{what} returned one logit: expected two; torch.cat([0 * z, z], 1)")
    labels(y, len(x), out.shape[1])
    return int(out.shape[1])


def pair(data: Any, what: str, bounds: Bounds = (0.0, 1.0)) -> tuple[Tensor, Tensor]:
    """Check that ``data`` is a pair ``(x, y)`` of inputs and labels, and return it."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise InputError(f"{what}: expected a pair (x, y) of tensors, got {type(data).__name__}")
    x, y = data
    inputs(x, bounds, f"{what} x")
    labels(y, len(x), what=f"{what} y")
    return x, y


def disjoint(retain: Tensor, forget: Tensor, names: tuple[str, str] = ("retain", "forget")) -> None:
    """Raise if a sample of the second stands in the first too (:func:`copies`)."""
    first, second = names
    kinds = [(str(x.dtype), *x.shape[1:]) for x in (retain, forget)]
    if kinds[0] != kinds[1]:
        raise InputError(f"{first}, {second} hold {kinds}: expected the same kind of sample")
    if both := int(copies(forget, retain).sum()):
        what = f"{both} of {len(forget)} {second} samples are in the {first} set too"
        raise InputError(f"{what}: remove them from one")
