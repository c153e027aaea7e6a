"""Where downloads and decoded images are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$RURK_CACHE``, or ``~/.cache/rurklib``; it may not exist yet and can always be deleted."""
    return Path(os.environ.get("RURK_CACHE") or Path.home() / ".cache" / "rurklib").expanduser()
