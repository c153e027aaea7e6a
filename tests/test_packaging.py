"""The package from outside: what it imports, declares, builds, and loads when it is imported."""

import ast
import pkgutil
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import rurklib

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
STUDY = EXTRAS["audit"] + EXTRAS["study"][1:]  # the first brings "audit" along, by name
CALLED = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml", "IPython": "ipython",
          "typing_extensions": "typing-extensions", "lazy_loader": "lazy-loader"}  # fmt: skip
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
NOT_IMPORTED = {"jupyterlab", "ipykernel"}  # programs


def bounds(requirements: list[str]) -> dict[str, str]:
    return dict(re.match(r"([\w-]+)(.*)", r).groups() for r in requirements)


def imported(files: list[Path]) -> set[str]:
    """The distributions that these files import, anywhere in them."""
    nodes = [n for f in files for n in ast.walk(ast.parse(f.read_text(encoding="utf-8")))]
    modules = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    modules |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    found = {m.split(".")[0] for m in modules} - sys.stdlib_module_names - {"rurklib"}
    return {CALLED.get(m, m) for m in found}


def test_what_is_imported_is_declared_and_the_core_needs_no_extra():
    """Fails if a package is used that only another one brings along, or is declared in vain."""
    files = sorted((ROOT / "rurklib").rglob("*.py"))
    core = [f for f in files if "study" not in f.relative_to(ROOT).parts]
    base = set(bounds(PROJECT["dependencies"]))
    assert imported(core) <= base
    assert imported(files) == (base | {*bounds(STUDY)}) - NOT_IMPORTED


def test_environment_yml_and_the_citation_say_what_pyproject_says():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    found = bounds([d for d in environment["dependencies"] if isinstance(d, str)])
    wanted = bounds(PROJECT["dependencies"] + STUDY)
    wanted = {CONDA.get(name, name): bound for name, bound in wanted.items()}
    assert found == {**wanted, "pip": "", "python": PROJECT["requires-python"]}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert rurklib.__version__ == PROJECT["version"] == citation["version"]
    assert callable(pkgutil.resolve_name(PROJECT["scripts"]["rurk"]))
    assert not [name for name in rurklib.__all__ if not hasattr(rurklib, name)]


def test_the_wheel_has_every_file_of_ours_and_the_notebooks(tmp_path, monkeypatch):
    build = pytest.importorskip("hatchling.build", reason='needs pip install -e ".[test]"')
    monkeypatch.chdir(ROOT)
    files = set(zipfile.ZipFile(tmp_path / build.build_wheel(str(tmp_path))).namelist())
    kinds = "py typed json md html j2 css js yaml safetensors"
    ours = [p for p in (ROOT / "rurklib").rglob("*.*") if p.suffix[1:] in kinds.split()]
    assert {p.relative_to(ROOT).as_posix() for p in ours} <= files
    assert {f"rurklib/notebooks/{p.name}" for p in (ROOT / "notebooks").glob("*.ipynb")} <= files


HEAVY = {"seaborn", "matplotlib", "ipywidgets", "papermill", "sklearn", "IPython", "joblib",
         "distributed", "yaml", "torchvision", "torch._dynamo"}  # fmt: skip
# A process without the extras' packages; then with those of ".[audit]".
IMPORTS = """
import sys, rurklib
print(HEAVY & set(sys.modules))
sys.modules |= dict.fromkeys(["nbformat", "papermill", "IPython", "ipywidgets", "seaborn",
    "matplotlib", "tqdm", "voila", "traitlets", "distributed"])
import rurklib.study.models, rurklib.study.cli, rurklib.study.serve
rurklib.audit
del sys.modules["seaborn"], sys.modules["matplotlib"]
import rurklib.study.figures.curves, rurklib.study.report
"""


def test_importing_loads_nothing_heavy_and_training_needs_no_extra():
    """Fails if a module imports a study's tools at its top; if `pip install -e .` is not enough to
    train, or for an audit in Python; or ".[audit]" for one that writes its page."""
    command = [sys.executable, "-c", f"HEAVY = {HEAVY}{IMPORTS}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
