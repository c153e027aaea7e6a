"""Files of the user's own, brought along with ``--with FILE.py``: what is in them works as ours.

A file has the form of one that ships (rurklib/README.md, "Adding something"): plain Python that
registers methods, laws (perturbations), metrics, nets, attacks or scenarios under their names. It
is executed, as ``python FILE.py`` would, wherever a study works: by the command, in the kernels of
notebooks, in joblib's processes. A run remembers its files by path and SHA-256, so that whoever
opens it again needs to name none. Keys hold a file as they hold a module of ours.

A file stands alone: another one beside it is found by none of these, and followed by no key.
"""

import hashlib
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from rurklib.checks import InputError

# Named, not imported: keys follow imports, and would hold every attack and metric.
REGISTRIES = {
    "method": ("rurklib.unlearn", "METHODS"),
    "search space": ("rurklib.unlearn", "SEARCH"),
    "law": ("rurklib.perturb", "PERTURBATIONS"),
    "metric": ("rurklib.metrics", "METRICS"),
    "net": ("rurklib.models", "MODELS"),
    "attack": ("rurklib.attacks", "ATTACKS"),
    "scenario": ("rurklib.study.scenario", "SCENARIOS"),
}
KEPT = ("method", "seed", "seconds", "share_of_retrain")  # columns of summary.csv, of no metric


@dataclass(frozen=True)
class Brought:
    """A file that was executed: its digest, its module's name, and what it registered, by kind."""

    sha256: str
    module: str
    names: Mapping[str, tuple[str, ...]]


LOADED: dict[str, Brought] = {}  # by absolute path
GIVEN: list[str] = []  # those of the command, or of the one that started this kernel


def give(paths: Iterable[str | Path]) -> None:
    """Load the files that a command was given; runs that are begun from now on have them."""
    GIVEN[:] = dict.fromkeys(load(path) for path in paths)


def given() -> list[str] | None:
    """The files that the command was given; None if there were none."""
    return list(GIVEN) or None


def named(kind: str) -> list[str]:
    """What of a kind is in the files that the command was given."""
    return [name for path in GIVEN for name in LOADED[path].names[kind]]


def load(path: str | Path, sha256: str = "") -> str:
    """Execute a file, unless that was done with what it holds now; returns its absolute path.

    Raises InputError, and then nothing is registered, for a file that isn't there or isn't the one
    of ``sha256``, for an error in it, for one that registers nothing, and for a name that is taken.
    """
    file = Path(path).expanduser().resolve()
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f"{path}: expected a Python file of yours, such as --with my_method.py")
    text = file.read_bytes()
    digest = hashlib.sha256(text).hexdigest()
    if sha256 not in ("", digest):
        raise InputError(f"{file} was edited while the command worked: run the same command again")
    earlier = LOADED.get(str(file))
    if earlier and earlier.sha256 == digest:
        return str(file)
    name = f"rurklib_with_{file.stem.replace('.', '_')}"
    if twice := [p for p, b in LOADED.items() if b.module == name and p != str(file)]:
        raise InputError(f"{file} and {twice[0]} have one name: rename one of them")
    before = {kind: dict(registry(kind)) for kind in REGISTRIES}
    for kind, names in earlier.names.items() if earlier else ():
        for n in names:
            del registry(kind)[n]
    ours = {kind: dict(registry(kind)) for kind in REGISTRIES}
    try:
        _register_scenarios(executed(file, name, text))
        LOADED[str(file)] = Brought(digest, name, _registered(file, ours))
    except InputError:
        for kind, there in before.items():
            registry(kind).clear()
            registry(kind).update(there)
        raise
    return str(file)


def registry(kind: str) -> dict[str, Any]:
    """The dict that things of a kind are registered in."""
    module, name = REGISTRIES[kind]
    return getattr(import_module(module), name)


def executed(path: Path, name: str, text: bytes) -> ModuleType:
    """The module ``name`` that the text of a user's file makes; its code is run.

    Raises InputError, which names the line, for whatever the code raises.
    """
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # pickles and dataclasses look it up
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # a file that ends the process, with 0, ends nothing
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f[0] == str(path)]
        line = lines[-1] if lines else getattr(error, "lineno", None) or 1
        raise InputError(f"{path} can't be imported ({said}): mend its line {line}") from error
    return module


def _register_scenarios(module: ModuleType) -> None:
    """As in the package, where whatever ``Scenario`` a module holds is found."""
    kind = import_module("rurklib.study.scenario").Scenario
    for found in vars(module).values():
        if isinstance(found, kind):
            registry("scenario")[found.name] = found


def _registered(file: Path, ours: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """What a file registered beside ``ours``, by kind; or InputError."""
    now = {kind: registry(kind) for kind in ours}
    found = {kind: tuple(n for n in now[kind] if n not in ours[kind]) for kind in ours}
    taken = [(k, n) for k in ours for n, its in ours[k].items() if now[k].get(n) is not its]
    kept = {*import_module("rurklib.study.run").NO_METHODS}
    kept |= {*import_module("rurklib.evasive").EVASIVE}
    taken += [("method", n) for n in found["method"] if n in kept]
    columns = [*KEPT, *(c for m in now["metric"].values() for c in m.columns)]
    new = [c for n in found["metric"] for c in now["metric"][n].columns]
    taken += [("column", c) for c in new if columns.count(c) > 1]
    for kind, name in taken:
        raise InputError(f"{file}: the {kind} {name!r} is there already: name yours otherwise")
    if not any(found.values()):
        raise InputError(
            f"{file} registers nothing: expected a function under @method(...) or @metric(...), an "
            "entry of PERTURBATIONS, MODELS or ATTACKS, or a Scenario"
        )
    for kind, name in ((k, n) for k, names in found.items() for n in names):
        if not re.fullmatch(r"\w[\w .'()+-]*", name):
            raise InputError(f"{file}: the {kind} {name!r}: expected letters, as in a file's name")
        if kind == "law" and not callable(getattr(now["law"][name], "sample", None)):
            raise InputError(f"{file}: the law {name!r} is no Perturbation: give Perturbation(...)")
    return found


def of_run(
    earlier: Mapping[str, Any] | None,
    paths: Sequence[str | Path] | None = None,
    fresh: bool = False,
) -> dict[str, list[dict[str, str]]]:
    """The files of a run, loaded, as its record has them: {"brought": [{path, sha256}, ...]}, in
    the order of loading, or nothing if there are none. They are ``paths``; if None, those of its
    ``earlier`` record, and of a run that is begun (``fresh``: anew) those that the command was
    given.

    Raises InputError if a file of the record isn't there as it was.
    """
    if paths is not None or fresh or not earlier:
        loaded = [load(path) for path in (GIVEN if paths is None else paths)]
        known = [{"path": path, "sha256": LOADED[path].sha256} for path in loaded]
        return {"brought": known} if known else {}
    known = earlier.get("brought", [])
    for path, sha256 in ((its["path"], its["sha256"]) for its in known):
        file = Path(path)
        # A relative one, which we never write, could come with a folder of somebody else's.
        there = file.is_absolute() and file.is_file()
        if not there or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise InputError(
                f"{path}, a plugin of this run, {'was edited' if there else 'is gone'}: put it "
                "back, or give the run's command --with FILE, to make again what depends on it"
            )
        load(path)
    return {"brought": known} if known else {}


def joined(scenario: Any, settings: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    """A ``Scenario`` changed by ``settings``, with the methods and laws of a run's own files
    (:func:`of_run`) beside its own, or beside those that ``settings`` choose."""
    names = [LOADED[its["path"]].names for its in own.get("brought", ())]
    methods, laws = ([n for its in names for n in its[kind]] for kind in ("method", "law"))
    more: dict[str, Any] = {m: {} for m in methods if m not in scenario.methods}
    if "methods" in settings:
        asked = settings["methods"]
        if not isinstance(asked, (str, list, tuple)):
            raise InputError(f"methods = {asked!r}: expected names, such as GD,RURK")
        chosen = [asked] if isinstance(asked, str) else [*asked]
        settings = {**settings, "methods": chosen + methods}
    changed = replace(scenario, methods={**scenario.methods, **more}).changed(settings)
    return replace(changed, perturbations=tuple(dict.fromkeys([*changed.perturbations, *laws])))


def code(*names: str) -> dict[str, Any]:
    """For a key: the code of those of these names that were brought; nothing where all are ours."""
    behind = {
        name: file.sha256
        for name in names
        for file in LOADED.values()
        if any(name in its for its in file.names.values())
    }
    return {"brought": behind} if behind else {}


class Carried:
    """Loads what is loaded here wherever it is unpickled: before all that a task holds after it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _carried, ({path: file.sha256 for path, file in LOADED.items()},)


def _carried(known: Mapping[str, str]) -> Carried:
    for path, sha256 in known.items():
        load(path, sha256)
    return Carried()
