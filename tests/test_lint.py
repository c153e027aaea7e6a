"""What ``make lint`` runs, as tests: the second core isn't idle while mypy reads."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RULE = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nlint:")[1].split("\n\n")[0]
COMMANDS = re.findall(r"\$\(BIN\)/(.+)", RULE)


def test_every_line_of_the_rule_is_here():
    assert {c.split()[0] for c in COMMANDS} == {"ruff", "mypy", "lint-imports"}
    assert len(COMMANDS) == RULE.count("\n\t")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_it_finds_nothing(command):
    tool, *rest = command.split()
    words = [str(Path(sys.executable).parent / tool), *rest]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
