"""SCRUB: a student that obeys its teacher on the retain set and contradicts it on the forget set.

Reference: Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023.

Algorithm:
    1. teacher <- Original, frozen; student <- Original
    2. max-step, in the first ``max_epochs`` epochs: a pass over S_f that maximises KL
    3. min-step, in every epoch: a pass over S_r that minimises  alpha * KL + gamma * L(w, S_r)
    4. return the student;  KL = KL(teacher || student) of the softened outputs

Notes on this implementation: the paper writes the sum E_r[alpha KL + gamma L] - E_f[KL]; its code
alternates passes, and so does this. KL is that code's: both outputs softened by a temperature,
times temperature^2. One optimiser runs through all steps, as in the code. A departure: its rate
falls by half a cosine (RURK's B.2), where the code cuts it in steps; ``schedule="constant"`` keeps
it. With ``batchnorm="frozen"`` the student starts where it agrees with its teacher exactly; there
the gradient of KL is 0, so the max-steps find nothing to enlarge and the method hardly moves. In
train mode, the code's and the default, it is the statistics of a batch of forget samples alone that
set the two apart. Epochs and temperature are those of the published settings with the same lr and
alpha; forget batches are smaller there (32), here one size serves both, so ``batch_size`` decides
how many max-steps there are.

Hyper-parameters (paper's defaults): alpha 0.001 (KL on retain), gamma 1.0 (cross-entropy on retain;
0.6 on CIFAR-10), lr 5e-4, momentum 0.9, weight_decay 5e-4, batch_size 128; not given there: epochs
3, max_epochs 2, temperature 4.0, batchnorm "train", schedule "cosine".
"""

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method
from rurklib.unlearn.soft_and_wrong_labels import distillation_kl


def scrub_loss(
    step: str,
    student: Tensor,
    teacher: Tensor,
    y: Tensor,
    *,
    alpha: float,
    gamma: float,
    temperature: float,
) -> Tensor:
    """What a step minimises: -KL in a "max" step, alpha * KL + gamma * cross-entropy in a "min"
    step. ``student`` and ``teacher`` are logits of one batch, of forget and retain samples."""
    kl = distillation_kl(student, teacher, temperature)
    if step == "max":
        return -kl
    return alpha * kl + gamma * F.cross_entropy(student, y)


@method(
    "SCRUB",
    sgd=SGD(epochs=3, lr=5e-4, weight_decay=5e-4),
    search={"lr": (1e-4, 1e-2), "alpha": (1e-3, 1.0), "epochs": (3, 10), "max_epochs": (1, 3)},
)
def scrub(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    alpha: float = 0.001,
    gamma: float = 1.0,
    max_epochs: int = 2,
    temperature: float = 4.0,
    sgd: SGD,
) -> nn.Module:
    """Alternate passes over forget (away from the teacher) and retain (with it)."""
    if checks.count("max_epochs", max_epochs, 0) > sgd.epochs:
        raise checks.InputError(
            f"max_epochs = {max_epochs}: expected at most epochs = {sgd.epochs}; "
            "a pass over forget comes before a pass over retain"
        )
    checks.number("temperature", temperature, low=1e-6)
    teacher = copy.deepcopy(model).eval()  # a copy: were it the student itself, KL would stay 0
    order = {"min": generator(seed, 1), "max": generator(seed, 2)}
    sets, a_pass = {"min": retain, "max": forget}, replace(sgd, epochs=1)

    def schedule() -> Iterator[tuple[str, Tensor, Tensor]]:
        for epoch in range(sgd.epochs):
            for step in ("max", "min") if epoch < max_epochs else ("min",):
                for x, y in a_pass.batches(sets[step], order[step]):
                    yield step, x, y

    def loss(step: str, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            target = teacher(x)
        return scrub_loss(
            step, model(x), target, y, alpha=alpha, gamma=gamma, temperature=temperature
        )

    away, near = (a_pass.steps(len(sets[step][0])) for step in ("max", "min"))
    steps = near * sgd.epochs + away * max_epochs
    return sgd.minimise(model, loss, schedule(), steps=steps)  # the student's weights alone
