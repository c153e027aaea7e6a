"""What every unlearning method may rely on and must give: the contract, and the registry.

A method is a function ``(model, retain, forget, *, seed, **hyperparameters) -> model`` that works
*in place* on a copy. The decorator :func:`method` registers it by the paper's name and does what no
method should have to think of: it checks the input, copies the model, runs on a global random state
of its own, and returns the copy in eval mode. So a method file holds the algorithm alone.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, get_args

from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.rng import seeded
from rurklib.train.loop import BatchNorm

Pair = tuple[Tensor, Tensor]


class Method(Protocol):
    """An unlearning method as users call it."""

    __name__: str

    def __call__(
        self,
        model: nn.Module,
        retain: Pair,
        forget: Pair,
        *,
        seed: int = 0,
        **hyperparameters: Any,
    ) -> nn.Module: ...


METHODS: dict[str, Method] = {}


# Where to look for hyper-parameters, for ``rurklib.study.stages.tune``: (low, high) is drawn
# log-uniformly (in whole numbers if both are), a list is a choice among its entries.
Space = Mapping[str, tuple[int, int] | tuple[float, float] | list]


SEARCH: dict[str, Space] = {}


# Hyper-parameters that are words, with the words that they may be.
CHOICES: dict[str, Iterable[str]] = {
    "batchnorm": get_args(BatchNorm),
    "perturbation": PERTURBATIONS,
    "target": ("true", "random"),
}


def method(
    name: str, *, search: Space | None = None
) -> Callable[[Callable[..., nn.Module]], Method]:
    """Register an unlearning method under ``name``, with the space in which to tune it, and wrap
    it in the contract."""

    def register(algorithm: Callable[..., nn.Module]) -> Method:
        @functools.wraps(algorithm)
        def run(
            model: nn.Module,
            retain: Pair,
            forget: Pair,
            *,
            seed: int = 0,
            **hyperparameters: Any,
        ) -> nn.Module:
            known = defaults(name)
            for key, value in hyperparameters.items():
                checks.one_of(f"hyper-parameter of {name}", key, {**known, "bounds": None})
                check_value(key, value, known.get(key))
            checks.count("seed", seed, 0)
            # The bounds of the inputs are everybody's concern; only some algorithms use them.
            bounds = hyperparameters.get("bounds", (0.0, 1.0))
            if "bounds" not in known:
                hyperparameters.pop("bounds", None)
            retain = checks.pair(retain, "retain", bounds)
            forget = checks.pair(forget, "forget", bounds)
            checks.disjoint(retain[0], forget[0])
            checks.logits(model, *retain)
            checks.logits(model, *forget)
            with seeded(seed):
                return algorithm(
                    copy.deepcopy(model), retain, forget, seed=seed, **hyperparameters
                ).eval()

        METHODS[name] = run
        SEARCH[name] = search or {}
        return run

    return register


def check_value(key: str, value: Any, default: Any) -> None:
    """Raise InputError for a hyper-parameter that no method can work with."""
    if key in ("epochs", "batch_size", "v"):
        checks.count(key, value)
    elif key in CHOICES:
        checks.one_of(key, value, CHOICES[key])
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise checks.InputError(f"{key} = {value!r}: expected True or False")
    elif isinstance(default, float) and value is not None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not value >= 0:
            raise checks.InputError(f"{key} = {value!r}: expected a number of at least 0")


def defaults(name: str) -> dict[str, Any]:
    """The hyper-parameters of a method with their default values."""
    signature = inspect.signature(METHODS[checks.one_of("method", name, METHODS)])
    keywords = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {p.name: p.default for p in keywords if p.name != "seed"}


def unlearn(
    method: str,
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int = 0,
    **hyperparameters: Any,
) -> nn.Module:
    """Make ``model`` forget: a new model, the given one untouched.

    Args:
        method: a name in ``rurklib.METHODS``, e.g. "GD" or "RURK".
        model: Original, trained on retain + forget; takes floats in [0, 1], returns logits.
        retain, forget: pairs (x [n, ...] uint8 or float in [0, 1], y int64 [n]) that share no
            sample, on the model's device.
        seed: decides every random choice of the method.
        hyperparameters: the method's own; see its docstring. An unknown one is an error.

    Returns the unlearned model in eval mode. Raises InputError before any work if something can't
    be used.
    """
    checks.one_of("method", method, METHODS)
    return METHODS[method](model, retain, forget, seed=seed, **hyperparameters)
