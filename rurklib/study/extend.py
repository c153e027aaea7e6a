"""Plugins: Python files of the user's that register methods, metrics and more (``--with FILE.py``).

A plugin has the form of a file that ships (rurklib/README.md, "Adding something"). Every process of
a study executes it. A run records each file's path and SHA-256, so that whoever opens the run again
names none, and keys hold the SHA-256 of the file behind a name.
"""

import hashlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from rurklib.checks import InputError

VARIABLE = "RURK_WITH"
REGISTRIES = {  # imported when a plugin is loaded: attacks and metrics take seconds
    "method": ("rurklib.unlearn", "METHODS"),
    "perturbation": ("rurklib.perturb", "PERTURBATIONS"),
    "metric": ("rurklib.metrics", "METRICS"),
    "net": ("rurklib.models", "MODELS"),
    "attack": ("rurklib.attacks", "ATTACKS"),
    "scenario": ("rurklib.study.scenario", "SCENARIOS"),
}


@dataclass(frozen=True)
class Plugin:
    """A file that was executed: its SHA-256, and what it registered, by kind."""

    sha256: str
    names: Mapping[str, tuple[str, ...]]


LOADED: dict[str, Plugin] = {}  # by absolute path; runs that are begun from now on have them


def load(paths: Iterable[str | Path]) -> list[dict[str, str]]:
    """Execute plugins that aren't loaded yet; the path and SHA-256 of each, as run.json has them.

    Raises InputError for a file that isn't there, an error in it, or what it should not register.
    """
    found = []
    for path in paths:
        file = Path(path).expanduser().resolve()
        if file.suffix != ".py" or not file.is_file():
            raise InputError(f"{path}: expected a Python file, such as --with my_method.py")
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        if LOADED.get(str(file), Plugin(sha256, {})).sha256 != sha256:
            raise InputError(f"{file} was edited after it was loaded: start again")
        if str(file) not in LOADED:
            before = {kind: dict(registry(kind)) for kind in REGISTRIES}
            module = executed(file, f"rurklib_with_{file.stem}")
            for value in vars(module).values():
                if type(value).__name__ == "Scenario":
                    registry("scenario")[value.name] = value
            LOADED[str(file)] = Plugin(sha256, _registered(file, before))
        found.append({"path": str(file), "sha256": sha256})
    os.environ[VARIABLE] = os.pathsep.join(LOADED)
    return found


def inherited() -> list[str]:
    """The plugins that RURK_WITH names: kernels have it from the process that starts them."""
    return list(filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)))


def registry(kind: str) -> Any:
    """The mapping that things of a kind are registered in."""
    module, name = REGISTRIES[kind]
    return getattr(import_module(module), name)


def executed(file: Path, name: str) -> ModuleType:
    """The module of a user's file; its code is run. Raises InputError, which names the line, for
    whatever the code raises."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a file that ends the process, with 0, ends nothing
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f[0] == str(file)]
        line = lines[-1] if lines else getattr(error, "lineno", None) or 1
        raise InputError(f"{file} can't be imported ({text}): mend line {line} of it") from error
    return module


def _registered(file: Path, before: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """What a file registered beside what was there ``before``, by kind; or InputError."""
    from rurklib.evasive import EVASIVE
    from rurklib.study.run import NO_METHODS

    names = {}
    for kind, there in before.items():
        now = registry(kind)
        names[kind] = tuple(name for name in now if name not in there)
        for name in now:
            if now[name] is not there.get(name, now[name]) or name in {*NO_METHODS, *EVASIVE}:
                raise InputError(f"{file}: there is a {kind} {name!r} already: choose another name")
            if name in names[kind] and not re.fullmatch(r"\w[\w .'()+-]*", name):
                raise InputError(f"{file}: {kind} {name!r}: expected a name that files can have")
    for name in names["method"]:
        if "seed" not in inspect.signature(registry("method")[name]).parameters:
            raise InputError(f"{file}: the method {name!r} has no parameter seed: add seed=0")
    metrics = registry("metric").values()
    columns = Counter(["method", "seed", "seconds", *(c for m in metrics for c in m.columns)])
    if (column := columns.most_common(1)[0])[1] > 1:  # of summary.csv
        raise InputError(f"{file}: there is a column {column[0]!r} already: choose another name")
    if not any(names.values()):
        raise InputError(f"{file} registers nothing: see rurklib/README.md, Adding something")
    return names


def of_run(
    earlier: Mapping[str, Any] | None, paths: Sequence[str | Path] | None
) -> list[dict[str, str]]:
    """The plugins of a run, loaded: ``paths``; if None, those of its ``earlier`` record; without
    one, all that are loaded. Raises InputError if a file of the record isn't there as it was."""
    if paths is not None or not earlier:
        return load(inherited() if paths is None else paths)
    known = list(earlier["plugins"])
    for old, new in zip(known, load(plugin["path"] for plugin in known), strict=True):
        if new != old:
            raise InputError(
                f"{old['path']}, a plugin of this run, was edited: put it back, or give the run's "
                "command --with FILE, to make again what depends on it"
            )
    return known


def extended(scenario: Any, settings: Mapping[str, Any], plugins: Sequence[Any]) -> Any:
    """A ``Scenario`` changed by ``settings``, with the methods and perturbations of plugins beside
    those that it has, or that ``settings`` choose."""
    names = [LOADED[plugin["path"]].names for plugin in plugins]
    methods, more = ([n for by in names for n in by[k]] for k in ("method", "perturbation"))
    if "methods" in settings:
        chosen = settings["methods"]
        chosen = [chosen] if isinstance(chosen, str) else list(chosen)
        settings = {**settings, "methods": [*chosen, *methods]}
    added: dict[str, Any] = {m: {} for m in methods if m not in scenario.methods}
    changed = replace(scenario, methods={**scenario.methods, **added}).changed(settings)
    return replace(changed, perturbations=tuple(dict.fromkeys([*changed.perturbations, *more])))


def code(*names: str) -> dict[str, Any]:
    """For a key: the SHA-256 of the plugins behind those of these names that plugins registered."""
    plugins = LOADED.values()
    known = {n: p.sha256 for n in names for p in plugins if any(n in k for k in p.names.values())}
    return {"plugins": known} if known else {}
