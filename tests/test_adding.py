"""Adding something costs one file: those of rurklib/README.md, put into a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(
    r"^```python\n# (.*?)\n(.*?)^```", (ROOT / "rurklib" / "README.md").read_text(), re.M | re.S
)
SHOW = """
from rurklib.study.report.tables import results_table
import pandas as pd
print(results_table(pd.read_csv("runs/squares/summary.csv")).to_string())
"""


def test_each_file_of_the_readme_is_all_that_it_takes(tmp_path):
    """A method, a perturbation, data, a metric and a scenario: in the study's tables by one file
    each. Fails if a list, a face or a table has to name it too."""
    shutil.copytree(
        ROOT / "rurklib", tmp_path / "rurklib", ignore=shutil.ignore_patterns("__pycache__")
    )
    *added, (title, script) = BLOCKS
    assert {Path(name).parent.name for name, _ in added} == {
        "unlearn", "", "metrics", "data", "scenarios",
    }  # fmt: skip
    for name, text in added:
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(text)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", script + SHOW]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "runs" / "squares" / "summary.csv")
    assert {"Unsure", "RURK"} <= set(summary.method)
    assert summary.confidence_gap.notna().all()
    measured = pd.read_csv(tmp_path / "runs" / "squares" / "residual_knowledge.csv")
    assert set(measured.perturbation) == {"gaussian", "brighter"}
    assert "Unsure" in set(measured.method)
    assert "sure of forget - held out" in done.stdout
    assert title == "a script of yours"
