"""Looking closely at one sample: what a panel or a figure of a single image is computed from.

``Inspector.view`` and ``running`` are about a forget image of a run. Heavier work is a generator
that yields what is known so far, with ``done`` of ``total`` steps, so that a button can show
progress and stop it.
"""

from rurklib.study.inspector.running_ratio import running
from rurklib.study.inspector.view import Inspector, row_of

__all__ = ["Inspector", "row_of", "running"]
