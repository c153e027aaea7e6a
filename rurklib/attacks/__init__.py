"""What an attacker with the unlearned model still finds; unlearners who know the measurement.

``ATTACKS`` are tried on a model by :func:`attack`; :func:`table` places each result among the same
attack's on re-trained models. Notebook 6 reads it.
"""

from rurklib.attacks.across import across, mostly, outside, read_tables
from rurklib.attacks.battery import ATTACKS, Scene, attack
from rurklib.attacks.cheats import CHEATS, Damped, damped, noise_brittle, noisy_level
from rurklib.attacks.mapping import mapping
from rurklib.attacks.masking import Masking, masking
from rurklib.attacks.membership import Membership, membership
from rurklib.attacks.minimal import Minimal, ddn, fmn
from rurklib.attacks.search import eot, random_search
from rurklib.attacks.spatial import rotate, shifts, translate, turns
from rurklib.attacks.standing import Standing, standing
from rurklib.attacks.table import FORGET, HELD_OUT, STATISTICS, table

__all__ = [
    "ATTACKS", "CHEATS", "FORGET", "HELD_OUT", "STATISTICS", "Damped", "Masking", "Membership",
    "Minimal", "Scene", "Standing", "across", "attack", "damped", "ddn", "eot", "fmn", "mapping",
    "masking", "membership", "mostly", "noise_brittle", "noisy_level", "outside", "random_search",
    "read_tables", "rotate", "shifts", "standing", "table", "translate", "turns",
]  # fmt: skip
