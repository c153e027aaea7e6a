"""A run: a folder, and the choices that it was opened with.

Opening is where everything is checked, before any work: names, values, whether the folder is this
run's, whether its checkpoints are whole. Nothing of anybody else's is ever overwritten.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from rurklib import checks
from rurklib.data.dataset import ANY, Dataset, Split
from rurklib.data.requests import forget_part_of_a_class, rehearsed
from rurklib.study import files
from rurklib.study.environment import commit, surroundings
from rurklib.study.ids import ModelId
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.scenarios.scenario import PLAIN, Scenario

FORMAT = 1  # of a run folder; raised when older folders can't be read any more
PRETRAIN = "Pre-train"  # what Original and Re-train start from, where there is such a net


@dataclass(frozen=True)
class Run:
    """A run folder with its scenario, experiment seeds and number of parallel jobs."""

    folder: Path
    scenario: Scenario
    seeds: tuple[int, ...]
    jobs: int = 1
    rehearsal: bool = False  # for tuning: the same kind of request about other samples

    @cached_property
    def device(self) -> torch.device:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def data(self) -> Dataset:
        return self.scenario.read().to(self.device)

    @cached_property
    def request(self) -> Split:
        """The split that the scenario asks for; InputError if its data don't allow it."""
        s = self.scenario
        split = forget_part_of_a_class(
            self.data,
            forget_class=s.forget_class,
            forget_share=s.forget_share,
            forget_order=s.forget_order,
            seed=s.split_seed,
        )
        return rehearsed(split, self.data) if self.rehearsal else split

    @cached_property
    def split(self) -> Split:
        """The split certificate, written once; every later use reads and checks it."""
        path, split = self.folder / "split.json", self.request
        if path.exists():
            stored = Split.from_certificate(files.read_json(path), self.data)
            if stored != split:
                raise checks.InputError(
                    f"{path} certifies another split than this scenario's; use --fresh"
                )
        else:
            files.write_json(path, split.certificate())
        return split

    @property
    def whole_class(self) -> bool:
        """Class unlearning: nothing of the class is retained, so a re-trained model never says it,
        ratios have no denominator, and differences are reported instead."""
        labels = self.data.train[1][torch.tensor(self.split.retain)]
        return not bool(self.split.of_class(labels).any())

    def pair(self, part: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, y) of a part of the split: retain, forget, original, validation, test, held_out.

        Where a whole class is forgotten, ``test`` is without it: that class isn't to be known.
        """
        if part == "test" and self.whole_class:
            part = "kept_test"
        return self.split.pair(self.data, part)

    @property
    def spare(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, y) of samples that nobody trains on and nothing reported is about, the validation
        part's: for unlearning methods that can use such samples.

        A rehearsal has no others than those: validation is its test part, whose accuracy is one of
        its four scores. A method may look at them there all the same, since it learns no sample
        from them.
        """
        return self.split.pair(self.data, "test" if self.rehearsal else "validation")

    @property
    def title(self) -> str:
        """What is studied, in a line."""
        share = "all" if self.whole_class else f"{len(self.split.forget)}"
        return (
            f"{self.scenario.title} by {self.scenario.model}; {share} of {self.forgotten} forgotten"
        )

    @property
    def forgotten(self) -> str:
        """Whose samples are forgotten, in words."""
        c = self.split.forget_class
        return "all classes" if c == ANY else f"class {self.data.classes[c]}"

    def names(self, method: str) -> list[ModelId]:
        """The models of one method: one per reference for Re-train, else one per seed."""
        seeds = self.scenario.reference_seeds if method == "Re-train" else self.seeds
        return [ModelId(method, s) for s in seeds]

    @property
    def pretrained(self) -> list[ModelId]:
        """The net that Original and Re-train start from, if the scenario has one."""
        return [ModelId(PRETRAIN, 0)] if self.scenario.pretrain else []

    @property
    def trained(self) -> list[ModelId]:
        return self.names("Original") + self.names("Re-train")

    @property
    def unlearned(self) -> list[ModelId]:
        return [n for m in self.scenario.methods for n in self.names(m)]

    @property
    def described(self) -> dict[str, Any]:
        """What run.json says: a folder is reopened only with the same choices."""
        settings = json.loads(json.dumps(self.scenario.settings()))
        kind = "rehearsal" if self.rehearsal else "study"
        if self.rehearsal:
            settings.pop("methods")  # that is what it looks for
        return {
            "format": FORMAT,
            "kind": kind,
            "scenario": self.scenario.name,
            "settings": settings,
        }

    def table(self, name: str) -> Path:
        """A table that an earlier stage wrote; a missing one is an error that says which."""
        path = self.folder / name
        if not path.exists():
            stage = {"summary.csv": "02_unlearn"}.get(name, "03_residual_knowledge")
            raise checks.InputError(
                f"{path} is missing: run notebook {stage} first, or all of them with: "
                f"rurk study --scenario {self.scenario.name} --out {self.folder}"
            )
        return path

    @property
    def environment(self) -> dict[str, Any]:
        """What env.json says: versions, device, threads, seeds and git state."""
        return {
            **surroundings(self.device),
            "threads_per_job": self.scenario.threads,
            "seeds": list(self.seeds),
            "reference_seeds": list(self.scenario.reference_seeds),
            "split_seed": self.scenario.split_seed,
            "git": commit(),
        }

    def checkpoint(self, name: ModelId) -> Path:
        return self.folder / "models" / f"{ModelId(*name)}.safetensors"


def plan_run(
    scenario: str,
    out: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    jobs: int = 1,
    fresh: bool = False,
    rehearsal: bool = False,
) -> Run:
    """The run that :func:`open_run` would open, checked but with nothing written.

    Raises InputError for unknown names or values, or if ``out`` is not empty and not a run of this
    scenario with these settings (with ``fresh``, with any settings).
    """
    chosen = SCENARIOS[checks.one_of("scenario", scenario, SCENARIOS)].changed(settings or {})
    seeds = chosen.seeds if seeds is None else seeds
    if isinstance(seeds, int) or not len(seeds) or len(set(seeds)) < len(seeds):
        raise checks.InputError(f"seeds = {seeds!r}: expected different whole numbers, e.g. 0,1,2")
    for seed in seeds:
        checks.count("seed", seed, 0)
    if clash := set(seeds) & set(chosen.reference_seeds):
        raise checks.InputError(f"seeds {sorted(clash)} are those of the re-trained references")
    checks.count("jobs", jobs)
    run = Run(Path(out), chosen, tuple(seeds), jobs, rehearsal)
    if run.folder.exists():
        _check_folder(run, fresh)
    return run


def open_run(
    scenario: str,
    out: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    jobs: int = 1,
    fresh: bool = False,
    rehearsal: bool = False,
) -> Run:
    """Open or begin a run in the folder ``out``.

    ``seeds`` are the experiment seeds (None: the scenario's); ``settings`` changes values of the
    scenario by name, as ``--set`` does; ``jobs`` models are made at a time; ``fresh`` throws an
    earlier run of this scenario in ``out`` away, and no other folder; ``rehearsal`` forgets other
    samples than a study would, for :mod:`rurklib.study.stages.tune`.
    Everything is checked by :func:`plan_run` first.
    """
    run = plan_run(
        scenario,
        out,
        seeds=seeds,
        settings=settings,
        jobs=jobs,
        fresh=fresh,
        rehearsal=rehearsal,
    )
    _ = run.request  # data that can't be used are refused before a folder is begun or thrown away
    if fresh and run.folder.exists():
        shutil.rmtree(run.folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    files.sweep(run.folder)
    if not (run.folder / "run.json").exists():
        files.write_json(run.folder / "run.json", run.described)
    _ = run.split  # written, or read and checked
    files.write_json(run.folder / "env.json", run.environment)
    return run


def open_existing(folder: str | Path) -> Run:
    """A finished run from its folder alone: what was studied is read from run.json, the seeds from
    the models that are there. Nothing is written.

    Raises InputError, with the command that mends it, for a folder that isn't a finished run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise checks.InputError(
            f"{folder} is not a folder: expected a finished run; make one with: rurk study"
        )
    if not (folder / "run.json").exists():
        raise checks.InputError(
            f"{folder} is not a run (it has no run.json): expected the folder of a finished study; "
            "make one with: rurk study"
        )
    there = files.read_json(folder / "run.json")
    name = checks.one_of(f"scenario in {folder / 'run.json'}", there.get("scenario"), SCENARIOS)
    settings = dict(there.get("settings", {}))
    methods = settings.pop("methods", {})
    scenario = SCENARIOS[name].changed(
        {**PLAIN, **settings, "methods": list(methods), **_flat({"methods": methods})}
    )
    mend = f"finish it with: rurk study --scenario {name} --out {folder}"
    seeds = sorted(
        int(found[1])
        for path in (folder / "models").glob("Original-seed*.safetensors")
        if (found := re.fullmatch(r"Original-seed(\d+)", path.stem))
    )
    if not seeds:
        raise checks.InputError(f"{folder} holds no Original: it is not a finished run; {mend}")
    run = Run(folder, scenario, tuple(seeds))
    _check_folder(run, fresh=False)
    needed = [folder / n for n in ("split.json", "summary.csv", "residual_knowledge.csv")]
    needed += [run.checkpoint(n) for n in run.trained + run.unlearned]
    if missing := [p for p in needed if not p.exists()]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise checks.InputError(
            f"{missing[0]}{more} missing: {folder} is not a finished run; {mend}"
        )
    return run


def _check_folder(run: Run, fresh: bool) -> None:
    """Refuse a folder that holds something else than a whole run of this kind."""
    folder, described = run.folder, run.described
    if not folder.is_dir():
        raise checks.InputError(f"{folder} is a file: expected a folder for the run")
    if not any(folder.iterdir()):
        return
    if not (folder / "run.json").exists():
        raise checks.InputError(f"{folder} is not empty and not a run; choose another --out")
    there = files.read_json(folder / "run.json")
    there.setdefault("kind", "study")  # older folders don't say
    for key, what in (("format", "version"), ("kind", "kind"), ("scenario", "scenario")):
        if there.get(key) != described[key]:  # --fresh or not: nobody else's folder is emptied
            raise checks.InputError(
                f"{folder} holds a run of {what} {there.get(key)!r}, not {described[key]!r}; "
                "choose another --out"
            )
    if fresh:
        return
    there.get("settings", {}).setdefault("forget_order", "random")
    if "image_size" in described["settings"]:
        there.get("settings", {}).setdefault("image_size", 32)
    old, new = _flat(there.get("settings", {})), _flat(described["settings"])
    for key in sorted(old.keys() | new.keys()):
        if old.get(key, PLAIN.get(key)) != new.get(key, PLAIN.get(key)):
            raise checks.InputError(
                f"{folder} was run with {key} = {old.get(key)!r}, not {new.get(key)!r}; "
                "choose another --out or start over with --fresh"
            )
    for path in sorted((folder / "models").glob("*.safetensors")):
        files.load_weights(path)  # a damaged or foreign checkpoint is refused before any work


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"methods": {"RURK": {"tau": 1}}} -> {"RURK.tau": 1}, the names that --set takes."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = key if not prefix or prefix == "methods" else f"{prefix}.{key}"
        if isinstance(value, Mapping):
            flat |= _flat(value, "methods" if key == "methods" else name)
        else:
            flat[name] = value
    return flat
