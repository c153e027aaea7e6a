"""The public functions: each kernel, with its own signature, behind checks of its arguments."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb import edits, gradient, noise
from rurklib.perturb.ball import check_p
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.samples import as_float

Kernel = TypeVar("Kernel", bound=Callable[..., Tensor])


def checked(kernel: Kernel, *checking: Callable[..., Any]) -> Kernel:
    """``kernel``, with x as floats, after each of ``checking`` was given what it asks for by name
    of the arguments."""
    signature = inspect.signature(kernel)
    asked = [(check, inspect.signature(check).parameters) for check in checking]

    @wraps(kernel)
    def public(*args: Any, **kwargs: Any) -> Tensor:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        for check, names in asked:
            check(**{name: given.arguments[name] for name in names})
        given.arguments["x"] = as_float(given.arguments["x"])
        return kernel(*given.args, **given.kwargs)

    return cast(Kernel, public)


def _labelled(model: nn.Module, x: Tensor, y: Tensor) -> None:
    checks.labels(y, len(x))
    if not isinstance(model, nn.Module):
        raise checks.InputError(f"model is a {type(model).__name__}: expected a torch.nn.Module")


def _steps(
    steps: int,
    step_size: float | None,
    random_start: bool,
    generator: torch.Generator | None,
    start_at: Tensor | None,
) -> None:
    checks.count("steps", steps)
    if step_size is not None:
        checks.number("step_size", step_size, low=0.0)
    if random_start and generator is None and start_at is None:
        raise checks.InputError(
            "pgd: random_start needs a generator, e.g. torch.Generator().manual_seed(0)"
        )


fits = {name: perturbation.check for name, perturbation in PERTURBATIONS.items()}
gaussian = checked(noise.gaussian, fits["gaussian"])
uniform = checked(noise.uniform, fits["uniform-l2"], check_p)
sphere = checked(noise.sphere, fits["sphere-l2"])
delete = checked(edits.delete, fits["delete"])
swap = checked(edits.swap, fits["swap"])
typo = checked(edits.typo, fits["typo"])
fgsm = checked(gradient.fgsm, fits["fgsm"], _labelled)
pgd = checked(gradient.pgd, fits["pgd"], _labelled, check_p, _steps)
