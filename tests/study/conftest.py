"""What tests of the study share: the command, an inspector of a small run, files brought along."""

import itertools
import re
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def rurk():
    """``rurk(*words, settings={})``: the command in this process, what it said and its code."""
    from click.testing import CliRunner

    from rurklib.study.cli.main import main

    def run(*words, settings=()):
        changes = (("--set", f"{name}={value}") for name, value in dict(settings).items())
        return CliRunner().invoke(main, [*map(str, words), *itertools.chain(*changes)])

    return run


@pytest.fixture(scope="session")
def refused(rurk):
    """``refused(says, *words)``: bad input; the line that tells it. The code is 2."""

    def ask(says, *words, **more):
        done = rurk(*words, **more)
        assert done.exit_code == 2, done.output
        assert says in done.output
        assert len(done.output.strip().splitlines()) == 1
        assert len(done.output) < 1000
        return done.output

    return ask


@pytest.fixture(scope="session")
def run(small_run):
    """``small_run``, opened; what a test makes in it stays."""
    from rurklib.study.run import open_existing

    return open_existing(small_run)


@pytest.fixture(scope="session")
def inspector(run):
    """The inspector of ``small_run``; what a test sets on it stays."""
    from rurklib.study.inspector.view import Inspector

    return Inspector(run)


README = Path(__file__).parents[2] / "rurklib" / "README.md"


@pytest.fixture(scope="session")
def shipped() -> dict[str, str]:
    """The worked examples of rurklib/README.md: folder and name of the file, and its text."""
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)
    return {"/".join(Path(name).parts[-2:]): text for name, text in blocks}


@pytest.fixture(scope="module")
def nothing_brought():
    """Whatever files these tests bring along, the next find none."""
    from rurklib.study import brought, source

    before = {kind: dict(brought.registry(kind)) for kind in brought.REGISTRIES}

    def forget() -> None:
        for kind, there in before.items():
            brought.registry(kind).clear()
            brought.registry(kind).update(there)
        for known in (brought.LOADED, brought.GIVEN, source.BROUGHT):
            known.clear()

    yield forget
    forget()
