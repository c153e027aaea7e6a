"""GD+RURK, NGD+RURK, SCRUB+RURK, SSD+RURK: unlearn by another method first, then by RURK.

Reference: RURK's own (``rurk.py``) and that of the first method, in its file.

Algorithm:
    1. the first method, from Original, with the hyper-parameters ``first``
    2. RURK from what came out, with all others

Notes on this implementation: the paper starts RURK from Original; this asks whether residual
knowledge that another method left is taken away as well, and what is lost by it. Both are given
the same samples and the same seed, as if they had been called in a row: nothing of the first but
its weights (and running statistics) goes on to RURK, no momentum nor schedule.

Hyper-parameters (paper's defaults): RURK's own; first None, the first method's defaults, or a
mapping of those that are to be different, such as {"lr": 0.1}.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from rurklib import checks
from rurklib.tensors import Pair
from rurklib.unlearn.contract import SEARCH, Method, check, method
from rurklib.unlearn.gd import gd
from rurklib.unlearn.ngd import ngd
from rurklib.unlearn.rurk import rurk
from rurklib.unlearn.scrub import scrub
from rurklib.unlearn.ssd import ssd

FIRST: dict[str, Method] = {"GD": gd, "NGD": ngd, "SCRUB": scrub, "SSD": ssd}


def _registered(name: str) -> Method:
    """``NAME+RURK``, with RURK's signature and one parameter more."""

    def then_rurk(
        model: nn.Module,
        retain: Pair,
        forget: Pair,
        *,
        seed: int,
        first: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> nn.Module:
        """Unlearn by the first method, then by RURK."""
        if not isinstance(first, Mapping | None):
            raise checks.InputError(
                f"first = {first!r}: expected hyper-parameters of {name}, such as {{'lr': 0.1}}"
            )
        own = dict(first or {})
        check(name, own)
        own |= {key: values[key] for key in ("bounds",) if key in values}
        start = FIRST[name](model, retain, forget, seed=seed, **own)
        return rurk(start, retain, forget, seed=seed, **values)

    parameters = inspect.signature(rurk).parameters
    extra = inspect.signature(then_rurk).parameters["first"]
    then_rurk.__signature__ = inspect.Signature([*parameters.values(), extra])  # type: ignore[attr-defined]
    return method(f"{name}+RURK", search=SEARCH["RURK"], choices=rurk.choices)(then_rurk)  # type: ignore[attr-defined]


for _name in FIRST:
    _registered(_name)
