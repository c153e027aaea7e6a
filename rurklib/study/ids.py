"""What a model of a run is called: its method and its seed, and how file names say it."""

from __future__ import annotations

from typing import NamedTuple

from rurklib.checks import InputError

PRETRAIN = "Pre-train"  # what Original and Re-train start from, where there is such a net
SMOOTHED = "Smoothed"  # the control that is trained with noise
SAME_PRIOR = "Same-prior"  # the control that saw the forget set and fewer others of the class
NO_METHODS = ("Original", "Re-train", PRETRAIN, SMOOTHED, SAME_PRIOR)  # that are trained


class ModelId(NamedTuple):
    """A model of a run, e.g. ``ModelId("GD", 0)``; ``str`` gives "GD-seed0", its file's name.

    For Re-train the seed is the reference's own, for every other method the experiment's.
    """

    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method}-seed{self.seed}"

    @classmethod
    def parse(cls, text: str) -> ModelId:
        """The model that a file or an older table calls ``text``; InputError for another word."""
        method, _, seed = text.rpartition("-seed")
        if not method or not seed.isdecimal():
            raise InputError(f"{text!r} names no model: expected METHOD-seedNUMBER, e.g. GD-seed0")
        return cls(method, int(seed))
