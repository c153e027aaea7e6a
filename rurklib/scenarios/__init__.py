"""Scenarios by name: one file each. To add one, copy ``digits.py`` and list it here."""

from rurklib.scenarios.digits import DIGITS
from rurklib.scenarios.scenario import Scenario, literal

SCENARIOS: dict[str, Scenario] = {s.name: s for s in (DIGITS,)}

__all__ = ["SCENARIOS", "Scenario", "literal"]
