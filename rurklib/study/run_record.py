"""run.json: the choices that a run was opened with, and whether a folder is that of such a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rurklib.checks import InputError
from rurklib.study import files

RECORD = "run.json"


def check_folder(folder: Path, described: Mapping[str, Any], *, fresh: bool = False) -> None:
    """Refuse a folder that holds something else than a whole run with these choices.

    ``fresh``: it is to be emptied, so that settings may differ and models be damaged; but it must
    be a run of this kind and scenario all the same. Raises InputError.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: expected a folder for the run")
    if not any(folder.iterdir()):
        return
    if not (folder / RECORD).exists():
        raise InputError(f"{folder} is not empty and not a run; choose another --out")
    there = files.read_json(folder / RECORD)
    for what in ("format", "kind", "scenario"):
        if there.get(what) != described[what]:  # --fresh or not: nobody else's folder is emptied
            raise InputError(
                f"{folder} holds a run of {what} {there.get(what)!r}, not {described[what]!r}; "
                "choose another --out"
            )
    if fresh:
        return
    old, new = flat(there.get("settings", {})), flat(described["settings"])
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            raise InputError(
                f"{folder} was run with {key} = {old.get(key)!r}, not {new.get(key)!r}; "
                "choose another --out or start over with --fresh"
            )
    for path in sorted((folder / "models").glob("*.safetensors")):
        files.load_weights(path)  # a damaged or foreign checkpoint is refused before any work


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"methods": {"RURK": {"tau": 1}}} -> {"RURK.tau": 1}, the names that --set takes."""
    plain = {name: value for name, value in settings.items() if name != "methods"}
    methods = settings.get("methods", {})
    return plain | {f"{m}.{name}": v for m, own in methods.items() for name, v in own.items()}
