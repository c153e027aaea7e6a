"""Training and fine-tuning: one loop, :func:`learn`, for everything.

Data are tensors, so a batch is an index: no DataLoader, no workers. The order of batches comes from
a generator of its own, so a seed decides it and nothing else does. How weights learn is plain
values: :class:`SGD` for a method, a :class:`Recipe` for a whole training.

*Precision.* ``"float32"`` casts nothing. ``"bfloat16"`` casts what goes into convolutions and
matrix products of a step (torch.autocast); weights, their gradients, BatchNorm, the loss and the
optimizer stay in float32, so nothing needs scaling. The weights of convolutions then lie channels
last. ``"auto"`` is bfloat16 where PyTorch says that the device has it, a GPU or a processor (AMX or
AVX-512 with bfloat16), and float32 elsewhere.

*Augmentation.* Images change at random while the net learns them. The changes are drawn for a whole
pass beforehand, on the CPU from a generator of its own, so they are the same on every device.

*Adversarial training* (Madry et al., "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018) replaces each batch by copies on which the net, as it is, has the largest loss
within a ball. PGD looks for them on the net in eval mode. The labels stay.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.optim import lr_scheduler

from rurklib import checks
from rurklib.perturb import pgd, random_start
from rurklib.tensors import Pair, as_float, generator, seeded

Batch = tuple[Tensor, Tensor]


def padding(shape: tuple[int, ...]) -> tuple[int, int]:
    """How far a crop is shifted at most, down and across: an eighth of the size, 4 of 32 pixels."""
    return max(1, shape[-2] // 8), max(1, shape[-1] // 8)


def draw_crops(n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Choices for :func:`flip_crop`, int64 [n, 3], for samples of ``shape`` (c, h, w)."""
    ends = [2 * p + 1 for p in padding(shape)]
    return torch.stack([torch.randint(e, (n,), generator=generator) for e in (*ends, 2)], 1)


def flip_crop(x: Tensor, choices: Tensor) -> Tensor:
    """A window of each image, itself padded with black, mirrored or not.

    ``choices`` int64 [n, 3]: the window's first row and column in the padded image, and whether it
    is mirrored. One gather: its columns are read backwards where it is. (torchvision's
    RandomCrop(32, padding=4) and RandomHorizontalFlip.)
    """
    n, c, h, w = x.shape
    down, across = padding(x.shape)
    wide = F.pad(x, (across, across, down, down)).flatten(2)
    forth = torch.arange(w, device=x.device)
    rows = choices[:, 0, None] + torch.arange(h, device=x.device)
    columns = choices[:, 1, None] + torch.where(choices[:, 2, None] == 1, w - 1 - forth, forth)
    at = rows[:, :, None] * (w + 2 * across) + columns[:, None, :]
    return wide.gather(2, at.view(n, 1, h * w).expand(n, c, h * w)).view(n, c, h, w)


def batches(
    x: Tensor,
    y: Tensor,
    *,
    size: int,
    epochs: int,
    generator: torch.Generator,
    device: torch.device | None = None,
    start: int = 0,
    choices: torch.Generator | None = None,
) -> Iterator[Batch]:
    """Shuffled batches (x float, y) for ``epochs`` passes, each sample once a pass.

    A pass is cut into ceil(n / size) batches of nearly equal length, so there is no tiny last
    batch (BatchNorm can't be trained on a batch of one). A batch is moved to ``device`` (default:
    it stays where x is), as bytes if it is bytes, and there cropped and mirrored as the generator
    ``choices`` says (None: not). The first ``start`` passes are left out; the others are as if
    they had been made.
    """
    device = x.device if device is None else device
    y = y.to(x.device)
    for epoch in range(epochs):
        # On the device once a pass: an index that comes from the host makes every step wait.
        order = torch.randperm(len(x), generator=generator).to(x.device)
        crops = choices and draw_crops(len(x), x.shape[1:], choices).to(device)
        if epoch < start:
            continue
        for part in torch.arange(len(x)).tensor_split(-(-len(x) // size)):
            at = slice(int(part[0]), int(part[-1]) + 1)
            xb, yb = x[order[at]].to(device), y[order[at]].to(device)
            if isinstance(crops, Tensor):
                xb = flip_crop(xb, crops[at])
            yield as_float(xb), yb


def cycled(x: Tensor, y: Tensor, *, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Shuffled batches without end: the paper's ``nextIter(FLoader)``, whose rule for starting
    over is not given; here the set is shuffled anew whenever it is used up."""
    while True:
        yield from batches(x, y, size=size, epochs=1, generator=generator)


Precision = Literal["float32", "bfloat16", "auto"]


def resolved(precision: Precision, device: torch.device) -> Precision:
    """What ``precision`` means on a device: "float32" or "bfloat16"."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    # PyTorch answers by functions that aren't part of its promised interface: without them, no.
    asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    has = device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in asked)
    return "bfloat16" if has else "float32"


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """What a step computes its loss in: ``precision`` on this device.

    Without autocast's cache of cast weights: RURK asks a net without gradients before it asks with
    them, and would find the weights that were cast without any.
    """
    half = resolved(precision, device) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=half, cache_enabled=False)


BatchNorm = Literal["frozen", "train"]
Schedule = Literal["cosine", "constant"]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]


@checks.values
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
        precision: "float32", "bfloat16" or "auto"; see :mod:`rurklib.train`.

    Raises InputError for any other value.
    """

    epochs: Count = 10
    lr: NotNegative = 1e-2
    momentum: NotNegative = 0.9
    weight_decay: NotNegative = 1e-4
    clip: NotNegative | None = None
    batch_size: Count = 128
    batchnorm: BatchNorm = "train"
    schedule: Schedule = "cosine"
    precision: Precision = "float32"

    def steps(self, n: int) -> int:
        """How many steps ``epochs`` passes over n samples are."""
        return self.epochs * -(-n // self.batch_size)

    def batches(self, data: Pair, generator: torch.Generator) -> Iterator[Batch]:
        """Shuffled batches of ``data`` for all passes (:func:`rurklib.train.batches`)."""
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
        the model, and is in train mode meanwhile (default: all of it).
        """
        learn(part or model, loss, data, self, *optimised(part or model, self, steps))
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


@checks.values
class Recipe(SGD):
    """What :func:`rurklib.train.fit` takes: SGD, and what else a training may ask for.

    Attributes:
        warmup: passes, or parts of one, over which the rate rises before it falls; at most all.
        nesterov: Nesterov's momentum, which needs a momentum above 0.
        label_smoothing: share of each label that is spread over all classes, in [0, 1].
        augment: "flip-crop" shows :func:`flip_crop` of each image, otherwise in every pass.
        adversarial: radius (L-inf, of inputs in [0, 1]) within which copies that the net errs on
            are learned in place of the samples (:mod:`rurklib.train`); 0: none.
    """

    epochs: Count = 30
    lr: NotNegative = 0.05
    weight_decay: NotNegative = 5e-4
    warmup: NotNegative = 0.0
    nesterov: bool = False
    label_smoothing: Annotated[float, Field(ge=0, le=1)] = 0.0
    augment: Literal["none", "flip-crop"] = "none"
    adversarial: NotNegative = 0.0


def optimised(
    model: nn.Module, how: SGD, steps: int, *, warmup: int = 0, nesterov: bool = False
) -> tuple[torch.optim.SGD, lr_scheduler.LRScheduler]:
    """SGD on the weights that learn, and its schedule: ``warmup`` linear steps, then what
    ``how.schedule`` says, ``steps`` in all."""
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        lr=how.lr,
        momentum=how.momentum,
        weight_decay=how.weight_decay,
        nesterov=nesterov,
    )
    after: lr_scheduler.LRScheduler = lr_scheduler.ConstantLR(optimizer, 1.0)
    if how.schedule == "cosine":
        after = lr_scheduler.CosineAnnealingLR(optimizer, max(steps - warmup, 1))
    if not warmup:
        return optimizer, after
    rise = lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)
    return optimizer, lr_scheduler.SequentialLR(optimizer, [rise, after], [warmup])


def learn(
    model: nn.Module,
    loss: Callable[..., Tensor],
    data: Iterable[tuple],
    how: SGD,
    optimizer: torch.optim.SGD,
    schedule: lr_scheduler.LRScheduler,
) -> None:
    """Take a step down the gradient of ``loss(*item)`` for each item of ``data``; ``model``, whose
    weights ``optimizer`` has, is in train mode meanwhile and in eval mode after.

    ``how`` says the precision, the bound on the gradient and what BatchNorm does. Nothing here
    waits for a GPU.
    """
    model.train()
    if how.batchnorm == "frozen":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    device = weights[0].device
    if resolved(how.precision, device) == "bfloat16":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.enable_grad():
        for item in data:
            optimizer.zero_grad(set_to_none=True)
            with autocast(how.precision, device):
                value = loss(*item)
            value.backward()
            if how.clip is not None:
                nn.utils.clip_grad_norm_(weights, how.clip)
            optimizer.step()
            schedule.step()
    model.eval()


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
            training that was killed goes on (:class:`rurklib.study.models.Kept`).
        values: fields of the recipe that are to be different.

    Raises InputError for samples, labels or values that can't be used.
    """
    checks.inputs(x, None)
    checks.labels(y, len(x))
    recipe = replace(recipe or Recipe(), **values)
    if recipe.augment != "none" and x.ndim != 4:
        raise checks.InputError(
            f"augment = {recipe.augment!r}: expected images (c, h, w), but samples have shape "
            f"{tuple(x.shape[1:])}; use augment = 'none'"
        )
    steps = recipe.steps(len(x))
    a_pass = steps // recipe.epochs
    rise = round(min(recipe.warmup, recipe.epochs) * a_pass)
    optimizer, schedule = optimised(model, recipe, steps, warmup=rise, nesterov=recipe.nesterov)

    def loss(xb: Tensor, yb: Tensor) -> Tensor:
        if recipe.adversarial:
            # 12: a stream beside those of order (10) and augmentation (11). 0 and 1 once numbered
            # parts of a batch: without them copies would be others.
            stream = generator(seed, 12, 0, 1, next(nth), device=xb.device)
            start = random_start(xb, recipe.adversarial, torch.inf, stream, (0.0, 1.0))
            xb = pgd(model, xb, yb, recipe.adversarial, start=start, steps=5)
        return F.cross_entropy(model(xb), yb, label_smoothing=recipe.label_smoothing)

    def passes() -> Iterator[Batch]:
        """All batches; a pass is done when the first batch of the next one is asked for."""
        data = batches(
            x,
            y,
            size=recipe.batch_size,
            epochs=recipe.epochs,
            generator=generator(seed, 10),
            device=next(model.parameters()).device,
            start=done,
            choices=None if recipe.augment == "none" else generator(seed, 11),
        )
        for epoch in range(done, recipe.epochs):
            yield from islice(data, a_pass)
            if each_pass:
                each_pass(model, optimizer, epoch + 1)

    # Seeded for layers that draw random numbers themselves, such as dropout.
    with seeded(seed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        done = each_pass(model, optimizer, 0) if each_pass else 0
        nth = count(done * a_pass)
        for _ in range(done * a_pass):  # the schedule's floats are computed one from the other
            schedule.step()
        learn(model, loss, passes(), recipe, optimizer, schedule)
    return model
