"""Re-learn time: how long until the model knows the forget set as well as Original did.

Reference: Golatkar et al. 2020a; Hsu et al. 2025, sec. 5: fine-tune the unlearned model m until
L(m, S_f) <= (1 + eta) L(Original, S_f), eta = 0.05, for at most 30 epochs (printed ">30").
Few epochs mean that the knowledge was hidden rather than removed; the yardstick is Re-train.

Notes on this implementation: the paper gives neither the data nor the optimiser.

- Data: the forget set alone, as one who holds the samples and wants them back would do; with the
  retain set beside it, the count would mostly measure how long a large set takes.
- Optimiser: plain SGD at a constant lr, no weight decay. A schedule that falls to zero over 30
  epochs would make an epoch's worth depend on its number. The defaults are chosen on digits, where
  they tell re-trained models apart (7 ... 10 epochs); at lr 1e-2 all need a few, at 3e-4 most more
  than 30. Compare only numbers that were made with the same values and the same forget set.
- The net stays in eval mode: BatchNorm keeps its running statistics. A batch of one class would
  drag them away, and then the loss that is lowered is not the loss that is measured.
- Every weight learns, also those that the unlearning method had frozen.
- Original's loss can be 1e-4 and far less, where float32 losses are coarse or 0; logits are taken
  to float64 first, so the loss is good to six digits however small. Nothing is added to the
  criterion: Original itself needs 0 epochs by definition.
- An epoch is two steps where a hundred samples are forgotten, and on small CIFAR-5, Fashion-MNIST
  and others one or two do for every model: the count in epochs can't tell them apart there. So
  :func:`relearn_steps` counts beside it, at a tenth of the rate and a step at a time.
"""

import copy
from collections.abc import Iterable, Iterator
from itertools import repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.metrics.registry import metric
from rurklib.tensors import Pair, as_float, generator, logit_margin, logits
from rurklib.train import Batch, batches


@metric(relearn_epochs=("re-learn", 1))
def relearn_epochs(
    model: nn.Module,
    original: nn.Module,
    forget: Pair,
    *,
    lr: float = 3e-3,
    momentum: float = 0.9,
    batch_size: int = 64,
    eta: float = 0.05,
    cap: int = 30,
    seed: int = 0,
) -> int:
    """Epochs of fine-tuning on ``forget`` until its loss is at most (1 + eta) times Original's.

    forget (x [n, ...], y int64 [n]) on the models' device; ``seed`` decides the order of batches.
    Returns 0 if ``model`` meets the criterion as it is, and cap + 1, to be read as "> cap", if it
    doesn't within ``cap`` epochs. Both models are left as found. Raises InputError if the forget
    set is empty or doesn't fit a model, or a value is out of range.
    """
    x, y = _checked(model, original, forget, batch_size=batch_size, cap=cap)
    order = generator(seed, 20)
    passes = (batches(x, y, size=batch_size, epochs=1, generator=order) for _ in range(cap))
    return _until(_learning(model, passes, lr, momentum), original, x, y, eta, cap)


@metric(relearn_steps=("re-learn steps", 0))
def relearn_steps(
    model: nn.Module,
    original: nn.Module,
    forget: Pair,
    *,
    lr: float = 3e-4,
    momentum: float = 0.9,
    eta: float = 0.05,
    cap: int = 300,
    most: int = 128,
) -> int:
    """Steps on the loss of *all* of ``forget`` until it is at most (1 + eta) times Original's.

    The finer clock: full gradients, so nothing is drawn and a step is the same work whatever the
    seed. Of a larger forget set the first ``most`` are all that is learned and looked at. Otherwise
    as :func:`relearn_epochs`: 0 if ``model`` meets the criterion as it is, cap + 1 for "> cap".
    """
    x, y = _checked(model, original, forget, cap=cap, most=most)
    x, y = x[:most], y[:most]
    return _until(_learning(model, repeat([(x, y)], cap), lr, momentum), original, x, y, eta, cap)


def few_shots(
    model: nn.Module,
    shots: Pair,
    probe: Pair,
    *,
    steps: int = 20,
    lr: float = 3e-3,
    momentum: float = 0.9,
) -> tuple[nn.Module, Tensor]:
    """Fine-tune on a few samples of the class that aren't the forgotten ones; what comes back?

    ``steps`` of SGD on all ``shots`` (x [k, ...], y int64 [k]) at once, as in
    :func:`relearn_epochs`. Returns the model at the end, in eval mode, and the logit margins of the
    samples of ``probe`` after each step, float64 [steps + 1, n], row 0 being the model's own.
    Recovery of forget samples means something beside that of held-out samples of the class, which
    such a fine-tuning raises as well, and beside re-trained models. ``model`` is left as found.
    """
    x, y = checks.pair(shots, "shots", bounds=None)
    px, py = checks.pair(probe, "probe", bounds=None)
    checks.logits(model, x, y, "model")
    checks.logits(model, px, py, "model")
    checks.count("steps", steps, 0)
    x, px, curve = as_float(x), as_float(px), []
    for learner in _learning(model, repeat([(x, y)], steps), lr, momentum):
        with torch.no_grad():
            curve.append(logit_margin(learner(px), py))
    return learner, torch.stack(curve)


def _checked(model: nn.Module, original: nn.Module, forget: Pair, **counts: int) -> Pair:
    """The forget samples, if both models and all counts are of use."""
    x, y = checks.pair(forget, "forget", bounds=None)
    checks.logits(model, x, y, "model")
    checks.logits(original, x, y, "original")
    for name, value in counts.items():
        checks.count(name, value)
    return x, y


def _until(
    learning: Iterator[nn.Module], original: nn.Module, x: Tensor, y: Tensor, eta: float, cap: int
) -> int:
    """How often the learner had learned when its loss was low enough; cap + 1 if it never was."""
    enough = (1 + checks.number("eta", eta, 0.0)) * _loss(original, x, y)
    return next((e for e, m in enumerate(learning) if _loss(m, x, y) <= enough), cap + 1)


def _learning(
    model: nn.Module, passes: Iterable[Iterable[Batch]], lr: float, momentum: float
) -> Iterator[nn.Module]:
    """A copy of the model as it is, and again after each of several passes over batches."""
    learner = copy.deepcopy(model).eval().requires_grad_(True)
    for name, value in (("lr", lr), ("momentum", momentum)):
        checks.number(name, value, 0.0)
    optimizer = torch.optim.SGD(learner.parameters(), lr=lr, momentum=momentum)
    yield learner
    for one in passes:
        with torch.enable_grad():
            for x, y in one:
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(learner(as_float(x)), y).backward()
                optimizer.step()
        yield learner


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Mean cross-entropy in eval mode, in float64."""
    return float(F.cross_entropy(logits(model, x).double(), y))
