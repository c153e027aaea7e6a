"""A scenario: the choices of one study, as plain values.

Every value can be changed for a run with ``--set name=value`` (``epochs=10``, ``forget_class=3``,
``RURK.tau=0.1``); an unknown name or a value of another kind is refused before anything starts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from rurklib import checks
from rurklib.data import ANY, ORDERS, Dataset, hold_out_validation, subsample
from rurklib.models import MODELS
from rurklib.residual.counts import Measurement
from rurklib.study.files import read_json
from rurklib.train import Recipe
from rurklib.unlearn.contract import METHODS, check, defaults

# What --set changes of the recipe, by its own names, and of pretrain, as in pretrain.lr.
RECIPE = ("epochs", "lr", "batch_size", "momentum", "weight_decay", "augment", "precision",
          "warmup", "nesterov", "label_smoothing", "adversarial")  # fmt: skip
PRETRAIN = ("epochs", "lr")
# Of the recipe, what is not written to run.json where it is as if nothing was said.
PLAIN = {name: getattr(Recipe(), name) for name in RECIPE[5:]}
USUAL = Recipe(batch_size=64)
FIXED = ("name", "title", "data", "seeds", "paper", "methods", "recipe", "pretrain")  # no --set


@dataclass(frozen=True)
class Pretraining:
    """The one net that Original and Re-train start from, but for a new head.

    It is trained on the train side of ``data(path)``, ``path`` being the scenario's, with the
    scenario's net and recipe but for ``epochs`` and ``lr``. Re-train's start has then seen the
    forget samples, if they are among these data.
    """

    data: Callable[[str], Dataset]
    epochs: int
    lr: float

    def __post_init__(self) -> None:
        checks.count("pretrain.epochs", self.epochs)
        checks.number("pretrain.lr", self.lr, 0.0)


@dataclass(frozen=True)
class Scenario:
    """What is trained, what is forgotten, and how both are measured.

    ``references`` re-trained models (seeds 1000, 1001, ...) are shared by all experiment seeds;
    Original and every method are run once per seed. ``methods`` gives each method's
    hyper-parameters where they differ from its defaults (:func:`tuned` reads them); its order is
    the order in tables, and ``--set methods=GD,RURK`` takes some of them.
    ``forget_share`` of class ``forget_class`` (-1: of all samples) is forgotten, in the order
    ``forget_order`` ("random", "hard" or "easy" first).
    ``data(path)`` gives the data set; an empty path means the scenario's own source. Where there is
    an ``image_size`` (pixels), it is ``data(path, image_size)``. ``validation_of_train`` is the
    share of the training side that is held out for validation (None: a third of the test side is).
    ``train_images`` and ``test_images``: so many at most, of all classes alike (0 or None: all).
    ``recipe`` trains Original and Re-train; ``retrain_epochs`` are those of Re-train, where it
    needs other than Original's. ``seeds`` are the experiment seeds if none are asked for.
    ``paper`` names tables beside the notebooks that a finished run is set beside: "table" (as
    ``paper_table_1.csv``) and "curves" (as ``paper_fig_2.csv``).
    A training killed midway goes on where it was, at most ``keep_every`` epochs back; 0, for those
    that take seconds, keeps nothing before the end.
    """

    name: str
    title: str
    data: Callable[..., Dataset]
    model: str
    forget_class: int
    methods: Mapping[str, Mapping[str, Any]]
    taus: tuple[float, ...]
    path: str = ""
    image_size: int | None = None
    train_images: int | None = None
    test_images: int | None = None
    validation_of_train: float | None = None
    forget_share: float = 0.5
    forget_order: str = "random"
    split_seed: int = 0
    references: int = 6
    pretrain: Pretraining | None = None
    recipe: Recipe = USUAL
    retrain_epochs: int | None = None
    perturbations: tuple[str, ...] = ("gaussian",)
    draws: int = 100
    threads: int = 1
    seeds: tuple[int, ...] = (0, 1, 2)
    paper: Mapping[str, str] = field(default_factory=dict)
    keep_every: int = 0

    def __post_init__(self) -> None:
        checks.one_of("model", self.model, MODELS)
        least = {"references": 2, "draws": 1, "threads": 1, "forget_class": ANY, "split_seed": 0,
                 "keep_every": 0, "image_size": 1, "train_images": 0, "test_images": 0,
                 "retrain_epochs": 1}  # fmt: skip
        for name, low in least.items():
            value = getattr(self, name)
            checks.count(name, low if value is None else value, low)
        checks.number("validation_of_train", self.validation_of_train or 0.0, 0.0, 0.9)
        checks.number("forget_share", self.forget_share, 0.0, 1.0)
        checks.one_of("forget_order", self.forget_order, ORDERS)
        if not self.perturbations:
            raise checks.InputError("perturbations = []: expected one at least, such as gaussian")
        for name in self.perturbations:
            Measurement(self.taus, name)
        for method, values in self.methods.items():
            checks.one_of("method", method, METHODS)
            try:
                check(method, values)
            except checks.InputError as error:
                raise checks.InputError(f"{method}: {error}") from error

    def read(self) -> Dataset:
        """The data as the settings ask for them. Raises InputError if there are none such."""
        size = () if self.image_size is None else (self.image_size,)
        data = self.data(self.path, *size)
        if self.validation_of_train:
            data = hold_out_validation(data, self.validation_of_train, seed=self.split_seed)
        counts = {"train": self.train_images or 0, "test": self.test_images or 0}
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
        """Every value but the methods', by the names that ``--set`` takes."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in FIXED}
        values |= {name: getattr(self.recipe, name) for name in RECIPE}
        if self.pretrain is not None:
            values |= {f"pretrain.{name}": getattr(self.pretrain, name) for name in PRETRAIN}
        return values

    def settings(self) -> dict[str, Any]:
        """Every value that decides a result, as plain data (for run.json): what isn't named has
        its default, or is not there."""
        decisive = {k: v for k, v in self._values().items() if k not in ("threads", "keep_every")}
        said = {k: v for k, v in decisive.items() if v is not None and v != PLAIN.get(k)}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()}
        return {**plain, "methods": {m: self.hyperparameters(m) for m in self.methods}}

    def changed(self, settings: Mapping[str, Any]) -> Scenario:
        """This scenario with some values changed, by the names that ``--set`` takes."""
        methods = {m: dict(self.methods[m]) for m in self._chosen(settings.get("methods"))}
        known = self._values()
        if self.image_size is None:
            known.pop("image_size")
        known |= {f"{m}.{k}": v for m in methods for k, v in self.hyperparameters(m).items()}
        changes: dict[str, Any] = {"methods": methods}
        recipe: dict[str, Any] = {}
        start: dict[str, Any] = {}
        for name, value in settings.items():
            checks.one_of(f"setting of scenario {self.name}", name, ["methods", *known])
            group, _, key = name.rpartition(".")
            into = changes if name not in RECIPE else recipe
            into = start if group == "pretrain" else methods.get(group, into)
            if name != "methods":
                owner = (
                    METHODS[group] if group in methods else Recipe if key in RECIPE else Scenario
                )
                empty = type(None) in get_args(get_type_hints(owner).get(key))
                into[key] = _same_kind(name, value, known[name], empty)
        if self.pretrain is not None:
            changes["pretrain"] = replace(self.pretrain, **start)
        return replace(self, recipe=replace(self.recipe, **recipe), **changes)

    def _chosen(self, names: Any) -> list[str]:
        """The methods that ``--set methods=GD,RURK`` keeps, in the scenario's order."""
        wanted = self.methods if names is None else names
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in wanted:
            checks.one_of(f"method of scenario {self.name}", name, self.methods)
        return [m for m in self.methods if m in wanted]


def tuned(name: str, methods: str) -> dict[str, dict[str, Any]]:
    """Hyper-parameters of these methods, in this order, from ``settings/NAME.json``, which ``rurk
    tune`` wrote. A method that the file doesn't name has its defaults; one in two steps, such as
    GD+RURK, has the values of both."""
    flat = read_json(Path(__file__).parent / "settings" / f"{name}.json")
    named = [(*key.split(".", 1), value) for key, value in flat.items()]

    def of(method: str) -> dict[str, Any]:
        own = {parameter: value for owner, parameter, value in named if owner == method}
        first, _, then = method.partition("+")
        return {**of(then), "first": of(first), **own} if then else own

    return {method: of(method) for method in methods.split()}


def bundled(data: Callable[[], Dataset], path: str) -> Dataset:
    """Data that come with scikit-learn; a path is refused, so that none is ignored."""
    if path:
        raise checks.InputError(
            f"path = {path!r}: these data come with scikit-learn; leave path out, or use "
            "--scenario npz for images of your own, --scenario sms for texts"
        )
    return data()


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


def literal(text: str) -> Any:
    """Read a value given on the command line: a Python literal, a list ``a,b,c``, or a word.

    A list, never a tuple: papermill hands a tuple to a notebook as text.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text.split(",") if "," in text else text
    return list(value) if isinstance(value, tuple) else value


def _same_kind(name: str, value: Any, like: Any, empty: bool = False) -> Any:
    """``value`` in the type of ``like``, or None where that may be (``empty``); or InputError."""
    if isinstance(like, tuple):
        items = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(_same_kind(name, v, like[0]) for v in items)
    if isinstance(like, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    optional = like is None or (value is None and empty)
    if not optional and type(value) is not type(like):
        kind = type(like).__name__
        a = "an" if kind == "int" else "a"
        raise checks.InputError(f"{name} = {value!r}: expected {a} {kind} such as {like!r}")
    return value
