"""Re-learn time: how long until the model knows the forget set as well as Original did.

Reference: Golatkar et al. 2020a; Hsu et al. 2025, sec. 5: fine-tune the unlearned model m until
L(m, S_f) <= (1 + eta) L(Original, S_f), eta = 0.05, for at most 30 epochs (printed ">30").
A short time means that the knowledge was hidden rather than removed; compare it with Re-train's.

Notes on this implementation: the paper gives neither the data nor the optimiser. The data is the
forget set alone, the optimiser SGD with momentum 0.9 at a constant lr, with defaults that tell
re-trained models apart on digits; compare only numbers made with one lr and one forget set. The net
stays in eval mode, for a batch of one class would drag BatchNorm's statistics away; frozen weights
learn as well. An epoch is two steps where a hundred samples are forgotten, and often one or two do
for every model, so :func:`relearn_steps` counts steps, at a tenth of the rate.
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
from rurklib.train import batches

ETA, MOMENTUM = 0.05, 0.9
BATCH, MOST = 64, 128  # samples in a batch of an epoch, and at most in a step of relearn_steps


@metric(relearn_epochs=("re-learn", 1))
def relearn_epochs(
    model: nn.Module, original: nn.Module, forget: Pair, *, lr: float = 3e-3, cap: int = 30
) -> int:
    """Epochs of fine-tuning on ``forget`` until its loss is at most (1 + ETA) times Original's.

    forget (x [n, ...], y int64 [n]) on the models' device. Returns 0 if ``model`` meets the
    criterion as it is, and cap + 1, to be read as "> cap", if it doesn't within ``cap`` epochs.
    Both models are left as found. Raises InputError if ``forget`` is empty or doesn't fit a model.
    """
    order = generator(0, 20)
    passes = (batches(*forget, size=BATCH, epochs=1, generator=order) for _ in range(cap))
    return _until(model, original, forget, passes, lr)


@metric(relearn_steps=("re-learn steps", 0))
def relearn_steps(
    model: nn.Module, original: nn.Module, forget: Pair, *, lr: float = 3e-4, cap: int = 300
) -> int:
    """As :func:`relearn_epochs`, but steps on all of ``forget`` at once, or on its first MOST."""
    some = forget[0][:MOST], forget[1][:MOST]
    return _until(model, original, some, repeat([some], cap), lr)


def few_shots(
    model: nn.Module, shots: Pair, probe: Pair, *, steps: int = 20, lr: float = 3e-3
) -> Tensor:
    """Fine-tune on a few samples of the class that aren't the forgotten ones; what comes back?

    ``steps`` of SGD on all ``shots`` (x [k, ...], y int64 [k]) at once. Returns the logit margins
    of ``probe`` after each step, float64 [steps + 1, n], row 0 being the model's own. Held-out
    samples of the class gain by it too: compare with these, and with re-trained models.
    """
    x, y = as_float(probe[0]), probe[1]
    curve = []
    for learner in _learning(model, repeat([shots], steps), lr):
        with torch.no_grad():
            curve.append(logit_margin(learner(x), y))
    return torch.stack(curve)


def _until(model: nn.Module, original: nn.Module, forget: Pair, passes: Iterable, lr: float) -> int:
    """After how many passes the loss was low enough; one more than there are if it never was."""
    x, y = checks.pair(forget, "forget", bounds=None)
    checks.logits(model, x, y, "model")
    checks.logits(original, x, y, "original")
    enough = (1 + ETA) * F.cross_entropy(logits(original, x).double(), y).item()
    for count, learner in enumerate(_learning(model, passes, lr)):
        if F.cross_entropy(logits(learner, x).double(), y).item() <= enough:
            return count
    return count + 1


def _learning(model: nn.Module, passes: Iterable, lr: float) -> Iterator[nn.Module]:
    """A copy of the model as it is, and again after each of several passes over batches."""
    learner = copy.deepcopy(model).eval().requires_grad_(True)
    optimizer = torch.optim.SGD(learner.parameters(), lr=lr, momentum=MOMENTUM)
    yield learner
    for one in passes:
        with torch.enable_grad():
            for x, y in one:
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(learner(as_float(x)), y).backward()
                optimizer.step()
        yield learner
