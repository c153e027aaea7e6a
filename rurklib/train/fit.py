"""Train a classifier: Original on retain + forget, a re-trained reference on retain alone."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count, islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import generator, seeded
from rurklib.train.adversarial import STREAM, led_astray
from rurklib.train.augment import augmentation
from rurklib.train.loop import batches, learn
from rurklib.train.precision import computing
from rurklib.train.spec import Recipe, optimised, wind_forward


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    recipe: Recipe | None = None,
    *,
    seed: int,
    each_pass: Callable[[nn.Module, torch.optim.SGD, int], int] | None = None,
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
        each_pass: called with the model, the optimizer and the passes done, before the first (0)
            and after each; what it returns for 0 is how many passes it has restored, so that a
            training that was killed goes on (:class:`rurklib.study.resume.Kept`).
        values: fields of the recipe that are to be different.

    Raises InputError for samples, labels or values that can't be used, or if a step doesn't fit
    into a GPU's memory.
    """
    checks.inputs(x, None)
    checks.labels(y, len(x))
    recipe = replace(recipe or Recipe(), **values)
    augmentation(recipe.augment, tuple(x.shape[1:]))
    device = next(model.parameters()).device
    steps = recipe.steps(len(x))
    a_pass = steps // recipe.epochs
    rise = round(min(recipe.warmup, recipe.epochs) * a_pass)
    optimizer, schedule = optimised(model, recipe, steps, warmup=rise, nesterov=recipe.nesterov)

    def gradients(xb: Tensor, yb: Tensor) -> None:
        if recipe.adversarial:
            # 0 and 1 once numbered parts of a batch: without them copies would be others.
            xb = led_astray(model, xb, yb, recipe.adversarial, seed, STREAM, 0, 1, next(nth))
        F.cross_entropy(model(xb), yb, label_smoothing=recipe.label_smoothing).backward()

    # Seeded for layers that draw random numbers themselves, such as dropout.
    with seeded(seed), computing(model, recipe.precision, recipe.channels_last):
        done = each_pass(model, optimizer, 0) if each_pass else 0
        wind_forward(schedule, done * a_pass)
        nth = count(done * a_pass)
        data = batches(
            x,
            y,
            size=recipe.batch_size,
            epochs=recipe.epochs,
            generator=generator(seed, 10),
            device=device,
            start=done,
            augment=recipe.augment,
            choices=generator(seed, 11),
        )
        for epoch in range(done, recipe.epochs):
            part = islice(data, a_pass)
            learn(model, gradients, part, optimizer, schedule, recipe.clip, recipe.batchnorm)
            if each_pass:
                each_pass(model, optimizer, epoch + 1)
    return model.eval()
