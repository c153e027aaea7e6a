"""An audit from files: models, samples and indices that were made elsewhere, read as data.

The command fills an :class:`AuditFiles` and calls :func:`run_audit`. Weights, safetensors or what
PyTorch's restricted loader reads, are loaded into a net that a function of the user's builds.
Running that function runs the user's code: nothing else here runs code from a file.
"""

import hashlib
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rurklib import checks
from rurklib.checks import InputError
from rurklib.residual.exchange import LESS_SURE, SURER
from rurklib.residual.flags import flag
from rurklib.residual.verdict import NO_VERDICT, OVER, RESIDUAL
from rurklib.study.audit import Audited, audit, check_free
from rurklib.study.extend import LOADED, executed
from rurklib.study.readers import read_indices, read_samples, said
from rurklib.tensors import Pair, copies, logits, seeded

WRAPPED = ("state_dict", "model_state_dict", "model", "net", "ema")  # where trainers put it
TREATED = "treated-differently"
# Conditions of --fail-on and their findings: no verdict is no answer to a question for one.
FAILURES = {
    "residual": (RESIDUAL, NO_VERDICT),
    "over-forgotten": (OVER, NO_VERDICT),
    TREATED: (SURER, LESS_SURE),
    "no-verdict": (NO_VERDICT,),
    "flags": (),
}


@dataclass(frozen=True)
class AuditFiles:
    """The files of an audit, and what fits the nets in them to the data: the options of the same
    names of ``rurk audit``, whose help describes them."""

    model: str
    weights: Path
    data: Path
    forget: Path
    references: Sequence[Path] = ()
    held_out: Path | None = None
    retain: Path | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    label_order: Sequence[float] | None = None
    expect_accuracy: float | None = None
    device: str = "auto"


def run_audit(
    files: AuditFiles, out: Path, *, fail_on: Sequence[str] = (), **settings: Any
) -> tuple[list[str], list[str]]:
    """Audit the model of ``files`` into the folder ``out``; ``settings`` as for ``rurklib.audit``.

    Returns lines to print, and one for each condition of ``fail_on`` (``FAILURES``) that holds.
    Raises InputError.
    """
    for word in fail_on:
        checks.one_of("--fail-on", word, FAILURES)
    if TREATED in fail_on and files.held_out is None:
        raise InputError(f"--fail-on {TREATED} needs --held-out: there is nobody to compare with")
    check_free(out)
    read = read_audit(files)
    paths = [files.weights, files.data, files.forget, files.held_out, files.retain]
    paths += [Path(files.model.rpartition(":")[0]), *files.references, *map(Path, LOADED)]
    hashes = {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in filter(None, paths)}
    fitted = {n: v for n in ("mean", "std", "label_order") if (v := getattr(files, n)) is not None}
    settings |= {"hashes": hashes, "preprocessing": fitted, "title": f"Audit of {files.weights}"}
    result = audit(**read, **settings, out=out)
    doubts = [*(f"flag: {flag}" for flag in result.flags), result.summary["rests_on"]]
    lines = [*result.summary["sentences"], *filter(None, doubts), "", by_tau(result), ""]
    return [*lines, f"report: {out / 'report.html'}"], failures(result, fail_on)


def by_tau(result: Audited) -> str:
    """Shares of the forget samples' copies that are recognised, a column for each tau."""
    names = {"tau": "tau", "forget_accuracy": "model", "reference_accuracy": "re-trained"}
    table = result.frame[[*names]].rename(columns=names).dropna(axis=1).set_index("tau")
    return table.T.rename(columns="{:g}".format).to_string(float_format="{:.3f}".format)


def failures(result: Audited, fail_on: Sequence[str]) -> list[str]:
    """A line, with the reason, for each condition that holds."""
    answers = [a for a in (result.summary["verdict"], result.summary["exchange"]) if a]
    lines = []
    for word in fail_on:
        reasons = [a["finding"] for a in answers if a["finding"] in FAILURES[word]]
        if word == "flags":
            reasons = [flag.name for flag in result.flags]
        elif word == TREATED and len(answers) < 2:
            reasons = ["not tested, see the flags"]
        lines += [f"--fail-on {word}: {', '.join(reasons)}"] if reasons else []
    return lines


def read_audit(files: AuditFiles) -> dict[str, Any]:
    """Models and samples of ``files`` as :func:`rurklib.audit` takes them, on their device.

    Cheap files first: no code is run before arrays and weights are known to be good. Raises
    InputError, in one line that names the file.
    """
    device = device_of(files.device)
    x, y = read_samples(files.data)
    forgotten = read_indices(files.forget, len(x))
    forget = x[forgotten], y[forgotten]
    given = {"held_out": files.held_out, "retained": files.retain}
    pairs = {n: _read_pair(path, x, y) for n, path in given.items() if path is not None}
    paths = [files.weights, *files.references]
    tensors = [read_weights(path) for path in paths]
    build = build_function(files.model)
    nets = [built(build, p, state, files.model) for p, state in zip(paths, tensors, strict=True)]
    classes = checks.logits(nets[0], *forget)
    mean, std, order = transform(files, forget[0].shape[1:], classes)
    model, *rest = (Fitted(net, mean, std, order).eval().to(device) for net in nets)
    references = dict(zip(map(str, files.references), rest, strict=True))
    pairs = {n: (px.to(device), py.to(device)) for n, (px, py) in pairs.items()}
    if files.expect_accuracy is not None:
        if not pairs:
            raise InputError("--expect-accuracy needs --held-out or --retain: samples to try it on")
        name, samples = next(iter(pairs.items()))
        every = {str(files.weights): model, **references}
        check_accuracy(every, samples, name.replace("_", "-"), files.expect_accuracy)
    again = copies(x, x[forgotten])
    again[forgotten] = False
    at = [str(i) for i in again.nonzero().flatten().tolist()]
    return {
        "model": model,
        "references": references,
        "x": forget[0].to(device),
        "y": forget[1].to(device),
        **pairs,
        "indices": forgotten,
        "flags": flag("forget samples elsewhere", [f"at index {at[0]}", *at[1:]] if at else []),
    }


def _read_pair(path: Path, x: Tensor, y: Tensor) -> Pair:
    """Samples of a ``.npz`` of their own, or those of (x, y) that a ``.npy`` names."""
    if path.suffix == ".npz":
        return read_samples(path)
    chosen = read_indices(path, len(x))
    return x[chosen], y[chosen]


def device_of(name: str) -> torch.device:
    """The device that ``name`` means; InputError if there is none of that kind here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        empty = torch.empty(0, device=name)
        empty.cpu()  # which raises for "meta": it holds no numbers
        return empty.device
    except (RuntimeError, AssertionError) as error:  # unknown; or PyTorch was built without it
        raise InputError(f"--device {name} can't be used here ({said(error)}): try cpu") from error


def build_function(spec: str) -> Callable[[], nn.Module]:
    """The function that ``path/to/m.py:build`` names. Importing the file runs the code in it."""
    file, colon, name = spec.rpartition(":")
    path = Path(file).expanduser()
    if not colon or path.suffix != ".py":
        raise InputError(f"model {spec}: expected FILE.py:FUNCTION, as m.py:build")
    sys.path.insert(0, str(path.resolve().parent))  # its own imports, as python m.py would
    try:
        module = executed(path, f"rurk_audited_{path.stem}")
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
    weights, in eval mode. InputError if the two don't fit."""
    try:
        with seeded(0):
            model = build()
        model.load_state_dict(tensors, strict=True)
    except (Exception, SystemExit) as error:  # of the user's code, or what the weights lack
        why = textwrap.shorten(str(error), 300)
        raise InputError(
            f"{weights} can't be loaded into the net of --model {spec} ({why}): name the function "
            "of the net that these weights are of"
        ) from error
    return model.cpu().eval()  # one that is built on a GPU: it goes to --device later


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights: safetensors, or what ``torch.save`` wrote.

    The latter is a pickle, read by PyTorch's restricted loader, which builds tensors and plain
    containers alone. Its known holes are closed from PyTorch 2.10 on.
    """
    try:
        if path.suffix == ".safetensors":
            return state_dict_in(load_file(path))
        with path.open("rb") as file:  # the name decides nothing
            return state_dict_in(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # SafetensorError, or whatever a damaged pickle raises
        why = said(error).partition(". ")[0]  # the loader goes on to advise to run the pickle
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


class Fitted(nn.Module):
    """``net((x - mean) / std)``, with its outputs in the order of the data's labels: ``order``
    [classes] is the output for each label."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Tensor, std: Tensor, order: list[int]) -> None:
        super().__init__()
        self.net, self.order = net, order
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]: column k is the data's label k."""
        return self.net((x - self.mean) / self.std)[:, self.order]


def transform(
    files: AuditFiles, shape: Sequence[int], classes: int
) -> tuple[Tensor, Tensor, list[int]]:
    """``mean``, ``std`` and ``order`` of :class:`Fitted`, for samples of ``shape`` [channels, ...].
    Raises InputError for numbers that don't fit the data."""
    mean, std = files.mean or [0.0], files.std or [1.0]
    for option, values in (("--mean", mean), ("--std", std)):
        if len(values) not in (1, shape[0]):
            raise InputError(
                f"{option} has {len(values)} numbers: expected one, or one for each of the "
                f"{shape[0]} channels of samples {tuple(shape)}"
            )
    if min(std) <= 0:
        raise InputError(f"--std {min(std):g}: expected numbers above 0")
    labels = [*range(classes)] if files.label_order is None else list(files.label_order)
    if sorted(labels) != list(range(classes)):
        raise InputError(
            f"--label-order {','.join(f'{label:g}' for label in labels)}: expected each of 0 ... "
            f"{classes - 1} once, the label of the first of {classes} outputs first"
        )
    each = (-1, *[1] * (len(shape) - 1))  # broadcasts against a sample
    center, scale = (torch.tensor(v, dtype=torch.float32).view(each) for v in (mean, std))
    return center, scale, [labels.index(label) for label in range(classes)]


def check_accuracy(nets: Mapping[str, nn.Module], samples: Pair, what: str, share: float) -> None:
    """Raise InputError for a net that is right on less than ``share`` of the samples ``what``."""
    x, y = samples
    for name, net in nets.items():
        right = int((logits(net, x).argmax(1) == y).sum())
        if right < share * len(y):
            raise InputError(
                f"{name} is right on {right} of {len(y)} {what} samples, {right / len(y):.4g}: "
                f"expected {share:g} or more (--expect-accuracy); mend normalisation "
                "(--mean, --std), the order of labels (--label-order), or the weights"
            )
