"""Versions, machine and commit: what a number here depends on besides the choices of its run."""

import platform
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from rurklib.checks import InputError


def needs(*modules: str, extra: str) -> None:
    """Raise InputError, with how to install it, for a module of ``extra`` that is not there."""
    for name in modules:
        if find_spec(name) is None:
            raise InputError(
                f'{name} is not installed: pip install -e ".[{extra}]" in the clone of rurklib'
            )


def surroundings(device: torch.device) -> dict[str, str]:
    """Versions, commit, platform, processor and the device that is computed on, by name."""
    return {
        "git": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),  # importing it takes a second
        "numpy": version("numpy"),
        "platform": platform.platform(),
        "processor": _processor(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
    }


def commit() -> str:
    """Commit of the checkout, with "+" if it was changed, or "not a checkout"."""
    try:
        head, changed = (
            subprocess.run(
                ["git", *words],
                cwd=Path(__file__).parent,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "not a checkout"
    return head + ("+" if changed else "")


def _processor() -> str:
    """The processor's model name, as precise as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
