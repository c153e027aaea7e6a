"""Training and fine-tuning: one loop, :func:`learn`, for everything.

Data are tensors, so a batch is an index: no DataLoader, no workers. The order of batches comes from
a generator of its own, so a seed decides it and nothing else does. How weights learn is plain
values: :class:`SGD` for a method, a :class:`Recipe` for a whole training.

*Precision.* ``"float32"`` casts nothing. ``"bfloat16"`` casts what goes into convolutions and
matrix products (torch.autocast); weights, their gradients, BatchNorm, the loss and the optimizer
stay in float32, so nothing needs scaling. ``"auto"`` is bfloat16 where PyTorch says that the device
has it, a GPU or a processor (AMX or AVX-512 with bfloat16), and float32 elsewhere. Channels-last
goes with bfloat16. With float32 you ask for it: it changes the order of sums, and so the last
digits of results.

*Augmentation.* Images change at random while the net learns them. The changes are drawn for a whole
pass beforehand, on the CPU from a generator of its own, so they are the same on every device.
To add one: a function that draws [n, k] numbers, one that applies them, and a line in
:data:`AUGMENTATIONS`.

*Adversarial training* (Madry et al., "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018) replaces each batch by copies on which the net, as it is, has the largest loss
within a ball. PGD looks for them on the net in eval mode. The labels stay.
"""

import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, islice
from typing import Annotated, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
)

from rurklib import checks
from rurklib.checks import InputError
from rurklib.perturb import pgd, random_start
from rurklib.tensors import Pair, as_float, generator, seeded

AREA = (0.08, 1.0)  # of a zoomed crop, as a share of the image: torchvision's RandomResizedCrop
RATIO = (3 / 4, 4 / 3)  # of its width to its height, likewise


class Augmentation(NamedTuple):
    """``draw(n, shape, generator)`` gives the choices for n samples of ``shape`` (c, h, w), a
    tensor [n, k]; ``apply(x, choices)`` changes a batch x [n, c, h, w] accordingly."""

    draw: Callable[[int, tuple[int, ...], torch.Generator], Tensor]
    apply: Callable[[Tensor, Tensor], Tensor]


def padding(shape: tuple[int, ...]) -> tuple[int, int]:
    """How far a crop is shifted at most, down and across: an eighth of the size, 4 of 32 pixels."""
    return max(1, shape[-2] // 8), max(1, shape[-1] // 8)


def _draw_flip(n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(2, (n, 1), generator=generator)


def flip(x: Tensor, choices: Tensor) -> Tensor:
    """Mirror left and right the samples whose choice [n, 1] is 1."""
    return torch.where(choices[:, 0].bool()[:, None, None, None], x.flip(-1), x)


def _draw_crop(n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
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


def _draw_zoom(n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)

    h, w = shape[-2:]
    area, ratio = uniform(*AREA) * h * w, uniform(*torch.tensor(RATIO).log().tolist()).exp()
    height = ((area / ratio).sqrt() / h).clamp(max=1)
    width = ((area * ratio).sqrt() / w).clamp(max=1)
    top, left = (1 - height) * uniform(0, 1), (1 - width) * uniform(0, 1)
    mirrored = torch.randint(2, (n,), generator=generator)
    return torch.stack([top, left, height, width, mirrored], 1).float()


def flip_crop_large(x: Tensor, choices: Tensor) -> Tensor:
    """A window of each image, enlarged to the image's own size, mirrored or not; floats in [0, 1].

    ``choices`` float [n, 5]: the window's top, left, height and width as shares of the image, and
    whether it is mirrored. Sampled bilinearly, the edge repeated beyond the image. It is
    torchvision's RandomResizedCrop and RandomHorizontalFlip but for three things: windows needn't
    begin at a whole pixel, one that would stick out is narrowed rather than drawn again, and the
    image has its working size already, so a small window shows no more detail.
    """
    top, left, height, width, mirrored = choices.unbind(1)
    zero = torch.zeros_like(top)
    across = torch.stack([width * (1 - 2 * mirrored), zero, 2 * left + width - 1], 1)
    down = torch.stack([zero, height, 2 * top + height - 1], 1)
    x = as_float(x)
    affine = torch.stack([across, down], 1).to(x.dtype)
    grid = F.affine_grid(affine, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    "flip": Augmentation(_draw_flip, flip),
    "flip-crop": Augmentation(_draw_crop, flip_crop),
    "flip-crop-large": Augmentation(_draw_zoom, flip_crop_large),
}


def augmentation(name: str, shape: tuple[int, ...]) -> Augmentation | None:
    """The augmentation ``name`` for samples of ``shape``; None for "none".

    Raises InputError for an unknown name or for samples that aren't images (c, h, w).
    """
    found = AUGMENTATIONS[checks.one_of("augment", name, AUGMENTATIONS)]
    if found is not None and len(shape) != 3:
        raise checks.InputError(
            f"augment = {name!r}: expected images (c, h, w), but samples have shape "
            f"{tuple(shape)}; use augment = 'none'"
        )
    return found


STEPS = 5  # of PGD, each half of the radius: a corner of the ball is reached from any start
STREAM = 12  # of random numbers, beside those of order (10) and augmentation (11)


def led_astray(model: nn.Module, x: Tensor, y: Tensor, radius: float, *seeds: int) -> Tensor:
    """Copies within ``radius`` (L-inf) on which ``model`` has a larger loss; shaped like x.

    ``seeds`` name the stream of the starts: a training that goes on after a kill has the same ones.
    Shapes: x [n, ...] float in [0, 1] (InputError if it isn't), y int64 [n].
    """
    stream = generator(*seeds, device=x.device)
    start = random_start(x, radius, torch.inf, stream, (0.0, 1.0))
    return pgd(model, x, y, radius, start=start, steps=STEPS)


Precision = Literal["float32", "bfloat16", "auto"]


def resolved(precision: Precision, device: torch.device) -> Precision:
    """What ``precision`` means on a device: "float32" or "bfloat16"."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if device.type == "cpu" and processor_has_bfloat16() else "float32"


def processor_has_bfloat16() -> bool:
    """Whether PyTorch says that this processor multiplies in bfloat16. It says so by functions that
    are not part of its promised interface: without them, no."""
    asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)


@contextmanager
def computing(
    model: nn.Module, precision: Precision, channels_last: bool | None = None
) -> Iterator[None]:
    """Inside the block ``model``, and whatever is copied from it, computes in ``precision``.

    Its logits are float32 all the same, so that losses are. ``channels_last``: the layout of images
    and 4-d weights (None: with bfloat16). A block in such a block changes nothing. Raises
    InputError for a model whose ``forward`` is an attribute of its own, as hooks of some libraries
    make it: there is no telling what a copy of it would ask.
    """
    device = next(model.parameters()).device
    half = resolved(precision, device) == "bfloat16"
    last = half if channels_last is None else channels_last
    if not (half or last) or casts(model):
        yield
        return
    if "forward" in vars(model):
        raise InputError(
            f"precision = {precision!r}: this {type(model).__name__}'s forward was replaced on the "
            'object itself; expected that of its class: use precision="float32"'
        )
    layouts = [(p, p.data.stride()) for p in model.parameters()]
    if last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        if last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = type(self).forward(self, x)
        return logits.float() if half else logits

    forward.casts = True  # type: ignore[attr-defined]
    # A bound method: a deep copy of the model is given one of its own.
    model.forward = types.MethodType(forward, model)  # type: ignore[method-assign]
    try:
        yield
    finally:
        plain(model)
        for p, stride in layouts:
            if p.data.stride() != stride:
                p.data = torch.empty_strided(p.shape, stride, dtype=p.dtype, device=device).copy_(p)


def casts(model: nn.Module) -> bool:
    """Whether :func:`computing` changed its forward, or that of what it was copied from."""
    return hasattr(vars(model).get("forward"), "casts")


def plain(model: nn.Module) -> None:
    """Let a model, or a copy made in a block of :func:`computing`, compute as its class says."""
    if casts(model):
        del model.forward


BatchNorm = Literal["frozen", "train"]
Batch = tuple[Tensor, Tensor]


def batches(
    x: Tensor,
    y: Tensor,
    *,
    size: int,
    epochs: int,
    generator: torch.Generator,
    device: torch.device | None = None,
    start: int = 0,
    augment: str = "none",
    choices: torch.Generator | None = None,
) -> Iterator[Batch]:
    """Shuffled batches (x float, y) for ``epochs`` passes, each sample once a pass.

    A pass is cut into ceil(n / size) batches of nearly equal length, so there is no tiny last
    batch (BatchNorm can't be trained on a batch of one). A batch is moved to ``device`` (default:
    it stays where x is), as bytes if it is bytes, and there changed by an augmentation that draws
    from the generator ``choices``. The first ``start`` passes are left out; the others are as if
    they had been made.
    """
    change = augmentation(augment, tuple(x.shape[1:]))
    y = y.to(x.device)
    device = x.device if device is None else device
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        drawn = None
        if change is not None:
            assert choices is not None
            drawn = change.draw(len(x), tuple(x.shape[1:]), choices)
        if epoch < start:
            continue
        # Moved once a pass: an index that comes from the host makes every step wait.
        order = order.to(x.device)
        drawn = None if drawn is None else drawn.to(device)
        for place in torch.arange(len(x)).tensor_split(-(-len(x) // size)):
            part = slice(int(place[0]), int(place[-1]) + 1)
            xb, yb = moved(x[order[part]], device), moved(y[order[part]], device)
            if change is not None and drawn is not None:
                xb = change.apply(xb, drawn[part])
            yield as_float(xb), yb


def moved(x: Tensor, device: torch.device) -> Tensor:
    """A tensor on ``device``; to a GPU without waiting for it, through page-locked memory."""
    if x.device == device:
        return x
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def cycled(x: Tensor, y: Tensor, *, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Shuffled batches without end: the paper's ``nextIter(FLoader)``, whose rule for starting
    over is not given; here the set is shuffled anew whenever it is used up."""
    while True:
        yield from batches(x, y, size=size, epochs=1, generator=generator)


def learn(
    model: nn.Module,
    gradients: Callable[..., None],
    data: Iterable[tuple],
    optimizer: torch.optim.SGD,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    clip: float | None = None,
    batchnorm: BatchNorm = "train",
) -> nn.Module:
    """Take a step for each item of ``data``; return the model in eval mode.

    ``gradients(*item)`` adds to the gradients of the weights that ``optimizer`` has; their global
    norm is bounded by ``clip``. ``batchnorm`` as in :class:`rurklib.train.SGD`. Nothing in it
    waits for a GPU. Raises InputError, which names what to change, if a step doesn't fit into a
    GPU's memory.
    """
    model.train()
    if batchnorm == "frozen":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    try:
        with torch.enable_grad():
            for item in data:
                optimizer.zero_grad(set_to_none=True)
                gradients(*item)
                if clip is not None:
                    nn.utils.clip_grad_norm_(weights, clip)
                optimizer.step()
                schedule.step()
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            "a batch of one sample, of which BatchNorm in train mode makes nothing: expected two "
            'at least; with batchnorm="frozen" one will do'
        ) from error
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(
            f"out of memory in a step ({str(error).splitlines()[0]}): lower batch_size, as in "
            "--set batch_size=32 or --set RURK.batch_size=32"
        ) from error
    return model.eval()


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


@checks.values
class Recipe(SGD):
    """What :func:`rurklib.train.fit` takes: SGD, and what else a training may ask for.

    Attributes:
        warmup: passes, or parts of one, over which the rate rises before it falls; at most all.
        nesterov: Nesterov's momentum, which needs a momentum above 0.
        label_smoothing: share of each label that is spread over all classes, in [0, 1].
        augment: a name in ``rurklib.train.AUGMENTATIONS``.
        adversarial: radius (L-inf, of inputs in [0, 1]) within which copies that the net errs on
            are learned in place of the samples (:mod:`rurklib.train`); 0: none.
        precision: "float32", "bfloat16" or "auto"; see :mod:`rurklib.train`.
        channels_last: the layout of convolutions (default: channels last with bfloat16).
    """

    epochs: Count = 30
    lr: NotNegative = 0.05
    weight_decay: NotNegative = 5e-4
    warmup: NotNegative = 0.0
    nesterov: bool = False
    label_smoothing: Annotated[float, Field(ge=0, le=1)] = 0.0
    augment: str = "none"
    adversarial: NotNegative = 0.0
    precision: Precision = "float32"
    channels_last: bool | None = None

    def __post_init__(self) -> None:
        checks.one_of("augment", self.augment, AUGMENTATIONS)


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
