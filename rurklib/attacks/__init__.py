"""What an attacker with the unlearned model still finds; unlearners that evade the measurement.

``ATTACKS`` are tried on a model by :func:`attack`. Whether a number means memory is said by the
same attack on re-trained models (``rurklib.study``'s ``attack_table``). Notebook 7 reads it.
"""

from rurklib.attacks.evasive import EVASIVE
from rurklib.attacks.masking import masking
from rurklib.attacks.registry import ATTACKS, AttackSetting, attack
from rurklib.attacks.uma import unlearning_mapping
from rurklib.perturb.minimal_norm import ddn, fmn

__all__ = ["ATTACKS", "EVASIVE", "AttackSetting", "attack", "ddn", "fmn", "masking",
           "unlearning_mapping"]  # fmt: skip
