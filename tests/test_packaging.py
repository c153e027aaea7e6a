"""Files that must agree with each other, and the words that must not stand in any of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import rurklib

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    tomllib = pytest.importorskip("tomli", reason="reading TOML needs Python 3.11 or tomli")

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def test_environment_yml_has_the_names_and_bounds_of_pyproject():
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["study"]
    wanted = {re.match(r"([\w-]+)(.*)", w).groups() for w in wanted}
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    found = {re.match(r"([\w-]+)(.*)", d).groups() for d in plain}
    renamed = {(CONDA_NAMES.get(n, n), bound) for n, bound in wanted}
    assert found - {("pip", ""), ("python", PROJECT["requires-python"])} == renamed
    assert ("python", PROJECT["requires-python"]) in found
    assert {"pip": ["-e ."]} in environment["dependencies"]
    assert not [d for d in plain if "==" in d]


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert rurklib.__version__ == PROJECT["version"] == citation["version"]


def test_runs_and_data_are_ignored_by_git_and_the_package_is_not():
    def ignored(path: str) -> bool:
        return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0

    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("not a git checkout")
    assert ignored("runs/digits/summary.csv")
    assert ignored("data/cifar10/x.bin")
    assert not ignored("rurklib/data/digits.py")


@pytest.mark.parametrize(
    "entry", [["-m", "rurklib"], ["-c", "from rurklib.study.cli.main import main; main()"]]
)
def test_the_command_answers(entry):
    done = subprocess.run([sys.executable, *entry, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "study" in done.stdout
