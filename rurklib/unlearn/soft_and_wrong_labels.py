"""The divergence by which a student learns from a teacher: SCRUB's and BadTeacher's.

Wrong labels, drawn alike: what relabelling methods and a variant of RURK teach.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rurklib import checks


def distillation_kl(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """temperature^2 * KL(teacher || student) of the softened logits [n, classes], batch mean.

    ``F.kl_div(input, target)`` is KL(target || input): the teacher, whose gradient isn't taken,
    is the target.
    """
    log_student = F.log_softmax(student / temperature, 1)
    log_teacher = F.log_softmax(teacher / temperature, 1)
    kl = F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return temperature**2 * kl


def wrong_labels(y: Tensor, classes: int, generator: torch.Generator) -> Tensor:
    """A label other than ``y`` in 0 ... ``classes`` - 1 for each sample, all wrong labels equally
    likely. ``y`` is int64 [n]; ``generator`` is on its device. Raises InputError for one class."""
    if classes < 2:
        raise checks.InputError(f"{classes} output: expected two classes at least, to be wrong in")
    shift = torch.randint(1, classes, y.shape, generator=generator, device=y.device)
    return (y + shift) % classes
