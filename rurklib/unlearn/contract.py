"""What every unlearning method may rely on and must give: the contract, and the registry.

A method is a function ``(model, retain, forget, *, seed, **hyperparameters) -> model`` that works
*in place* on a copy. The decorator :func:`method` registers it by the paper's name and does what no
method should have to think of: it checks the input, copies the model, runs on a global random state
of its own, refuses weights that aren't finite, and returns the copy in eval mode. So a method
is its algorithm alone.

One that learns by SGD has a parameter ``sgd``, and its values are hyper-parameters like the others.
A departure of all of these: the rate falls by half a cosine, RURK's schedule (its B.2), which their
own papers don't have; ``schedule="constant"`` keeps it.
One with a parameter ``recipe`` is told by a study how its re-trained models are trained.
"""

import copy
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from typing import Any, get_args

from torch import nn

from rurklib import checks
from rurklib.tensors import Pair, finite, seeded
from rurklib.train import SGD, Precision, casts, computing, plain

Method = Callable[..., nn.Module]  # (model, retain, forget, *, seed=0, **hyperparameters)
METHODS: dict[str, Method] = {}

# Where to look for hyper-parameters, for ``rurklib.study.stages.tune``: (low, high) is drawn
# log-uniformly (in whole numbers if both are), a list is a choice among its entries.
Space = Mapping[str, tuple[int, int] | tuple[float, float] | list]
SEARCH: dict[str, Space] = {}

LEARNING = tuple(f.name for f in fields(SGD))


class Diverged(checks.InputError):
    """Hyper-parameters under which the weights of a method became NaN or infinity."""


def method(
    name: str,
    *,
    sgd: SGD | None = None,
    search: Space | None = None,
    choices: Mapping[str, Collection[str]] | None = None,
) -> Callable[[Method], Method]:
    """Register an unlearning method under ``name`` and wrap it in the contract.

    Args:
        sgd: the default of its parameter ``sgd``, whose values users see as hyper-parameters of
            their own (``lr``, ``epochs`` ...). One that is None here, as ``clip`` may be, isn't
            offered.
        search: the space in which to tune it.
        choices: hyper-parameters that are words, with the words that they may be.
    """

    def register(algorithm: Method) -> Method:
        flat = {key: v for key in LEARNING if (v := getattr(sgd, key, None)) is not None}

        @functools.wraps(algorithm)
        def run(
            model: nn.Module, retain: Pair, forget: Pair, *, seed: int = 0, **values: Any
        ) -> nn.Module:
            check(name, values)
            checks.count("seed", seed, 0)
            # The bounds of the inputs are everybody's concern; only some algorithms use them. What
            # numbers are computed in is no algorithm's.
            bounds = values.get("bounds", (0.0, 1.0))
            precision = values.pop("precision", "float32")
            if "bounds" not in defaults(name):
                values.pop("bounds", None)
            retain = checks.pair(retain, "retain", bounds)
            forget = checks.pair(forget, "forget", bounds)
            checks.disjoint(retain[0], forget[0])
            checks.logits(model, *retain)
            checks.logits(model, *forget)
            if sgd is not None:
                own = {key: values.pop(key) for key in flat if key in values}
                values["sgd"] = replace(sgd, **own)
            start = copy.deepcopy(model)
            with seeded(seed), computing(start, precision):
                out = algorithm(start, retain, forget, seed=seed, **values).eval()
            if not casts(model):  # else a method within a method: the outer one's precision holds
                plain(out)
            if not finite(out):
                less = "lr" if "lr" in defaults(name) else "change"
                raise Diverged(
                    f"{name} seed {seed} diverged: its weights aren't finite; try a smaller {less}"
                    + f" (of a study: --set {name}.lr=0.01)" * (less == "lr")
                )
            return out

        run.__signature__ = _flattened(algorithm, flat)  # type: ignore[attr-defined]
        run.choices = choices or {}  # type: ignore[attr-defined]
        METHODS[name] = run
        SEARCH[name] = search or {}
        return run

    return register


def _flattened(algorithm: Method, sgd: Mapping[str, Any]) -> inspect.Signature:
    """The signature that users see: seed 0 unless said otherwise, and SGD's values one by one."""
    signature, flat = inspect.signature(algorithm), []
    for p in signature.parameters.values():
        own = {p.name: 0 if p.name == "seed" else p.default}
        for name, value in (sgd if p.name == "sgd" else own).items():
            kind = SGD.__annotations__.get(name, p.annotation)
            flat.append(p.replace(name=name, default=value, annotation=kind))
    return signature.replace(parameters=flat)


def check(name: str, values: Mapping[str, Any]) -> None:
    """Raise InputError for a hyper-parameter that a method hasn't, or a value of no use to it."""
    known, words = defaults(name), getattr(METHODS[name], "choices", {})
    for key, value in values.items():
        everyones = {"bounds": None, "precision": None}
        checks.one_of(f"hyper-parameter of {name}", key, {**known, **everyones})
        default = known.get(key)
        if key == "precision":
            checks.one_of(key, value, get_args(Precision))
        elif key in words:
            checks.one_of(key, value, words[key])
        elif isinstance(default, bool):
            if not isinstance(value, bool):
                raise checks.InputError(f"{key} = {value!r}: expected True or False")
        elif isinstance(default, int):
            checks.count(key, value, 0)
        elif isinstance(default, float) and value is not None:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not value >= 0:
                raise checks.InputError(f"{key} = {value!r}: expected a number of at least 0")
    SGD(**{key: value for key, value in values.items() if key in LEARNING})  # checks them


def defaults(name: str) -> dict[str, Any]:
    """A method's hyper-parameters with their defaults; raises InputError for an unknown name."""
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
        hyperparameters: the method's own; see its docstring. An unknown one is an error. Every
            method has ``bounds`` ((0, 1); None: inputs have no range) and ``precision``: "float32"
            (default), "bfloat16" or "auto", of what the model is asked (rurklib.train).

    Returns the unlearned model in eval mode. Raises InputError before any work if something can't
    be used, and :class:`Diverged`, an InputError, if the weights didn't stay finite.
    """
    checks.one_of("method", method, METHODS)
    return METHODS[method](model, retain, forget, seed=seed, **hyperparameters)
