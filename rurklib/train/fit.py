"""Train a classifier: Original on retain + forget, a re-trained reference on retain alone."""

from dataclasses import replace
from itertools import count, islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.rng import generator, seeded
from rurklib.train.adversarial import STREAM, led_astray
from rurklib.train.augment import augmentation
from rurklib.train.loop import learn, sharded_batches
from rurklib.train.precision import computing
from rurklib.train.spec import Recipe, optimised, wind_forward


class Engine:
    """What computes the steps of a training: here one process, and nothing is kept.

    What large trainings need stands in :mod:`rurklib.study.scale`, which overrides all of this.
    ``share`` is (which, of how many): the part of each batch that is computed here.
    """

    share: tuple[int, int] = (0, 1)

    def prepare(
        self, model: nn.Module, optimizer: torch.optim.SGD, recipe: Recipe, *, n: int, seed: int
    ) -> int:
        """Called before the first step of a training on n samples, on the random state that
        ``seed`` decides. Returns how many passes are done already."""
        return 0

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        """The model's logits."""
        return model(x)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to the weights' own."""
        loss.backward()

    def after_pass(self, done: int) -> None:
        """Called whenever a pass ends, ``done`` of them by now; after the last one too."""


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    recipe: Recipe | None = None,
    *,
    seed: int,
    engine: Engine | None = None,
    **values: Any,
) -> nn.Module:
    """Train ``model`` in place on (x, y) and return it in eval mode.

    SGD with momentum on the mean cross-entropy, cosine schedule; ``seed`` decides the order of
    batches and all else that is random. ``fit(net, x, y, seed=0, epochs=30, lr=0.05)`` is short for
    ``fit(net, x, y, Recipe(epochs=30, lr=0.05), seed=0)``.

    Args:
        x: [n, ...] uint8 or float, anywhere: a batch at a time is moved to the model's device.
        y: int64 [n].
        recipe: epochs, lr and all else (:class:`rurklib.train.Recipe`; default: its defaults).
        engine: what computes the steps; :class:`rurklib.study.scale.AtScale` is the other one.
        values: fields of the recipe that are to be different.

    Raises InputError for samples, labels or values that can't be used, or if a step doesn't fit
    into a GPU's memory.
    """
    checks.inputs(x, None)
    checks.labels(y, len(x))
    recipe, engine = replace(recipe or Recipe(), **values), engine or Engine()
    augmentation(recipe.augment, tuple(x.shape[1:]))
    device = next(model.parameters()).device
    steps = recipe.steps(len(x))
    a_pass = steps // recipe.epochs
    rise = round(min(recipe.warmup, recipe.epochs) * a_pass)
    optimizer, schedule = optimised(model, recipe, steps, warmup=rise, nesterov=recipe.nesterov)

    def gradients(xb: Tensor, yb: Tensor, whole: int) -> None:
        if recipe.adversarial:
            seeds = (seed, STREAM, *engine.share, next(nth))
            xb = led_astray(model, xb, yb, recipe.adversarial, *seeds)
        logits = engine.forward(model, xb)
        loss = F.cross_entropy(logits, yb, label_smoothing=recipe.label_smoothing)
        share = len(yb) * engine.share[1] / whole  # gradients are averaged over processes
        engine.backward(loss if share == 1 else loss * share)

    # Seeded for layers that draw random numbers themselves, such as dropout.
    with seeded(seed), computing(model, recipe.precision, recipe.channels_last):
        done = engine.prepare(model, optimizer, recipe, n=len(x), seed=seed)
        wind_forward(schedule, done * a_pass)
        nth = count(done * a_pass)
        data = sharded_batches(
            x,
            y,
            size=recipe.batch_size,
            epochs=recipe.epochs,
            generator=generator(seed, 10),
            device=device,
            start=done,
            augment=recipe.augment,
            choices=generator(seed, 11),
            share=engine.share,
        )
        for epoch in range(done, recipe.epochs):
            part = islice(data, a_pass)
            learn(model, gradients, part, optimizer, schedule, recipe.clip, recipe.batchnorm)
            engine.after_pass(epoch + 1)
    return model.eval()
