"""Scenarios by name. To add one, put a file here: whatever ``Scenario`` a module holds is found."""

from importlib import import_module
from pkgutil import iter_modules

from rurklib.study.scenarios.scenario import Pretraining, Scenario, tuned

SCENARIOS: dict[str, Scenario] = {
    found.name: found
    for module in iter_modules(__path__)
    for found in vars(import_module(f"{__name__}.{module.name}")).values()
    if isinstance(found, Scenario)
}

__all__ = ["SCENARIOS", "Pretraining", "Scenario", "tuned"]
