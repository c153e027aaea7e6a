"""Trainings that are counted, and killed in the middle."""

import warnings

import pytest
import torch


class Killed(BaseException):
    """Not an Exception, like what ends a process."""


@pytest.fixture(scope="session")
def steps():
    """``steps(what, most)``: (what it returned, how many steps SGD took, what was warned of); step
    ``most`` is the last one, and then it is killed."""
    step = torch.optim.SGD.step

    def counted(what, most: int = 10**6) -> tuple:
        taken = [0]

        def stepped(optimizer):
            taken[0] += 1
            if taken[0] > most:
                raise Killed
            return step(optimizer)

        with pytest.MonkeyPatch.context() as m, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            m.setattr(torch.optim.SGD, "step", stepped)
            made = what()
        return made, taken[0], [str(w.message) for w in said]

    return counted


@pytest.fixture(scope="session")
def killed(steps):
    """``killed(what, after)``: do it, but be killed after so many steps."""

    def train(what, after: int) -> None:
        with pytest.raises(Killed):
            steps(what, after)

    return train
