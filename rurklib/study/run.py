"""A run: a folder, and the choices that it was opened with.

Opening is where everything is checked, before any work: names, values, and whether the folder is
this run's. Nothing of anybody else's is ever overwritten.
"""

import contextlib
import json
import os
import pickle
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rurklib import checks
from rurklib.data import ANY, Dataset, Split, forget_part_of_a_class, rehearsed
from rurklib.models import build
from rurklib.study import store
from rurklib.study.extend import extended, of_run
from rurklib.study.scenario import SCENARIOS, Scenario

RECORD = "run.json"
PRETRAIN = "Pre-train"  # what Original and Re-train start from, where there is such a net
SMOOTHED = "Smoothed"  # the control that is trained with noise
SAME_PRIOR = "Same-prior"  # the control that saw the forget set and fewer others of the class
NO_METHODS = ("Original", "Re-train", PRETRAIN, SMOOTHED, SAME_PRIOR)  # that are trained


class ModelId(NamedTuple):
    """A model of a run, e.g. ``ModelId("GD", 0)``; ``str`` gives "GD-seed0", its file's name.

    For Re-train the seed is the reference's, for every other method the experiment's.
    """

    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method}-seed{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "ModelId":
        """The model that a file calls ``text``."""
        method, _, seed = text.rpartition("-seed")
        return cls(method, int(seed))


@dataclass(frozen=True)
class Run:
    """A run folder with its scenario, experiment seeds and number of parallel jobs."""

    folder: Path
    scenario: Scenario
    seeds: tuple[int, ...]
    jobs: int = 1
    rehearsal: bool = False  # for tuning: the same kind of request about other samples
    plugins: Sequence[Mapping[str, str]] = ()  # path and SHA-256 of each
    trained_here: bool = False  # no model is taken from the package
    scheduler: str | None = None  # of the Dask cluster that works in place of processes here

    def __reduce__(self) -> tuple[Any, ...]:
        """A run travels to another process without its data, which are read there, once."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["folder"] = self.folder.absolute()
        return _arrived, (pickle.dumps(values), self.split.digest)

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
        found = store.find(path, "split")
        if found is None:
            store.save(path, asdict(split), "split")
        elif found != json.loads(json.dumps(asdict(split))):
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
        """(x, y) of a part of the split: retain, forget, original, validation, test, held_out;
        where a whole class is forgotten, ``test`` is without it."""
        without = part == "test" and self.whole_class
        return self.split.pair(self.data, "kept_test" if without else part)

    @property
    def validation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, y) of samples that nobody trains on and nothing reported is about: the few-shot
        attack's. A rehearsal's are its test part, whose accuracy is one of its four scores."""
        return self.split.pair(self.data, "test" if self.rehearsal else "validation")

    @property
    def title(self) -> str:
        """What is studied, in a line."""
        s, share = self.scenario, "all" if self.whole_class else len(self.split.forget)
        return f"{s.title} by {s.model}; {share} of {self.forgotten} forgotten"

    @property
    def forgotten(self) -> str:
        """Whose samples are forgotten, in words."""
        c = self.split.forget_class
        return "all classes" if c == ANY else f"class {self.data.classes[c]}"

    @property
    def pretraining_data(self) -> Dataset:
        """Read anew each time: no run holds on to it."""
        assert self.scenario.pretrain is not None
        return self.scenario.pretrain.data(self.scenario.path).to(self.device)

    @cached_property
    def pretraining_digest(self) -> str:
        """What keys know the pre-training's data by."""
        return self.pretraining_data.digest

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
        return {
            "format": 2,  # the first edition's is 1
            "kind": kind,
            "scenario": name,
            "settings": settings,
            "plugins": list(self.plugins),
            "trained_here": self.trained_here,
        }

    def table(self, name: str) -> Path:
        """A table that an earlier notebook wrote; a missing one is an error."""
        path = self.folder / name
        if not path.exists():
            raise checks.InputError(
                f"{path} is missing: run the notebooks before this one, or all of them with: "
                f"rurk study --scenario {self.scenario.name} --out {self.folder}"
            )
        return path

    def blank(self, seed: int, classes: int | None = None) -> torch.nn.Module:
        """The scenario's net with new weights."""
        shape = self.data.train[0].shape[1], classes or len(self.data.classes)
        net = build(self.scenario.model, *shape, seed=seed, bounds=self.data.bounds)
        return net.to(self.device)

    def checkpoint(self, name: ModelId) -> Path:
        return self.folder / "models" / f"{ModelId(*name)}.safetensors"


@lru_cache(maxsize=1)
def _arrived(values: bytes, split: str) -> Run:
    """The run of these fields; anew if the data have changed, which the split's digest says."""
    return Run(**pickle.loads(values))


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
    plugins: Sequence[str | Path] | None = None,
) -> Run:
    """Open or begin a run in the folder ``out``.

    ``seeds`` are the experiment seeds (None: the scenario's); ``settings`` changes values by name,
    as ``--set`` does; ``jobs`` models are made at a time, or as many as the Dask cluster that the
    variable RURK_SCHEDULER names has workers; ``fresh`` throws an earlier run of this scenario in
    ``out`` away, and no other folder, and takes no model from the package; ``rehearsal`` forgets
    other samples than a study would (:mod:`rurklib.study.tuning`); ``dry`` reads no data and writes
    nothing; ``plugins`` are files of your own (:mod:`rurklib.study.extend`; None: those of the run
    that is in ``out``, of a new run all that are loaded).

    Raises InputError, before anything is written, for unknown names or values, data that can't be
    used, or if ``out`` is not empty and not a run of this scenario with these settings (with
    ``fresh``, with any settings).
    """
    folder = Path(out)
    earlier = recorded(folder, fresh)
    known = of_run(None if fresh else earlier, plugins)
    base = SCENARIOS[checks.one_of("scenario", scenario, SCENARIOS)]
    chosen = extended(base, settings or {}, known)
    seeds = tuple(chosen.seeds if seeds is None else seeds)
    if clash := set(seeds) & set(chosen.reference_seeds):
        raise checks.InputError(
            f"seeds {sorted(clash)} are those of the re-trained references: choose others"
        )
    trained_here = fresh or bool(earlier and earlier["trained_here"])
    scheduler = os.environ.get("RURK_SCHEDULER")  # which kernels inherit
    run = Run(folder, chosen, seeds, jobs, rehearsal, known, trained_here, scheduler)
    if earlier:
        check_same(run, earlier, fresh)
    if dry:
        return run
    _ = run.request  # what can't be used is refused before anything is begun or thrown away
    if not folder.exists() or fresh:
        checks.logits(run.blank(0), *run.data.train, f"model = {chosen.model!r}")
    if fresh and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    store.tidy(folder)
    if plugins is not None or not earlier:
        store.save(folder / RECORD, run.described, "run")
    _ = run.split  # written, or read and checked
    seen = {"threads_per_job": chosen.threads, "seeds": run.seeds, "split_seed": chosen.split_seed}
    seen |= {"reference_seeds": chosen.reference_seeds, "plugins": known}
    store.write_json(folder / "env.json", {**surroundings(run.device), **seen})
    return run


def open_existing(folder: str | Path) -> Run:
    """A run from its folder alone: what was studied is read from run.json, the seeds from the
    models. Nothing is written. Raises InputError for a folder that holds no run."""
    folder = Path(folder)
    originals = (folder / "models").glob("Original-seed*.safetensors")
    seeds = sorted(ModelId.parse(path.stem).seed for path in originals)
    earlier = recorded(folder)
    if not earlier or not seeds:
        raise checks.InputError(
            f"{folder} is not a run with models: expected a run; make one with: rurk study"
        )
    plugins = of_run(earlier, None)
    scenario = SCENARIOS[checks.one_of("scenario", earlier["scenario"], SCENARIOS)]
    chosen = extended(scenario, flat(earlier["settings"]), plugins)
    run = Run(folder, chosen, tuple(seeds), plugins=plugins)
    check_same(run, earlier)
    return run


def recorded(folder: Path, fresh: bool = False) -> dict[str, Any] | None:
    """What the run.json of a folder says; None if the folder is new or empty, or if the file is
    damaged, which a line says. Raises InputError if the folder holds something else, or if it is
    to be emptied (``fresh``) and may be somebody else's."""
    if not folder.exists() or not any(folder.iterdir()):
        return None
    path = folder / RECORD
    if not path.exists():
        raise checks.InputError(f"{folder} is not empty and not a run; choose another --out")
    if '"format": 1,' in path.read_text(errors="replace"):
        raise checks.InputError(f"{folder} is a run of the first edition; choose another --out")
    found = store.find(path, "run")
    if found is None and (fresh or not (folder / "split.json").exists()):
        raise checks.InputError(f"{path} is no record of a run; choose another --out")
    return found


def check_same(run: Run, earlier: Mapping[str, Any], fresh: bool = False) -> None:
    """Raise InputError if a run of other choices is in the folder; ``fresh``: of another kind."""
    old, new = (
        {"kind": record["kind"], "scenario": record["scenario"]}
        | ({} if fresh else flat(record["settings"]))
        for record in (earlier, run.described)
    )
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            raise checks.InputError(
                f"{run.folder} was run with {name} = {old.get(name)!r}, not {new.get(name)!r}; "
                "choose another --out or start over with --fresh"
            )


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as run.json has them, by the names that ``--set`` takes: ``methods`` is a list, and
    {"methods": {"RURK": {"tau": 1}}} becomes {"methods": ["RURK"], "RURK.tau": 1}."""
    plain = dict(settings)
    methods = plain.pop("methods", {})
    values = {f"{m}.{name}": v for m, chosen in methods.items() for name, v in chosen.items()}
    return {"methods": list(methods), **plain, **values}


def needs(*modules: str, extra: str) -> None:
    """Raise InputError, with how to install it, for a module of ``extra`` that is not there."""
    for name in modules:
        if find_spec(name) is None:
            raise checks.InputError(
                f'{name} is not installed: pip install -e ".[{extra}]" in the clone of rurklib'
            )


def surroundings(device: torch.device) -> dict[str, str]:
    """Versions, commit ("+" if files are changed), platform, processor and device, by name."""
    words = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    done = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True)
    info = Path("/proc/cpuinfo")
    processors = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return {
        "git": done.stdout.strip() or "not a checkout",
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "torchvision", "numpy")},
        "platform": platform.platform(),
        "processor": (processors or [platform.processor() or platform.machine()])[0],
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
    }


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against a second command. The lock is the system's, so it ends with its
    process. Raises InputError if another has it."""
    from filelock import FileLock, Timeout

    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise checks.InputError(
            f"{folder} is in use, or can't be written: wait, or choose --out"
        ) from None
    with lock:
        yield
