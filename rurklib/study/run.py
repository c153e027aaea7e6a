"""A run: a folder, and the choices that it was opened with.

Opening is where everything is checked, before any work: names, values, whether the folder is this
run's, whether its checkpoints are whole. Nothing of anybody else's is ever overwritten.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from rurklib import checks
from rurklib.data import ANY, Dataset, Split, forget_part_of_a_class, rehearsed
from rurklib.models import build
from rurklib.study import files, shipped
from rurklib.study.brought import joined, of_run
from rurklib.study.environment import surroundings
from rurklib.study.ids import PRETRAIN, ModelId
from rurklib.study.run_record import RECORD, check_finished, check_folder, flat, recorded
from rurklib.study.scenario import SCENARIOS, Scenario

FORMAT = 1  # of a run folder; raised when older folders can't be read any more


@dataclass(frozen=True)
class Run:
    """A run folder with its scenario, experiment seeds and number of parallel jobs."""

    folder: Path
    scenario: Scenario
    seeds: tuple[int, ...]
    jobs: int = 1
    rehearsal: bool = False  # for tuning: the same kind of request about other samples
    brought: Mapping[str, Any] = field(default_factory=dict)  # the user's files, as in run.json
    trained_here: bool = False  # no model is taken from the package

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
        """The scenario's split, written once; a run is reopened only with the same."""
        path, split = self.folder / "split.json", self.request
        if not path.exists():
            files.write_json(path, {"digest": split.digest, **asdict(split)})
        elif files.read_json(path).get("digest") != split.digest:
            raise checks.InputError(
                f"{path} is another split than this scenario's, or the data changed since the run "
                "began; use --fresh"
            )
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
    def validation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, y) of samples that nobody trains on and nothing reported is about: the few-shot
        attack's. A rehearsal's are its test part, whose accuracy is one of its four scores."""
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
        if self.rehearsal:
            settings.pop("methods")  # that is what it looks for
        kind, name = "rehearsal" if self.rehearsal else "study", self.scenario.name
        said = {"format": FORMAT, "kind": kind, "scenario": name, "settings": settings}
        return {**said, **self.brought, **({"trained_here": True} if self.trained_here else {})}

    def table(self, name: str) -> Path:
        """A table that an earlier stage wrote; a missing one is an error that says which."""
        path = self.folder / name
        if not path.exists():
            made_by = {"summary.csv": "02_unlearn", "neighbourhoods.csv": "04_what_can_fool_it"}
            raise self.missing(path, made_by.get(name, "03_residual_knowledge"))
        return path

    def missing(self, path: Path, notebook: str) -> checks.InputError:
        """The error for a file that an earlier stage makes, and hasn't."""
        return checks.InputError(
            f"{path} is missing: run notebook {notebook} first, or all of them with: "
            f"rurk study --scenario {self.scenario.name} --out {self.folder}"
        )

    def blank(self, seed: int, classes: int | None = None) -> torch.nn.Module:
        """The scenario's net with new weights."""
        shape = self.data.train[0].shape[1], classes or len(self.data.classes)
        net = build(self.scenario.model, *shape, seed=seed, bounds=self.data.bounds)
        return net.to(self.device)

    def checkpoint(self, name: ModelId) -> Path:
        return self.folder / "models" / f"{ModelId(*name)}.safetensors"


def open_run(
    scenario: str,
    out: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    jobs: int = 1,
    fresh: bool = False,
    rehearsal: bool = False,
    dry: bool = False,
    brought: Sequence[str | Path] | None = None,
) -> Run:
    """Open or begin a run in the folder ``out``.

    ``seeds`` are the experiment seeds (None: the scenario's); ``settings`` changes values of the
    scenario by name, as ``--set`` does; ``jobs`` models are made at a time; ``fresh`` throws an
    earlier run of this scenario in ``out`` away, and no other folder, and takes no model from the
    package; ``rehearsal`` forgets other samples than a study would, for
    :mod:`rurklib.study.tuning`; ``dry`` checks the choices and the folder, reads no data and
    writes nothing. ``brought`` are files of your own, executed, whose methods and laws stand beside
    the scenario's; None: those of the run that is in ``out``, of a new run those that the command
    was given (``--with``).

    Raises InputError, before anything is written, for unknown names or values, data that can't be
    used, or if ``out`` is not empty and not a run of this scenario with these settings (with
    ``fresh``, with any settings).
    """
    own, here = of_run(Path(out) / RECORD, brought, fresh), shipped.trains_here(out, fresh)
    usual = SCENARIOS[checks.one_of("scenario", scenario, SCENARIOS)]
    chosen = joined(usual, settings or {}, own)
    seeds = chosen.seeds if seeds is None else seeds
    if isinstance(seeds, int) or not len(seeds) or len(set(seeds)) < len(seeds):
        raise checks.InputError(f"seeds = {seeds!r}: expected different whole numbers, e.g. 0,1,2")
    for seed in seeds:
        checks.count("seed", seed, 0)
    if clash := set(seeds) & set(chosen.reference_seeds):
        raise checks.InputError(
            f"seeds {sorted(clash)} are those of the re-trained references: choose others"
        )
    run = Run(Path(out), chosen, tuple(seeds), checks.count("jobs", jobs), rehearsal, own, here)
    if run.folder.exists():
        check_folder(run.folder, run.described, fresh=fresh)
    if dry:
        return run
    _ = run.request  # what can't be used is refused before anything is begun or thrown away
    if not run.folder.exists() or fresh:
        checks.logits(run.blank(0), *run.data.train, f"model = {chosen.model!r}")
    if fresh and run.folder.exists():
        shutil.rmtree(run.folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    files.sweep(run.folder)
    if brought is not None or not (run.folder / RECORD).exists():
        files.write_json(run.folder / RECORD, run.described)
    _ = run.split  # written, or read and checked
    seen = {"threads_per_job": chosen.threads, "seeds": run.seeds, "split_seed": chosen.split_seed}
    seen |= {"reference_seeds": chosen.reference_seeds, **own, **shipped.noted(run.folder)}
    files.write_json(run.folder / "env.json", {**surroundings(run.device), **seen})
    return run


def open_existing(folder: str | Path) -> Run:
    """A run whose models are all there, from its folder alone: what was studied is read from
    run.json, the seeds from the models. Nothing is written.

    Raises InputError, with the command that mends it, for any other folder.
    """
    folder = Path(folder)
    if not (folder / RECORD).exists():
        raise checks.InputError(
            f"{folder} is not a run (it has no {RECORD}): expected a finished run; make one with: "
            "rurk study"
        )
    there, own = recorded(folder / RECORD), of_run(folder / RECORD)
    name = checks.one_of(f"scenario in {folder / RECORD}", there.get("scenario"), SCENARIOS)
    settings = there.get("settings", {})
    chosen = {**flat(settings), "methods": list(settings.get("methods", {}))}
    originals = sorted((folder / "models").glob("Original-seed*.safetensors"))
    seeds = sorted(ModelId.parse(path.stem).seed for path in originals)
    run = Run(folder, joined(SCENARIOS[name], chosen, own), tuple(seeds), brought=own)
    check_folder(folder, run.described)
    needed = [*(originals or [run.checkpoint(ModelId("Original", 0))]), folder / "split.json"]
    check_finished(folder, name, [*needed, *map(run.checkpoint, run.trained + run.unlearned)])
    return run
