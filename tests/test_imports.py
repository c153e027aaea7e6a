"""What ``import rurklib`` costs: torch, numpy and pandas, and nothing for notebooks or figures."""

from __future__ import annotations

import subprocess
import sys

import rurklib

HEAVY = ("seaborn", "matplotlib", "ipywidgets", "papermill", "sklearn", "IPython", "joblib")
HEAVY += ("distributed", "yaml", "torchvision", "torch._dynamo")


def test_importing_the_package_loads_nothing_heavy():
    """In a process of its own. Fails if a module imports a study's tools at its top."""
    script = f"import sys, rurklib; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_there():
    for name in rurklib.__all__:
        assert hasattr(rurklib, name), name
