"""Train a classifier: Original on retain + forget, a re-trained reference on retain alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.rng import generator, seeded
from rurklib.train import kept as states
from rurklib.train import several
from rurklib.train.augment import augmentation
from rurklib.train.loop import learn, sgd, shares
from rurklib.train.memory import Parts
from rurklib.train.precision import casting, laid_out, lay_out, resolved


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    seed: int,
    epochs: int,
    lr: float,
    batch_size: int = 128,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    warmup: float = 0.0,
    nesterov: bool = False,
    label_smoothing: float = 0.0,
    augment: str = "none",
    precision: str = "float32",
    channels_last: bool | None = None,
    compile: bool = False,
    kept: Path | None = None,
    every: int = 5,
) -> nn.Module:
    """Train ``model`` in place on (x, y) and return it in eval mode.

    SGD with momentum on the mean cross-entropy, cosine schedule; ``seed`` decides the order of
    batches and all else that is random.

    Args:
        x: [n, ...] uint8 or float, a tensor or rows on disk (:func:`rurklib.train.batches` says
            what those must have), anywhere: a batch at a time is moved to the model's device.
        y: int64 [n].
        warmup: passes, or parts of one, over which the rate rises before it falls.
        label_smoothing: share of each label that is spread over all classes.
        augment: a name in ``rurklib.train.AUGMENTATIONS``.
        precision: "float32", "bfloat16" or "auto"; ``channels_last`` (default: with bfloat16) is
            the layout of convolutions. See :mod:`rurklib.train.precision`.
        compile: use ``torch.compile``, on a GPU only. It was never run or timed here.
        kept: a file to keep the state in after each ``every`` passes. A later call with the same
            arguments goes on from there, to the same bits; a file of another call is left unused,
            with a warning. It is deleted at the end. See :mod:`rurklib.train.kept`.

    A step that doesn't fit into a GPU's memory is taken in parts (:mod:`rurklib.train.memory`).
    Under torchrun several processes train one net (:mod:`rurklib.train.several`); memory must then
    do, since a process that tries again would leave the others waiting.

    Raises InputError for arguments that can't be used, or if one sample doesn't fit into memory.
    """
    rank, processes = several.rank(), several.size()
    passes = -(-len(x) // batch_size)  # steps of one pass
    _check(x, epochs, momentum, warmup, nesterov, label_smoothing, augment, every)
    if len(x) // passes < processes:
        raise checks.InputError(
            f"batches of {len(x) // passes} samples in {processes} processes: expected at least "
            "one for each; raise batch_size or start fewer"
        )
    device = next(model.parameters()).device
    precision = resolved(precision, device)
    channels_last = precision == "bfloat16" if channels_last is None else channels_last
    rate: dict[str, Any] = {
        "lr": lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "nesterov": nesterov,
        "warmup": round(warmup * passes),
    }
    mark, state = "", {}
    if kept is not None:
        # Everything that moves a bit; not ``every``, nor how many processes there are.
        mark = states.mark(
            model, x, y, seed=seed, epochs=epochs, batch_size=batch_size, smoothing=label_smoothing,
            augment=augment, precision=precision, channels_last=channels_last, compile=compile,
            **rate,
        )  # fmt: skip
        state = states.read(kept, mark)
    done = int(state["epoch"]) if state else 0
    several.agree(done, f"passes done in {kept}")

    if channels_last:
        lay_out(model, True)
    learner, called, backward = several.spread(model, compile and device.type == "cuda")
    optimizer, schedule = sgd(learner, steps=epochs * passes, done=done * passes, **rate)

    def add(xb: Tensor, yb: Tensor, share: float) -> None:
        """Add the gradients of the mean loss of some samples, times ``share``."""
        with casting(precision, device):
            logits = called(laid_out(xb, channels_last))
        if precision == "bfloat16":
            logits = logits.float()
        loss = F.cross_entropy(logits, yb, label_smoothing=label_smoothing)
        backward(loss if share == 1 else loss * share)

    parts = Parts(learner, add, most=int(state["most"]) if state else 0)

    def gradients(xb: Tensor, yb: Tensor, whole: int) -> None:
        if processes == 1:
            parts(xb, yb)
        else:  # times their number, since gradients are averaged over them
            add(xb, yb, len(yb) * processes / whole)

    steps = done * passes

    def after() -> None:
        nonlocal steps
        steps += 1
        epoch, rest = divmod(steps, passes)
        if rest == 0 and epoch < epochs:
            several.reseed(seed, epoch)
            if kept is not None and epoch % every == 0 and rank == 0:
                states.write(kept, mark, learner, optimizer, epoch, parts.most)

    data = shares(
        x,
        y,
        size=batch_size,
        epochs=epochs,
        generator=generator(seed, 10),
        device=device,
        start=done,
        augment=augment,
        choices=generator(seed, 11),
        share=(rank, processes),
    )
    with seeded(seed):  # for layers that draw random numbers themselves, such as dropout
        if state:
            states.restore(state, learner, optimizer)
        several.reseed(seed, done)
        learn(learner, gradients, data, optimizer, schedule, after=after)
    several.gathered(model, learner)
    if channels_last:
        lay_out(model, False)
    if kept is not None and rank == 0:
        kept.unlink(missing_ok=True)
    return model.eval()


def _check(
    x: Tensor,
    epochs: int,
    momentum: float,
    warmup: float,
    nesterov: bool,
    label_smoothing: float,
    augment: str,
    every: int,
) -> None:
    augmentation(augment, tuple(x.shape[1:]))
    checks.number("warmup", warmup, 0.0, epochs)
    checks.number("label_smoothing", label_smoothing, 0.0, 1.0)
    checks.count("every", every)
    if nesterov and momentum == 0:
        raise checks.InputError("nesterov = True with momentum = 0: expected a momentum above 0")
