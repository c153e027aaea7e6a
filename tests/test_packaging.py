"""The package from outside: what it imports, declares, builds, and loads when it is imported."""

import ast
import pkgutil
import re
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
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
# "study" brings "audit" along, by name.
STUDY = [*EXTRAS["audit"], *(r for r in EXTRAS["study"] if r != "rurklib[audit]")]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
# Programs, a reader that pandas looks for, and what Dask's scheduler needs: never imported here.
NOT_IMPORTED = {"jupyterlab", "ipykernel", "dask"}


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", r)[0].lower() for r in requirements}


def imported(files: list[Path]) -> set[str]:
    """The distributions that these files import, anywhere in them."""
    nodes = [n for f in files for n in ast.walk(ast.parse(f.read_text(encoding="utf-8")))]
    modules = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    modules |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    found = {m.split(".")[0] for m in modules} - sys.stdlib_module_names - {"rurklib"}
    where = packages_distributions()
    return {where.get(m, [m])[0].lower().replace("_", "-") for m in found}


def test_what_is_imported_is_declared_and_the_core_needs_no_extra():
    """Fails if a package is used that only another one brings along, or is declared in vain."""
    files = sorted((ROOT / "rurklib").rglob("*.py"))
    core = [f for f in files if "study" not in f.relative_to(ROOT).parts]
    base = names(PROJECT["dependencies"])
    declared = base.union(names(STUDY), names(EXTRAS["dask"]))
    used = imported(files)
    assert imported(core) <= base
    assert used - declared == set()
    assert declared - used - NOT_IMPORTED == set()


def test_environment_yml_has_the_names_and_bounds_of_pyproject():
    wanted = PROJECT["dependencies"] + STUDY
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


def test_one_version_and_a_command_and_public_names_that_there_are():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert rurklib.__version__ == PROJECT["version"] == citation["version"]
    assert callable(pkgutil.resolve_name(PROJECT["scripts"]["rurk"]))
    assert not [name for name in rurklib.__all__ if not hasattr(rurklib, name)]


def test_the_wheel_has_all_that_an_installed_package_needs(tmp_path, monkeypatch):
    """Every file of ours but caches, and the notebooks; unpacked elsewhere, it finds them."""
    build = pytest.importorskip("hatchling.build", reason='needs pip install -e ".[test]"')
    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / build.build_wheel(str(tmp_path))) as wheel:
        files = set(wheel.namelist())
        wheel.extractall(tmp_path / "there")
    assert "rurklib/py.typed" in files
    kinds = (".py", ".json", ".md", ".html", ".css", ".js", ".safetensors")
    ours = [p for p in (ROOT / "rurklib").rglob("*") if p.suffix in kinds]
    assert {p.relative_to(ROOT).as_posix() for p in ours} <= files
    books = [p for p in (ROOT / "notebooks").iterdir() if p.suffix in (".ipynb", ".yaml")]
    assert {f"rurklib/notebooks/{p.name}" for p in books} <= files
    where = "from rurklib.study.books import folder; print(folder())"
    done = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path / "there", capture_output=True, text=True,
        env={"PYTHONPATH": str(tmp_path / "there")}, check=True, timeout=120,
    )  # fmt: skip
    assert Path(done.stdout.strip()) == tmp_path / "there" / "rurklib" / "notebooks"


def test_importing_loads_nothing_heavy_and_training_needs_no_extra():
    """In a process of its own, which then has none of the extras' packages. Fails if a module
    imports a study's tools at its top, or if `pip install -e .` is not enough to train, or
    for an audit in Python that writes nothing, or ".[audit]" for one that writes its page; or if
    the inspector's server waits for what only its page needs."""
    heavy = ("seaborn", "matplotlib", "ipywidgets", "papermill", "sklearn", "IPython", "joblib",
             "distributed", "yaml", "torchvision", "torch._dynamo")  # fmt: skip
    extras = ("nbformat", "papermill", "IPython", "ipywidgets", "seaborn", "matplotlib", "yaml",
              "tqdm", "voila", "traitlets", "distributed")  # fmt: skip
    script = f"""
import sys, rurklib
print([m for m in {heavy!r} if m in sys.modules])
sys.modules |= dict.fromkeys({extras!r})
rurklib.audit
import rurklib.study.stages.models
from rurklib.study.cli import main, serve
for name in {("seaborn", "matplotlib")!r}:
    del sys.modules[name]
import rurklib.study.cli.audit, rurklib.study.figures.curves, rurklib.study.report.page
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
