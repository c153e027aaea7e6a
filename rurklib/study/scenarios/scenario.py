"""A scenario: the choices of one study, as plain values.

One file a scenario; ``SCENARIOS`` lists them. Every value can be changed for a run with
``--set name=value`` (``epochs=10``, ``forget_class=3``, ``RURK.tau=0.1``); an unknown name or a
value of another kind is refused before anything starts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args

from rurklib import checks
from rurklib.data.dataset import ANY, Dataset
from rurklib.data.requests import ORDERS
from rurklib.data.subsets import hold_out_validation, subsample
from rurklib.models import MODELS
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.train.augment import AUGMENTATIONS
from rurklib.train.precision import Precision
from rurklib.unlearn.contract import METHODS, check, defaults

PRETRAIN = ("epochs", "lr")  # what --set pretrain.NAME=VALUE changes


FIXED = ("name", "title", "data", "pretrain", "introduction", "seeds", "paper")  # no --set for them


# Of training, with the value that is as if nothing was said: rurklib.train.fit's own.
REFINED = {
    "augment": "none",
    "precision": "float32",
    "warmup": 0.0,
    "nesterov": False,
    "label_smoothing": 0.0,
}


@dataclass(frozen=True)
class Pretraining:
    """The one net that Original and Re-train start from, but for a new head.

    It is trained on the train side of ``data(path)``, ``path`` being the scenario's, with the
    scenario's net, batch size, momentum and weight decay. Re-train's start has then seen the forget
    samples, if they are among these data.
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
    hyper-parameters where they differ from its defaults; its order is the order in tables, and
    ``--set methods=GD,RURK`` takes some of them.
    ``forget_share`` of class ``forget_class`` (-1: of all samples) is forgotten, in the order
    ``forget_order`` ("random", "hard" or "easy" first).
    ``data(path)`` gives the data set; an empty path means the scenario's own source. Where there is
    an ``image_size`` (pixels), it is ``data(path, image_size)``. ``validation_of_train`` is the
    share of the training side that is set aside for validation (None: a third of the test side is).
    ``train_images`` and ``test_images``: so many at most, of all classes alike (0 or None: all).
    ``retrain_epochs`` are those of Re-train, where it needs other than Original's.
    ``warmup`` is in epochs, at most all there are; ``augment``, ``precision``, ``nesterov`` and
    ``label_smoothing`` are those of :func:`rurklib.train.fit`. None is its default, and isn't
    written to run.json.
    ``seeds`` are the experiment seeds if none are asked for.
    ``paper`` names tables beside the notebooks that a finished run is set beside: "table" (as
    ``paper_table_1.csv``) and "curves" (as ``paper_fig_2.csv``).
    A training killed midway goes on where it was, at most ``keep_every`` epochs back; 0, for those
    that take seconds, keeps nothing before the end.
    ``introduction`` names a notebook that is run first and needs nothing of the run but its folder.
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
    epochs: int = 30
    retrain_epochs: int | None = None
    lr: float = 0.05
    batch_size: int = 64
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: str | None = None
    precision: str | None = None
    warmup: float | None = None
    nesterov: bool | None = None
    label_smoothing: float | None = None
    perturbations: tuple[str, ...] = ("gaussian",)
    draws: int = 100
    threads: int = 1
    seeds: tuple[int, ...] = (0, 1, 2)
    paper: Mapping[str, str] = field(default_factory=dict)
    keep_every: int = 0
    introduction: str = ""

    def __post_init__(self) -> None:
        checks.one_of("model", self.model, MODELS)
        checks.count("references", self.references, 2)
        for name in ("epochs", "batch_size", "draws", "threads"):
            checks.count(name, getattr(self, name))
        self._check_optional()
        checks.count("forget_class", self.forget_class, ANY)
        checks.one_of("forget_order", self.forget_order, ORDERS)
        checks.count("split_seed", self.split_seed, 0)
        checks.count("keep_every", self.keep_every, 0)
        checks.number("forget_share", self.forget_share, 0.0, 1.0)
        for name in ("lr", "momentum", "weight_decay"):
            checks.number(name, getattr(self, name), 0.0)
        checks.taus(self.taus)
        for law in self.perturbations:
            checks.one_of("perturbation", law, PERTURBATIONS)
        for method, values in self.methods.items():
            checks.one_of("method", method, METHODS)
            check(method, values)

    def _check_optional(self) -> None:
        """Values that may be None, which says nothing."""
        given = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        for name, low in (("image_size", 1), ("train_images", 0), ("test_images", 0),
                          ("retrain_epochs", 1)):  # fmt: skip
            checks.count(name, given.get(name, low), low)
        limits = {"validation_of_train": 0.9, "warmup": float("inf"), "label_smoothing": 1.0}
        for name, high in limits.items():
            checks.number(name, given.get(name, 0.0), 0.0, high)
        checks.one_of("augment", given.get("augment", "none"), AUGMENTATIONS)
        checks.one_of("precision", given.get("precision", "auto"), get_args(Precision))
        if self.nesterov not in (None, False, True):
            raise checks.InputError(f"nesterov = {self.nesterov!r}: expected True or False")
        if self.nesterov and not self.momentum:
            raise checks.InputError("nesterov = True: expected a momentum above 0; set one")

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

    def training(self, method: str) -> dict[str, Any]:
        """The arguments of :func:`rurklib.train.fit` for Pre-train, Original or any re-training."""
        names = ("epochs", "lr", "batch_size", "momentum", "weight_decay")
        values = {k: getattr(self, k) for k in names}
        refined = {k: getattr(self, k) for k in REFINED}
        values |= {k: v for k, v in refined.items() if v is not None and v != REFINED[k]}
        if method not in ("Pre-train", "Original") and self.retrain_epochs is not None:
            values["epochs"] = self.retrain_epochs
        if method == "Pre-train" and self.pretrain is not None:
            values |= {"epochs": self.pretrain.epochs, "lr": self.pretrain.lr}
        if "warmup" in values:  # fewer epochs are asked for to see that all runs
            values["warmup"] = min(values["warmup"], float(values["epochs"]))
        return values

    def hyperparameters(self, method: str) -> dict[str, Any]:
        """All hyper-parameters of a method in this scenario, defaults included."""
        return {**defaults(method), **self.methods.get(method, {})}

    def settings(self) -> dict[str, Any]:
        """Every value that decides a result, as plain data (for fingerprints and run.json)."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in FIXED}
        for name in ("threads", "keep_every"):  # these don't
            values.pop(name)
        values["methods"] = {m: self.hyperparameters(m) for m in self.methods}
        if self.pretrain is not None:
            values |= {f"pretrain.{k}": getattr(self.pretrain, k) for k in PRETRAIN}
        return {
            k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v is not None
        }

    def changed(self, settings: Mapping[str, Any]) -> Scenario:
        """This scenario with some values changed, by the names that ``--set`` takes."""
        top: dict[str, Any] = {}
        methods = {m: dict(self.methods[m]) for m in self._chosen(settings.get("methods"))}
        fixed = (*FIXED, "methods", *(["image_size"] if self.image_size is None else []))
        free = [f.name for f in fields(self) if f.name not in fixed]
        known = [*free, "methods", *(f"{m}.{k}" for m in methods for k in defaults(m))]
        pretrain = self.pretrain
        if pretrain is not None:
            known += [f"pretrain.{k}" for k in PRETRAIN]
        for name, value in settings.items():
            checks.one_of(f"setting of scenario {self.name}", name, known)
            if name == "methods":
                continue
            if pretrain is not None and name.startswith("pretrain."):
                key = name.removeprefix("pretrain.")
                value = _same_kind(name, value, getattr(pretrain, key))
                pretrain = replace(pretrain, **{key: value})
            elif "." in name:
                method, key = name.split(".", 1)
                like = self.hyperparameters(method)[key]
                methods[method][key] = _same_kind(name, value, like)
            else:
                top[name] = _same_kind(name, value, getattr(self, name))
        return replace(self, methods=methods, pretrain=pretrain, **top)

    def _chosen(self, names: Any) -> list[str]:
        """The methods that ``--set methods=GD,RURK`` keeps, in the scenario's order."""
        if names is None:
            return list(self.methods)
        wanted = list(names) if isinstance(names, (list, tuple)) else [names]
        for name in wanted:
            checks.one_of(f"method of scenario {self.name}", name, self.methods)
        return [m for m in self.methods if m in wanted]


def bundled(data: Callable[[], Dataset], path: str) -> Dataset:
    """Data that come with scikit-learn; a path is refused, so that none is ignored."""
    if path:
        raise checks.InputError(
            f"path = {path!r}: these data come with scikit-learn; leave path out, or use "
            "--scenario npz for images of your own, --scenario sms for texts"
        )
    return data()


def literal(text: str) -> Any:
    """Read a value given on the command line: a Python literal, a list ``a,b,c``, or a word.

    A list, never a tuple: papermill hands a tuple to a notebook as text.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text.split(",") if "," in text else text
    return list(value) if isinstance(value, tuple) else value


def _same_kind(name: str, value: Any, like: Any) -> Any:
    """``value`` in the type of ``like``, or InputError."""
    if isinstance(like, tuple):
        items = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(_same_kind(name, v, like[0]) for v in items)
    if isinstance(like, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    optional = like is None or (value is None and isinstance(like, float))
    if not optional and type(value) is not type(like):
        raise checks.InputError(
            f"{name} = {value!r}: expected a {type(like).__name__} such as {like!r}"
        )
    return value
