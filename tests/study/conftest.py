"""What tests of the study share: the command, an inspector of a small run, a plane, files brought
along."""

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


PLANE = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0, "tau": 0.05, "v": 2}


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


@pytest.fixture(scope="session")
def plane():
    """A small plane: Iris' sepals, Original and three re-trained models (100 steps), RURK at two
    lambdas (0 first) after 0, 3 and 8 steps, GD after 8."""
    from rurklib import unlearn
    from rurklib.data.bundled import iris
    from rurklib.study.inspector.plane import Plane, forget_and_retrain, trajectory
    from rurklib.train.spec import Recipe

    training = Recipe(epochs=100, lr=0.3, weight_decay=0.0)
    case = forget_and_retrain(iris((0, 1)), seed=0, references=3, training=training)
    shared = {k: PLANE[k] for k in ("lr", "momentum", "weight_decay")}
    gd = unlearn("GD", case.original, case.retain, case.forget, seed=0, epochs=8, **shared)
    return Plane(case, gd, trajectory(case, [0.0, 0.3], [0, 3, 8], **PLANE))


@pytest.fixture(scope="session")
def plane_settings() -> dict:
    """The settings of RURK in ``plane``."""
    return PLANE


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
