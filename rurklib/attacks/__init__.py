"""What an attacker with the unlearned model still finds; unlearners who know the measurement.

``ATTACKS`` are tried on a model by :func:`attack`; :func:`table` places each result among the same
attack's on re-trained models. Notebook 6 reads it.
"""

from rurklib.attacks.evasive import CHEATS, Damped, damped, noise_brittle, noisy_level
from rurklib.attacks.masking import Masking, masking
from rurklib.attacks.minimal_norm import Minimal, ddn, fmn
from rurklib.attacks.registry import ATTACKS, Scene, attack
from rurklib.attacks.search import eot, random_search
from rurklib.attacks.spatial import rotate, shifts, translate, turns
from rurklib.attacks.uma import mapping

__all__ = [
    "ATTACKS",
    "CHEATS",
    "Damped",
    "Masking",
    "Minimal",
    "Scene",
    "attack",
    "damped",
    "ddn",
    "eot",
    "fmn",
    "mapping",
    "masking",
    "noise_brittle",
    "noisy_level",
    "random_search",
    "rotate",
    "shifts",
    "translate",
    "turns",
]
