"""Models, samples and indices that were made elsewhere, read as data.

Weights are loaded, all of them and no other, into a net that a function of the user's builds
(running that function runs the user's code: nothing else here runs code from a file). They are
safetensors, or pickles (.pt, .pth, ...) that PyTorch's restricted loader reads. Arrays are .npz or
.npy of numbers.
"""

import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rurklib.checks import InputError, disjoint
from rurklib.residual.flags import flag, some
from rurklib.study.audit.fitted import fitted, shown_to
from rurklib.study.brought import executed
from rurklib.study.sources.npz import read_indices, read_samples, said
from rurklib.tensors import copies, of_one_kind, seeded

WRAPPED = ("state_dict", "model_state_dict", "model", "net", "ema")  # where trainers put it


def read_audit(
    model: str,
    weights: Path,
    references: Sequence[Path],
    data: Path,
    forget: Path,
    held_out: Path | None = None,
    retain: Path | None = None,
    device: str = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    label_order: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Everything that an audit needs from its files, as :func:`rurklib.audit`'s arguments.

    ``model`` is FILE.py:FUNCTION, whose ``weights`` are a file; the rest are the files that
    ``rurk audit`` takes. ``device`` is where models and samples are put: "auto" a GPU if there is
    one; ``mean``, ``std`` and ``label_order`` as :func:`rurklib.study.audit.fitted.fitted`.

    Cheap files first: no code is run before arrays and weights are known to be good. Raises
    InputError, in one line that names the file, for whatever can't be used.
    """
    place = device_of(device)
    x, y = read_samples(data)
    forgotten = read_indices(forget, len(x))
    given: dict[str, Any] = {"x": x[forgotten], "y": y[forgotten], "indices": forgotten}
    given["flags"] = flag("forget samples elsewhere", _elsewhere(x, forgotten))
    for name, path in {"held_out": held_out, "retained": retain}.items():
        if path is None:
            continue
        if path.suffix == ".npz":
            if path.resolve() == data.resolve():
                raise InputError(
                    f"{path} is --data itself, and {name.replace('_', ' ')} samples are others: "
                    "save them as an .npz of their own, by the same names, or give .npy indices"
                )
            given[name] = read_samples(path)
            disjoint(*of_one_kind(given["x"], given[name][0]), ("forget", str(path)))
            continue
        chosen = read_indices(path, len(x))
        if both := int(torch.isin(chosen, forgotten).sum()):
            raise InputError(f"{path} names {both} samples that {forget} names too: take them out")
        given[name] = x[chosen], y[chosen]
    nets = _nets(model, weights, references)
    nets = fitted(nets, given["x"], given["y"], mean, std, label_order)
    given["model"], *others = nets
    shown_to(nets[0], given["x"], given["y"])
    given["references"] = dict(zip(map(str, references), others, strict=True))
    return {n: v if n in ("indices", "flags") else moved(v, place) for n, v in given.items()}


def _elsewhere(x: Tensor, forgotten: Tensor) -> str:
    """Which samples that aren't named as forgotten equal one that is; "" if none do."""
    again = copies(x, x[forgotten])
    again[forgotten] = False
    at = [str(i) for i in again.nonzero().flatten().tolist()]
    return f"at index {some(at)}" if at else ""


def device_of(name: str) -> torch.device:
    """The device that ``name`` means; InputError if there is none of that kind here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # unknown; or PyTorch was built without it
        raise InputError(f"--device {name} can't be used here ({said(error)}): try cpu") from error


def moved(value: Any, device: torch.device) -> Any:
    """Tensors and models, alone or in a tuple or a mapping, on ``device``."""
    if isinstance(value, Mapping):
        return {name: moved(v, device) for name, v in value.items()}
    if isinstance(value, tuple):
        return tuple(moved(v, device) for v in value)
    return value.to(device)


def _nets(model: str, weights: Path, references: Sequence[Path]) -> list[nn.Module]:
    """The model and its references; every file is looked at before code is run."""
    paths = [weights, *references]
    if twice := [r for r in references if paths.count(r) > 1]:
        raise InputError(
            f"{twice[0]} is given twice, as two references or as the model too: a reference is "
            "another model, re-trained without the forget samples"
        )
    tensors = {path: read_weights(path) for path in paths}
    build = build_function(model)
    return [built(build, p, tensors[p], model) for p in paths]


def build_function(spec: str) -> Callable[[], nn.Module]:
    """The function that ``path/to/m.py:build`` names. Importing the file runs the code in it."""
    file, colon, name = spec.rpartition(":")
    path = Path(file).expanduser()
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise InputError(f"model {spec}: expected FILE.py:FUNCTION, as m.py:build")
    if not path.is_file():
        raise InputError(f"{path} does not exist: check the path of the model's code")
    sys.path.insert(0, str(path.resolve().parent))  # its own imports, as python m.py would
    try:
        module = executed(path, f"rurk_audited_{path.stem}", path.read_bytes())
    finally:
        sys.path.pop(0)
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"{path} has no function {name!r}: name one that returns the model")
    return function


def built(
    build: Callable[[], nn.Module], weights: Path, tensors: Mapping[str, Tensor], spec: str
) -> nn.Module:
    """The net that ``build()`` (``spec`` on the command line) returns with the tensors of a file of
    weights, in eval mode. InputError if the two don't fit.

    Where one layer of it holds all that it can learn, as ``net`` does in a class that normalises
    for it or puts its labels in another order, weights by that layer's own names do as well.
    """
    try:
        with seeded(0):
            model = build()
    except (Exception, SystemExit) as error:
        raise InputError(f"the model's function raised {said(error)}: mend its code") from error
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise InputError(f"the model's function returned a {kind}: expected a torch.nn.Module")
    if bad := [k for k, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()]:
        raise InputError(f"{weights}: {bad[0]} holds NaN or infinity: re-train the model")
    learnt = len(list(model.parameters()))
    inner = [n for n, m in model.named_children() if len(list(m.parameters())) == learnt]
    wanted = model.state_dict(keep_vars=True)
    if len(inner) == 1 and not set(tensors) & set(wanted):
        own = {n: t for n, t in wanted.items() if not n.startswith(f"{inner[0]}.")}  # constants
        tensors = {f"{inner[0]}.{n}": t for n, t in tensors.items()} | own
    tied = {id(wanted[k]): t for k, t in tensors.items() if k in wanted}  # they are written once
    twins = {k: tied[id(w)] for k, w in wanted.items() if k not in tensors and id(w) in tied}
    try:
        model.load_state_dict({**tensors, **twins}, strict=True)
    except RuntimeError as error:  # it names what is missing, is too much, or has another shape
        hint = "name the function of the net that these weights are of, or give weights of this net"
        why = textwrap.shorten(str(error).partition(":")[2], 300)
        raise InputError(
            f"{weights} doesn't fit the net that --model {spec} builds ({why}): {hint}"
        ) from error
    return model.cpu().eval()  # one that is built on a GPU: it goes to --device later


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights: safetensors, or what ``torch.save`` wrote.

    The latter is a pickle, read by PyTorch's restricted loader, which builds tensors and plain
    containers alone. Its known holes are closed from PyTorch 2.10 on.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: check the path of the weights")
    try:
        if path.suffix == ".safetensors":
            return state_dict_in(load_file(path))
        with path.open("rb") as file:  # the name decides nothing
            return state_dict_in(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # SafetensorError, or whatever a damaged pickle raises
        code = re.search(r"GLOBAL ([\w.]+)", str(error))  # the loader would advise to run it
        why = f"it holds {code[1]}, which is code" if code else said(error).partition(". ")[0]
        raise InputError(
            f"{path} can't be read as weights ({why}): where the model was made, save "
            "model.state_dict() by safetensors or torch.save"
        ) from error


def state_dict_in(loaded: Any) -> dict[str, Tensor]:
    """The state_dict in a file's content: alone, or in a trainer's checkpoint beside other things.
    Names lose the ``module.`` that DataParallel put before them.

    >>> sorted(state_dict_in({"epoch": 3, "state_dict": {"module.w": torch.ones(1)}}))
    ['w']
    """
    places = [n for n in WRAPPED if isinstance(loaded, Mapping) and isinstance(loaded.get(n), dict)]
    if len(places) > 1:  # averaged weights, say, are another model
        raise InputError(f"it holds {' and '.join(places)}: expected one model")
    found = loaded[places[0]] if places else loaded
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError("expected a state_dict, tensors by name")
    prefix = "module." if all(name.startswith("module.") for name in found) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}
