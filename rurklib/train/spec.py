"""How weights are made to learn, as plain values: SGD for a method, a recipe for a whole training.

Both are checked when they are made, so nothing that takes one has to look at its values again.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
)

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.train.augment import AUGMENTATIONS
from rurklib.train.loop import Batch, BatchNorm, batches, learn
from rurklib.train.precision import Precision

Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Attributes:
        epochs: passes over the data, at least 1.
        lr, momentum, weight_decay: as in ``torch.optim.SGD``, at least 0.
        clip: bound on the global norm of a step's gradient; None: no bound.
        batch_size: samples a step, at most.
        batchnorm: "train" normalises with each batch's statistics and moves the running ones, as
            ``model.train()`` does; "frozen" keeps every BatchNorm layer in eval mode, so running
            statistics neither act on a batch of forget samples alone nor move. Weights learn either
            way.
        schedule: "cosine" lets the rate fall from ``lr`` to 0, half a cosine over all steps, as in
            the RURK paper (B.2); "constant" keeps it.

    Raises InputError for any other value.
    """

    epochs: int = 10
    lr: float = 1e-2
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float | None = None
    batch_size: int = 128
    batchnorm: BatchNorm = "train"
    schedule: Schedule = "cosine"

    def __post_init__(self) -> None:
        checks.count("epochs", self.epochs)
        checks.count("batch_size", self.batch_size)
        for name in ("lr", "momentum", "weight_decay"):
            checks.number(name, getattr(self, name), 0.0)
        if self.clip is not None:
            checks.number("clip", self.clip, 0.0)
        checks.one_of("batchnorm", self.batchnorm, get_args(BatchNorm))
        checks.one_of("schedule", self.schedule, get_args(Schedule))

    def steps(self, n: int) -> int:
        """How many steps ``epochs`` passes over n samples are."""
        return self.epochs * -(-n // self.batch_size)

    def batches(self, data: Pair, generator: torch.Generator) -> Iterator[Batch]:
        """Shuffled batches of ``data`` for all passes (:func:`rurklib.train.loop.batches`)."""
        return batches(*data, size=self.batch_size, epochs=self.epochs, generator=generator)

    def minimise(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        data: Iterable[tuple],
        *,
        steps: int,
        part: nn.Module | None = None,
    ) -> nn.Module:
        """Minimise ``loss(*item)`` over the items of ``data`` in place; ``model``, in eval mode.

        ``steps`` is how many items there are, over which a rate falls. ``part`` is what learns of
        the model, and is in train mode meanwhile (default: all of it). Raises InputError if a step
        doesn't fit into a GPU's memory.
        """
        learner = model if part is None else part
        optimizer, schedule = optimised(learner, self, steps)

        def gradients(*item: Tensor) -> None:
            loss(*item).backward()

        learn(learner, gradients, data, optimizer, schedule, self.clip, self.batchnorm)
        return model

    def fine_tune(
        self, model: nn.Module, data: Pair, *, seed: int, part: nn.Module | None = None
    ) -> nn.Module:
        """Minimise the mean cross-entropy on ``data`` for all passes, as :meth:`minimise` does;
        ``seed`` decides the order of batches."""
        return self.minimise(
            model,
            lambda x, y: F.cross_entropy(model(x), y),
            self.batches(data, generator(seed, 1)),
            steps=self.steps(len(data[0])),
            part=part,
        )


@dataclass(frozen=True)
class Recipe(SGD):
    """What :func:`rurklib.train.fit` takes: SGD, and what else a training may ask for.

    Attributes:
        warmup: passes, or parts of one, over which the rate rises before it falls; at most all.
        nesterov: Nesterov's momentum, which needs a momentum above 0.
        label_smoothing: share of each label that is spread over all classes, in [0, 1].
        augment: a name in ``rurklib.train.AUGMENTATIONS``.
        adversarial: radius (L-inf, of inputs in [0, 1]) within which copies that the net errs on
            are learned in place of the samples (:mod:`rurklib.train.adversarial`); 0: none.
        precision: "float32", "bfloat16" or "auto"; see :mod:`rurklib.train.precision`.
        channels_last: the layout of convolutions (default: channels last with bfloat16).
    """

    epochs: int = 30
    lr: float = 0.05
    weight_decay: float = 5e-4
    warmup: float = 0.0
    nesterov: bool = False
    label_smoothing: float = 0.0
    augment: str = "none"
    adversarial: float = 0.0
    precision: Precision = "float32"
    channels_last: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("warmup", self.warmup, 0.0)
        checks.number("label_smoothing", self.label_smoothing, 0.0, 1.0)
        checks.number("adversarial", self.adversarial, 0.0)
        checks.one_of("augment", self.augment, AUGMENTATIONS)
        checks.one_of("precision", self.precision, get_args(Precision))
        if self.nesterov not in (False, True):
            raise checks.InputError(f"nesterov = {self.nesterov!r}: expected True or False")
        if self.nesterov and not self.momentum:
            raise checks.InputError("nesterov = True with momentum = 0: set a momentum above 0")


def optimised(
    model: nn.Module, how: SGD, steps: int, *, warmup: int = 0, nesterov: bool = False
) -> tuple[torch.optim.SGD, LRScheduler]:
    """SGD on the weights that learn, and its schedule: ``warmup`` linear steps, then what
    ``how.schedule`` says, ``steps`` in all."""
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        lr=how.lr,
        momentum=how.momentum,
        weight_decay=how.weight_decay,
        nesterov=nesterov,
    )
    after: LRScheduler = ConstantLR(optimizer, 1.0)
    if how.schedule == "cosine":
        after = CosineAnnealingLR(optimizer, max(steps - warmup, 1))
    if not warmup:
        return optimizer, after
    rise = LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)
    return optimizer, SequentialLR(optimizer, [rise, after], [warmup])


def wind_forward(schedule: LRScheduler, steps: int) -> None:
    """Step a schedule without training: its floats are computed one from the other."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        for _ in range(steps):
            schedule.step()
