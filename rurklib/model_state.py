"""The modes of a caller's model are left as found; and is a model sound?"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


def finite(model: nn.Module) -> bool:
    """Whether every weight is a number: the argmax of NaNs is class 0, which may even be right."""
    return all(bool(p.isfinite().all()) for p in model.state_dict().values())


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Put models in eval mode inside the block; give every submodule its own mode back after.

    A blanket ``model.train()`` afterwards would unfreeze layers that the user had put in eval
    mode, so each module's flag is remembered on its own.
    """
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
