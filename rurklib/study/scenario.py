"""A scenario: the choices of one study.

Each is a YAML file of ``scenarios/`` and has its name. ``extends: NAME`` starts from the values of
another file: those that follow replace them, of ``training``, ``pretrain`` and ``methods`` entry by
entry; ``methods`` as a list takes these methods, with the values that they have there.

``--set NAME=VALUE`` changes a value for a run. NAME is its path in the file (``taus``,
``training.epochs``), of a method's hyper-parameter ``RURK.tau``.
"""

from __future__ import annotations

import re
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field

from rurklib import checks, data
from rurklib.data import ANY, Dataset, hold_out_validation, subsample
from rurklib.models import MODELS
from rurklib.residual.counts import Measurement
from rurklib.study.readers import cifar5, cifar10, fashion_small, image_folder, npz, text
from rurklib.train import Count, NotNegative, Recipe
from rurklib.unlearn.contract import METHODS, check, defaults

FOLDER = Path(__file__).parent / "scenarios"
FIXED = ("name", "title", "data", "seeds", "paper", "methods", "recipe", "pretrain")  # no --set
UNDECISIVE = ("threads", "keep_every")  # what changes no result


def bundled(read: Callable[[], Dataset], path: str) -> Dataset:
    """Data that come with scikit-learn; a path is refused, so that none is ignored."""
    if path:
        raise checks.InputError(f"path = {path!r}: scikit-learn has these data; leave path out")
    return read()


READERS: dict[str, Callable[..., Dataset]] = {  # by the names that `data:` takes
    **{f.__name__: partial(bundled, f) for f in (data.digits, data.iris, data.breast_cancer)},
    **{f.__name__: f for f in (cifar5, cifar10, fashion_small, image_folder, npz, text)},
}


def _reader(named: Any) -> Callable[..., Dataset]:
    """What ``data: NAME`` means, or ``data: {reader: NAME, length: 32}``, with options."""
    if callable(named):
        return named
    options = {"reader": named} if isinstance(named, str) else dict(named)
    return partial(READERS[options.pop("reader")], **options)


Reader = Annotated[Callable[..., Dataset], BeforeValidator(_reader)]
Several = BeforeValidator(lambda v: tuple(v) if isinstance(v, (list, tuple)) else (v,))
Amount = Annotated[int, Field(ge=0)]


@checks.values
class Pretraining:
    """The one net that Original and Re-train start from, but for a new head.

    It is trained on the train side of ``data(path)``, ``path`` being the scenario's, as Original is
    but for ``epochs`` and ``lr``. Re-train's start has seen the forget samples that are among them.
    """

    data: Reader
    epochs: Count
    lr: NotNegative


@checks.values
class Scenario:
    """What is trained, what is forgotten, and how both are measured.

    Attributes:
        data: ``data(path)`` gives the data set; where there is an ``image_size`` (pixels),
            ``data(path, image_size)``. An empty path means the data's own source.
        forget_class: class of the forget samples; -1, ``any`` in a file and for ``--set``: all.
        methods: each method's hyper-parameters where they differ from its defaults, in the order
            of tables.
        taus, perturbations, draws: what residual knowledge is measured on.
        train_images, test_images: so many at most, of all classes alike (0: all).
        validation_of_train: share of the training side that is held out for validation (None: a
            third of the test side is).
        forget_share, forget_order: the share of the class that is forgotten, (0, 1], and which
            samples come first.
        references: number of re-trained models, seeds 1000, 1001, ..., shared by all seeds.
        recipe: trains Original and Re-train; ``training`` in a file and for ``--set``.
        retrain_epochs: those of Re-train, where it needs other than Original's.
        seeds: the experiment seeds if none are named.
        paper: tables beside the notebooks that a finished run is compared with, "table" (as
            ``paper_table_1.csv``) and "curves" (as ``paper_fig_2.csv``).
        keep_every: epochs after which a training is kept, so that a killed one continues; 0: never.

    Raises InputError for any other value.
    """

    name: str
    title: str
    data: Reader
    model: Annotated[str, AfterValidator(lambda name: checks.one_of("model", name, MODELS))]
    forget_class: Annotated[int, BeforeValidator(lambda c: ANY if c == "any" else c), Field(ge=ANY)]
    methods: dict[str, dict[str, Any]]
    taus: Annotated[tuple[NotNegative, ...], Several, Field(min_length=1)]
    path: str = ""
    image_size: Count | None = None
    train_images: Amount = 0
    test_images: Amount = 0
    validation_of_train: Annotated[float, Field(ge=0, le=0.9)] | None = None
    forget_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    forget_order: Literal["random", "hard", "easy"] = "random"
    split_seed: Amount = 0
    references: Annotated[int, Field(ge=2)] = 6
    pretrain: Pretraining | None = None
    recipe: Recipe = Recipe(batch_size=64)
    retrain_epochs: Count | None = None
    perturbations: Annotated[tuple[str, ...], Several, Field(min_length=1)] = ("gaussian",)
    draws: Count = 100
    threads: Count = 1
    seeds: Annotated[tuple[Amount, ...], Several] = (0, 1, 2)
    paper: dict[str, str] = field(default_factory=dict)
    keep_every: Amount = 0

    def __post_init__(self) -> None:
        for name in self.perturbations:
            Measurement(self.taus, name)
        for method, values in self.methods.items():
            checks.one_of("method", method, METHODS)
            with named(f"{method}: "):
                check(method, values)

    def read(self) -> Dataset:
        """The data as the settings ask for them. Raises InputError if there are none such."""
        size = () if self.image_size is None else (self.image_size,)
        data = self.data(self.path, *size)
        if self.validation_of_train:
            data = hold_out_validation(data, self.validation_of_train, seed=self.split_seed)
        counts = {"train": self.train_images, "test": self.test_images}
        return subsample(data, **counts, seed=self.split_seed)

    @property
    def reference_seeds(self) -> tuple[int, ...]:
        """Seeds of the re-trained references."""
        return tuple(1000 + k for k in range(self.references))

    def training(self, method: str) -> Recipe:
        """What Pre-train, Original or any re-training is trained by."""
        recipe = self.recipe
        if method == "Pre-train" and self.pretrain is not None:
            recipe = replace(recipe, epochs=self.pretrain.epochs, lr=self.pretrain.lr)
        elif method != "Original" and self.retrain_epochs is not None:
            recipe = replace(recipe, epochs=self.retrain_epochs)
        return replace(recipe, warmup=min(recipe.warmup, float(recipe.epochs)))

    def hyperparameters(self, method: str) -> dict[str, Any]:
        """All hyper-parameters of a method in this scenario, defaults included."""
        return {**defaults(method), **self.methods.get(method, {})}

    def _values(self) -> dict[str, Any]:
        """Every value but the methods', by the names that ``--set`` takes, as plain data."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in FIXED}
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        if self.forget_class == ANY:
            values["forget_class"] = "any"
        if self.image_size is None:
            del values["image_size"]
        values |= {f"training.{k}": v for k, v in asdict(self.recipe).items()}
        if self.pretrain is not None:
            values |= {f"pretrain.{k}": getattr(self.pretrain, k) for k in ("epochs", "lr")}
        return values

    def settings(self) -> dict[str, Any]:
        """Every value that decides a result, as plain data: by the names that ``--set`` takes, and
        below "methods" the hyper-parameters of each."""
        plain = {k: v for k, v in self._values().items() if k not in UNDECISIVE}
        return {**plain, "methods": {m: self.hyperparameters(m) for m in self.methods}}

    def changed(self, settings: Mapping[str, Any]) -> Scenario:
        """This scenario with some values changed, by the names that ``--set`` takes.

        Raises InputError for an unknown name or a value that can't be used.
        """
        chosen = self._chosen(settings.get("methods", list(self.methods)))
        known = ["methods", *self._values()]
        known += [f"{m}.{k}" for m in chosen for k in self.hyperparameters(m)]
        groups: dict[str, dict[str, Any]] = {m: dict(self.methods[m]) for m in chosen}
        groups |= {"": {}, "training": {}, "pretrain": {}}
        for name, value in settings.items():
            if ends := [k for k in known if k.endswith(f".{name}")][:3]:
                hint = " or ".join(map(repr, ends))
                raise checks.InputError(f"unknown setting {name!r}: did you mean {hint}?")
            checks.one_of(f"setting of scenario {self.name}", name, known)
            group, _, key = name.rpartition(".")
            groups[group][key] = value
        if settings.get("forget_class") == ANY:
            raise checks.InputError(
                "forget_class = -1: expected a class from 0, or any for samples of all classes"
            )
        plain, training, start = (groups.pop(name) for name in ("", "training", "pretrain"))
        with named("training."):
            recipe = replace(self.recipe, **training)
        with named("pretrain."):
            pretrain = self.pretrain and replace(self.pretrain, **start)
        return replace(self, **{**plain, "methods": groups}, recipe=recipe, pretrain=pretrain)

    def _chosen(self, names: Any) -> list[str]:
        """The methods that ``--set methods=GD,RURK`` keeps, in the scenario's order."""
        wanted = list(names) if isinstance(names, (list, tuple)) else [names]
        for name in wanted:
            checks.one_of(f"method of scenario {self.name}", name, self.methods)
        return [m for m in self.methods if m in wanted]


@contextmanager
def named(group: str) -> Iterator[None]:
    """Put the group of a value before the name that an InputError of the block begins with."""
    try:
        yield
    except checks.InputError as error:
        raise checks.InputError(f"{group}{error}") from error


# --- files, and values that a user types ----------------------------------------------------------


class Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as YAML 1.2 does; PyYAML alone takes it for a word."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load(name: str) -> Scenario:
    """Read the scenario of ``scenarios/NAME.yaml``."""
    values = _merged(name)
    values["recipe"] = Recipe(**{"batch_size": 64, **values.pop("training")})
    start = values.pop("pretrain")
    return Scenario(name=name, **values, pretrain=Pretraining(**start) if start else None)


def _merged(name: str) -> dict[str, Any]:
    """What a file says, joined with the file that it extends."""
    new = yaml.load((FOLDER / f"{name}.yaml").read_text("utf-8"), Loader)
    old = _merged(new.pop("extends")) if "extends" in new else {}
    for group in ("training", "pretrain", "methods"):
        before, after = old.get(group, {}), new.get(group, {})
        is_list = isinstance(after, list)
        new[group] = {m: before.get(m, {}) for m in after} if is_list else {**before, **after}
    return {**old, **new}


class Scenarios(UserDict):
    """Scenarios by name; one of a file is read when it is first wanted."""

    def __getitem__(self, name: str) -> Scenario:
        if self.data[name] is None:
            self.data[name] = load(name)
        return self.data[name]


SCENARIOS = Scenarios({path.stem: None for path in sorted(FOLDER.glob("*.yaml"))})


def describe(scenario: Scenario) -> str:
    """Every setting of a scenario, a line each, as YAML."""
    return yaml.safe_dump(scenario.settings(), sort_keys=False, default_flow_style=None, width=100)


def read_seeds(text: str) -> list[int]:
    """The seeds in ``0..4`` (both ends are in) or ``0,1,2``, as a command is given them."""
    first, dots, last = text.partition("..")
    try:
        span = range(int(first), int(last) + 1) if dots else [int(s) for s in text.split(",")]
    except ValueError:
        span = []
    if not span or min(span) < 0 or len(set(span)) != len(span):
        raise checks.InputError(f"--seeds {text}: expected different whole numbers, 0..4 or 0,1,2")
    return list(span)


def read_settings(file: Path) -> dict[str, Any]:
    """Settings by name from a YAML or JSON file, as ``rurk tune`` writes it."""
    try:
        found = yaml.load(file.read_text("utf-8"), Loader)
    except (yaml.YAMLError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict):
        raise checks.InputError(f"{file}: expected settings, NAME: VALUE on each line")
    return found


def literal(text: str) -> Any:
    """Read a value that was typed as YAML: a number, a word, [a, b] or {a: 1}; or a list ``a,b,c``.

    A list, never a tuple: papermill hands a tuple to a notebook as text.
    """
    try:
        value = yaml.load(text, Loader)
        is_list = isinstance(value, str) and "," in value
        return yaml.load(f"[{text}]", Loader) if is_list else value
    except yaml.YAMLError:
        return text
