"""What tests of inspector and panels share: an inspector of a small run, and a small plane."""

import pytest

PLANE = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0, "tau": 0.05, "v": 2}


@pytest.fixture(scope="session")
def inspector(small_run):
    """The inspector of ``small_run``; what a test sets on it stays."""
    from rurklib.study.inspector.view import Inspector
    from rurklib.study.run import open_existing

    return Inspector(open_existing(small_run))


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
