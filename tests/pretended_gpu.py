"""A GPU that isn't there: CPU tensors that say they are on "cuda", and what PyTorch refuses then.

Every call that Python makes of PyTorch is watched (torch.overrides.TorchFunctionMode). What is made
or moved *there* has a mark on its storage, so its views have it too, and so does what is computed
from it. Refused are tensors or generators of two devices in one call, an index from there into what
is here, and NumPy asking for what is there. Moving copies. All numbers are a CPU's, so they can be
asked to be the same to the bit; how fast a GPU is, and how it rounds, nobody learns here. Not seen
are other threads, other processes, and the backward pass, which goes where the forward one went.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._C import _functorch as functorch
from torch.overrides import TorchFunctionMode

THERE, HERE = torch.device("cuda", 0), torch.device("cpu")
# These copy from one device to the other, or take places that are listed on the CPU.
ACROSS = {"copy_", "__getitem__", "__setitem__", "__set__", "_has_compatible_shallow_copy_type"}


class Generator(torch.Generator):
    """A CPU's random stream that says what device it was made for."""

    def __new__(cls, device: Any = HERE) -> "Generator":
        made = super().__new__(cls)
        made.there = torch.device(device).type == "cuda"
        return made

    @property
    def device(self) -> torch.device:
        return THERE if self.there else HERE


def is_there(x: Tensor) -> bool:
    with torch._C.DisableTorchFunction():
        return marked(x)


def marked(x: Tensor) -> bool:
    try:
        return getattr(x.untyped_storage(), "there", False)
    except (NotImplementedError, RuntimeError):  # in vmap, grad, jvp; or no strides
        return functorch.is_functorch_wrapped_tensor(x) and marked(functorch.get_unwrapped(x))


def mark(x: Tensor) -> None:
    while functorch.is_functorch_wrapped_tensor(x):
        x = functorch.get_unwrapped(x)
    x.untyped_storage().there = True


def leaves(tree: Any, kind: type) -> list[Any]:
    """All of a kind in lists, tuples and dicts. (PyTorch's own is ten times slower.)"""
    if isinstance(tree, kind):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (list, tuple)):
        return []
    return [leaf for part in tree for leaf in leaves(part, kind)]


def of_one_device(name: str, given: Sequence[Tensor], there: Sequence[bool]) -> None:
    """PyTorch's own rule: numbers without dimensions may come from the CPU, if they aren't joined
    or written into; all else is of one device; and what is on the CPU isn't indexed from there."""
    inplace = name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))
    strict = name in ("cat", "stack") or (inplace and not there[0])
    here = [x for x, far in zip(given, there, strict=True) if not far and (strict or x.dim())]
    if any(there) and here and name not in ACROSS:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"cuda:0 and cpu! ({name})"
        )
    if name == "__setitem__" and len(given) > 2 and given[-1].dim() and there[0] != there[-1]:
        raise RuntimeError("expected self and values to be on the same device (__setitem__)")
    if name in ("__getitem__", "__setitem__") and any(there[1:]) and not there[0]:
        raise RuntimeError(f"indices should be on the same device as the indexed tensor ({name})")


class Watch(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        asked, name = dict(kwargs or {}), getattr(func, "__name__", str(func))
        given = leaves((args, asked), Tensor)
        there, place = [marked(x) for x in given], asked.get("device")
        if name in ("to", "cpu", "cuda"):
            return moved(name, *args, **asked)
        if name == "pin_memory":
            assert not there[0], "only what is on the CPU can be pinned"
            return given[0].clone()
        if not (any(there) or place or "generator" in asked):
            return func(*args, **asked)
        if func in (Tensor.device.__get__, Tensor.is_cuda.__get__):
            return THERE if func == Tensor.device.__get__ else True
        if name in ("numpy", "__array__"):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
        if place is None:
            far = there[0] if name in ACROSS else any(there)
        elif torch.device(place).type == "meta":
            return func(*args, **asked)
        else:
            far, asked["device"] = torch.device(place).type == "cuda", HERE
        if place is None or name not in ("as_tensor", "tensor", "asarray"):
            of_one_device(name, given, there)
        stream = asked.get("generator")
        if stream is not None and stream.device != (THERE if far else HERE):
            raise RuntimeError(
                f"Expected a '{THERE if far else HERE}' device type for generator but found "
                f"'{stream.device}' ({name})"
            )
        out = func(*args, **asked)
        if far:
            for x in leaves(out, Tensor):
                mark(x)
        return out


def moved(name: str, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """What ``to``, ``cpu`` and ``cuda`` give: a copy where the device is another."""
    was, rest = marked(x), []
    there = {"to": was, "cpu": False, "cuda": True}[name]
    for word in (*args, *([kwargs.pop("device")] if kwargs.get("device") is not None else ())):
        if isinstance(word, Tensor):
            there = marked(word)
            rest += [HERE, word.dtype]
        elif isinstance(word, (str, torch.device)) and torch.device(word).type != "meta":
            there = torch.device(word).type == "cuda"
            rest.append(HERE)
        else:
            rest.append(word)
    out = Tensor.to(x, *rest, **kwargs) if rest or kwargs else x
    if there != was and out is x:
        out = x.clone()
    if there:
        mark(out)
    return out


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """A GPU for the length of a block; gives its device."""
    autocast = torch.autocast

    def set_state(state: Tensor, device: Any = None) -> None:
        assert not is_there(state), "a random state is on the CPU"
        torch.set_rng_state(state)

    there = {
        "is_available": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "get_device_name": lambda *_: "a pretended GPU",
        "mem_get_info": lambda *_: (8 << 30, 16 << 30),
        "synchronize": lambda *_: None,
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": set_state,
    }
    with (
        mock.patch.multiple(torch.cuda, **there),
        mock.patch.object(torch, "Generator", Generator),
        mock.patch.object(torch, "autocast", lambda _, *args, **how: autocast("cpu", *args, **how)),
        Watch(),
    ):
        yield THERE
