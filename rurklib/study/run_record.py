"""run.json: the choices that a run was opened with, and whether a folder is that of such a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rurklib.checks import InputError
from rurklib.study import files

RECORD = "run.json"
OTHERWISE = "choose another --out or start over with --fresh"


def recorded(path: Path) -> dict[str, Any]:
    """What a run.json says; InputError if its settings aren't of the kind that a run has."""
    there = files.read_json(path)
    settings = there.get("settings", {})
    methods = settings.get("methods", {}) if isinstance(settings, Mapping) else None
    own = methods.values() if isinstance(methods, Mapping) else [methods]
    if not all(isinstance(values, Mapping) for values in own):
        raise InputError(
            f"{path} holds settings = {str(settings)[:80]}: expected the settings of a run, each "
            "method's own below its name; mend it, or choose another folder"
        )
    return there


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
    there = recorded(folder / RECORD)
    for what in ("format", "kind", "scenario"):
        if there.get(what) != described[what]:  # --fresh or not: nobody else's folder is emptied
            raise InputError(
                f"{folder} holds a run of {what} {there.get(what)!r}, not {described[what]!r}; "
                "choose another --out"
            )
    if fresh:
        if folder.is_symlink():
            raise InputError(f"{folder} is a link: give --fresh the folder, {folder.resolve()}")
        return
    both = there.get("settings", {}), described["settings"]
    was, now = (set(settings.get("methods", ())) for settings in both)
    for method in sorted(was ^ now):
        said = "with" if method in was else "without"
        raise InputError(f"{folder} was run {said} {method}; {OTHERWISE}")
    old, new = map(flat, both)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            raise InputError(
                f"{folder} was run with {key} = {old.get(key)!r}, not {new.get(key)!r}; {OTHERWISE}"
            )
    for path in sorted((folder / "models").glob("*.safetensors")):
        files.load_weights(path)  # a damaged or foreign checkpoint is refused before any work


def check_finished(folder: Path, scenario: str, needed: Sequence[Path]) -> None:
    """Raise InputError, with the command that mends it, if a file of a finished run is missing."""
    if missing := [path for path in needed if not path.exists()]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{missing[0]}{more} missing: {folder} is not a finished run; finish it with: "
            f"rurk study --scenario {scenario} --out {folder}"
        )


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"methods": {"RURK": {"tau": 1}}} -> {"RURK.tau": 1}, the names that --set takes."""
    plain = {name: value for name, value in settings.items() if name != "methods"}
    methods = settings.get("methods", {})
    return plain | {f"{m}.{name}": v for m, own in methods.items() for name, v in own.items()}
