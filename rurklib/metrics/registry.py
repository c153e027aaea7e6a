"""``METRICS``: what a study finds out about every model, and the columns of summary.csv it fills.

A metric is a function under :func:`metric`. It is given what its parameters name:

- ``model``, and ``original``, which it came from; ``retain``, ``forget``, ``test``, ``held_out``:
  pairs (x, y); ``whole_class``: whether all samples of a class are forgotten;
- or ``rows``: the table of all models, with the columns of all metrics that look at one.

One that compares a model with re-trained ones has a ``reading``, a function of the first kind, and
is called with what that gave for the model, and a list of what it gave for each other re-trained
model. A metric returns a number, or a tuple of one for each column; from ``rows`` a series.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from rurklib import checks

F = TypeVar("F", bound=Callable[..., Any])
GIVEN = ("model", "original", "retain", "forget", "test", "held_out", "whole_class", "rows")


class Metric(NamedTuple):
    """``needs``: parameters of the function, or of its ``reading``. ``columns``: name -> heading in
    tables for people ("": not shown there), and digits after the point."""

    function: Callable[..., Any]
    needs: tuple[str, ...]
    columns: Mapping[str, tuple[str, int]]
    reading: Callable[..., Any] | None = None

    def of(self, found: Any) -> dict[str, float]:
        """What the function returned, by column."""
        values = found if isinstance(found, tuple) else (found,)
        return dict(zip(self.columns, values, strict=True))


METRICS: dict[str, Metric] = {}


def metric(
    reading: Callable[..., Any] | None = None, **columns: tuple[str, int]
) -> Callable[[F], F]:
    """Register a function, by its own name, as what fills ``columns``. Raises InputError if a
    parameter without a default is nothing that a metric is given."""

    def register(function: F) -> F:
        parameters = inspect.signature(reading or function).parameters.values()
        needs = tuple(p.name for p in parameters if p.default is p.empty)
        for name in needs:
            checks.one_of(f"parameter of the metric {function.__name__}", name, GIVEN)
        METRICS[function.__name__] = Metric(function, needs, columns, reading)
        return function

    return register
