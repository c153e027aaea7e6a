"""What every unlearning method may rely on and must give: the contract, and the registry.

A method is a function ``(model, retain, forget, *, seed, **hyperparameters) -> model`` that works
*in place* on a copy. The decorator :func:`method` registers it by the paper's name and does what no
method should have to think of: it checks the input, copies the model, runs on a global random state
of its own, refuses weights that aren't finite, and returns the copy in eval mode. So a method is
its algorithm alone. The types of its hyper-parameters say which values they may have.

One that learns by SGD has a parameter ``sgd``, and its values are hyper-parameters like the others.
All of these have RURK's schedule (its B.2), half a cosine; ``schedule="constant"`` keeps the rate.
One with a parameter ``recipe`` is told by a study how its re-trained models are trained.
"""

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model
from torch import nn

from rurklib import checks
from rurklib.tensors import Bounds, Pair, finite, seeded
from rurklib.train import SGD, Precision

Method = Callable[..., nn.Module]  # (model, retain, forget, *, seed=0, **hyperparameters)
METHODS: dict[str, Method] = {}

# Where to look for hyper-parameters, for ``rurklib.study.tuning``: (low, high) is drawn
# log-uniformly (in whole numbers if both are), a list is a choice among its entries.
Space = Mapping[str, tuple[int, int] | tuple[float, float] | list]
SEARCH: dict[str, Space] = {}

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
EVERY_METHODS = {"seed": Annotated[int, Field(ge=0)], "bounds": Any, "precision": Precision}


class Diverged(checks.InputError):
    """Hyper-parameters under which the weights of a method became NaN or infinity."""


def method(
    name: str, *, sgd: SGD | None = None, search: Space | None = None
) -> Callable[[Method], Method]:
    """Register an unlearning method under ``name`` and wrap it in the contract.

    ``sgd`` is the default of its parameter of that name, whose values other than None users see as
    hyper-parameters (``lr``, ``epochs`` ...); ``search`` is the space in which to tune it.
    """
    learning = {k: v for k, v in asdict(sgd).items() if v is not None} if sgd else {}
    learning.pop("precision", None)  # every method takes it

    def register(algorithm: Method) -> Method:
        @functools.wraps(algorithm)
        def run(
            model: nn.Module,
            retain: Pair,
            forget: Pair,
            *,
            seed: int = 0,
            bounds: Bounds = (0.0, 1.0),
            precision: Precision = "float32",
            **values: Any,
        ) -> nn.Module:
            check(name, {"seed": seed, "precision": precision, **values})
            retain = checks.pair(retain, "retain", bounds)
            forget = checks.pair(forget, "forget", bounds)
            checks.disjoint(retain[0], forget[0])
            checks.logits(model, *retain)
            checks.logits(model, *forget)
            if "bounds" in inspect.signature(algorithm).parameters:
                values["bounds"] = bounds
            if sgd is not None:
                own = {key: values.pop(key) for key in learning if key in values}
                values["sgd"] = replace(sgd, precision=precision, **own)
            start = copy.deepcopy(model)
            with seeded(seed):
                out = algorithm(start, retain, forget, seed=seed, **values)
            if not isinstance(out, nn.Module):
                raise checks.InputError(f"{name} returned {out!r}: expected the unlearned model")
            if not finite(out.eval()):
                mend = f"lr (of a study: --set {name}.lr=0.01)" if learning else "change"
                raise Diverged(
                    f"{name} seed {seed} diverged: its weights aren't finite; try a smaller {mend}"
                )
            return out

        run.__signature__ = _seen_by_users(algorithm, learning)  # type: ignore[attr-defined]
        METHODS[name] = run
        SEARCH[name] = search or {}
        return run

    return register


def _seen_by_users(algorithm: Method, learning: Mapping[str, Any]) -> inspect.Signature:
    """The algorithm's signature with SGD's values one by one in place of ``sgd``."""
    signature = inspect.signature(algorithm, eval_str=True)
    parameters = dict(signature.parameters)
    sgd = parameters.pop("sgd", None)
    if sgd is not None:
        for name, value in learning.items():
            kind = SGD.__annotations__[name]
            parameters[name] = sgd.replace(name=name, default=value, annotation=kind)
    return signature.replace(parameters=list(parameters.values()))


@functools.cache
def _types(method: Method) -> type[BaseModel]:
    """A method's hyper-parameters by their types; one without a type may be anything."""
    found = inspect.signature(method).parameters.values()
    own = {p.name: p.annotation for p in found if p.kind is p.KEYWORD_ONLY} | EVERY_METHODS
    fields: Any = {
        k: (Any if kind is inspect.Parameter.empty else kind, None) for k, kind in own.items()
    }
    return create_model("Values", __config__=checks.TYPES_DECIDE, **fields)


def check(name: str, values: Mapping[str, Any]) -> None:
    """Raise InputError for a hyper-parameter that a method hasn't, or a value of no use to it."""
    types = _types(METHODS[name])
    for key in values:
        checks.one_of(f"hyper-parameter of {name}", key, types.model_fields)
    with checks.as_input_error():
        types(**values)


def defaults(name: str) -> dict[str, Any]:
    """A method's hyper-parameters with their defaults; raises InputError for an unknown name."""
    signature = inspect.signature(METHODS[checks.one_of("method", name, METHODS)])
    keywords = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {p.name: p.default for p in keywords if p.name not in ("seed", "precision")}


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

    ``method`` is a name in ``rurklib.METHODS``, e.g. "GD" or "RURK"; ``model`` is Original, trained
    on retain + forget, takes floats in [0, 1] and returns logits; ``retain`` and ``forget`` are
    pairs (x [n, ...] uint8 or float in [0, 1], y int64 [n]) that share no sample, on its device.
    ``seed`` decides every random choice. ``hyperparameters`` are the method's own (see its
    docstring), ``bounds`` ((0, 1); None: inputs have no range) and ``precision`` of the steps of
    SGD, if it takes any (rurklib.train).

    Returns the unlearned model in eval mode. Raises InputError before any work if something can't
    be used, and :class:`Diverged`, an InputError, if the weights didn't stay finite.
    """
    checks.one_of("method", method, METHODS)
    return METHODS[method](model, retain, forget, seed=seed, **hyperparameters)
