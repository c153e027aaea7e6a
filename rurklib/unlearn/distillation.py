"""Distillation: SCRUB, BadTeacher and DELETE. A student is taught by Original what to keep."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, as_float, evaluating, generator
from rurklib.train import SGD, NotNegative
from rurklib.unlearn.contract import Positive, Share, method
from rurklib.unlearn.fine_tuning import descend
from rurklib.unlearn.layers import reset


def distillation_kl(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """temperature^2 * KL(teacher || student) of the softened logits [n, classes], batch mean.

    ``F.kl_div(input, target)`` is KL(target || input): the teacher, whose gradient isn't taken,
    is the target.
    """
    student, teacher = (z if z.dtype == torch.float64 else z.float() for z in (student, teacher))
    log_student = F.log_softmax(student / temperature, 1)
    log_teacher = F.log_softmax(teacher / temperature, 1)
    kl = F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return temperature**2 * kl


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
    alpha: NotNegative = 0.001,
    gamma: NotNegative = 1.0,
    max_epochs: Annotated[int, Field(ge=0)] = 2,
    temperature: Positive = 4.0,
    sgd: SGD,
) -> nn.Module:
    """SCRUB: a student that obeys its teacher on the retain set and contradicts it on the other.

    Reference: Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023.

    Algorithm:
        1. teacher <- Original, frozen; student <- Original
        2. max-step, in the first ``max_epochs`` epochs: a pass over S_f that maximises KL
        3. min-step, in every epoch: a pass over S_r that minimises  alpha * KL + gamma * L(w, S_r)
        4. return the student;  KL = KL(teacher || student) of the softened outputs

    Notes on this implementation: the paper writes the sum E_r[alpha KL + gamma L] - E_f[KL]; its
    code alternates passes, and so does this, with one optimiser for all steps. With
    ``batchnorm="frozen"`` the student agrees with its teacher exactly at the start: the gradient of
    KL is 0 there, and the method hardly moves. In train mode, the code's and the default, the
    statistics of a batch of forget samples set the two apart. The defaults are the RURK paper's.
    """
    if max_epochs > sgd.epochs:
        raise checks.InputError(
            f"max_epochs = {max_epochs}: expected at most epochs = {sgd.epochs}; "
            "a pass over forget comes before a pass over retain"
        )
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
        student = model(x)
        kl = distillation_kl(student, target, temperature)
        return -kl if step == "max" else alpha * kl + gamma * F.cross_entropy(student, y)

    away, near = (a_pass.steps(len(sets[step][0])) for step in ("max", "min"))
    steps = near * sgd.epochs + away * max_epochs
    return sgd.minimise(model, loss, schedule(), steps=steps)  # the student's weights alone


@method(
    "BadTeacher",
    sgd=SGD(epochs=1, weight_decay=0.0),
    search={
        "lr": (1e-3, 0.3),
        "epochs": (1, 10),
        "retain_share": (0.1, 1.0),
        "temperature": (0.5, 4.0),
    },
)
def bad_teacher(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    temperature: Positive = 1.0,
    retain_share: Share = 0.3,
    sgd: SGD,
) -> nn.Module:
    """BadTeacher: a student that keeps what Original says and forgets by a blank net.

    Reference: Chundawat, Tarun, Mandal & Kankanhalli, "Can Bad Teaching Induce Forgetting?
    Unlearning in Deep Networks Using an Incompetent Teacher", AAAI 2023.

    Algorithm:
        1. student <- Original; competent teacher <- Original; incompetent teacher <- the same net,
           initialised at random and never trained
        2. minimise  KL(T || student)  by SGD, averaged over retain and forget samples alike, with T
           the competent teacher's output for a retain sample, the other's for a forget sample

    Notes on this implementation: as in the paper, a share of the retain set does, drawn once.
    Retain and forget samples share batches. Both teachers are in eval mode. The paper's optimiser
    is Adam.
    """
    competent, incompetent = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    reset([incompetent.requires_grad_(True)], seed)
    n = math.ceil(retain_share * len(retain[0]))
    some = torch.randperm(len(retain[0]), generator=generator(seed, 3))[:n].to(retain[0].device)
    x = torch.cat([retain[0][some], forget[0]])
    forgotten = torch.arange(len(x), device=x.device) >= n

    def loss(x: Tensor, forgotten: Tensor) -> Tensor:
        with torch.no_grad():
            target = torch.where(forgotten[:, None], incompetent(x), competent(x))
        return distillation_kl(model(x), target, temperature)

    return descend(model, loss, (x, forgotten), seed=seed, sgd=sgd)


@method(
    "DELETE",
    sgd=SGD(epochs=20, lr=1e-3, weight_decay=0.0),
    search={"lr": (1e-5, 0.01), "epochs": (1, 20)},
)
def delete(model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sgd: SGD) -> nn.Module:
    """DELETE: a student that is taught what Original would say if a forget sample weren't of its
    class.

    Reference: Zhou et al., "Decoupled Distillation to Erase: A General Unlearning Method for Any
    Class-centric Tasks", CVPR 2025 (arXiv 2503.23751).

    Algorithm:
        1. T = Original's softmax on each forget sample, with the logit of its label masked: T_y = 0
        2. start from Original and minimise  KL(T || student)  over the forget set by SGD

    With q the student's softmax among the other classes the loss comes apart, hence the name: KL(T
    || p) = -log(1 - p_y) + KL(T || q). The first term forgets, the second retains: how Original
    ranks the classes that are left. No retain sample is needed.

    Notes on this implementation: T is found once, in eval mode; the official code asks Original at
    each step. It is made for whole classes: where part of a class is forgotten the student learns
    that a sample is surely not of its class, which a re-trained model doesn't say of most, so with
    many steps it over-forgets. The defaults are the official code's for a class of CIFAR-10.
    """
    x, y = forget
    with torch.no_grad(), evaluating(model):
        logits = torch.cat([model(as_float(batch)) for batch in x.split(sgd.batch_size)])
    teacher = logits.scatter(1, y[:, None], -1e10)  # softmax 0; with -inf KL would have 0 * inf

    def loss(x: Tensor, target: Tensor) -> Tensor:
        return distillation_kl(model(x), target, 1.0)

    return descend(model, loss, (x, teacher), seed=seed, sgd=sgd)
