"""The mapping attack: is there a copy about which the unlearned model says what Original said?

Reference: UMA, "unlearning mapping attack" (arXiv 2504.14798): an attacker with the unlearned model
m, white box, and Original's answers o(x) on the sample itself looks for

    min over ||x' - x||_inf <= tau of KL(softmax o(x) || softmax m(x')),

by projected signed gradient steps. Written from the abstract's idea and the definition; the search
keeps the best copy that it saw. tau = 0 is what m says as it is.

A method that starts from Original ends near it on *every* sample, forgotten or not. So the level
alone tells descent, not memory: compare forget samples with held-out ones.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import samples
from rurklib.model_state import evaluating
from rurklib.perturb.ball import inside


def unlearning_mapping(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    tau: float,
    *,
    steps: int = 20,
    bounds: samples.Bounds = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """The copies x' whose answer is nearest to ``targets``, and how near: KL in nats, float64 [n].

    Shapes: x [n, ...] float inside ``bounds``, targets logits [n, classes] (Original's on x).
    Steps of 2.5 tau / steps.
    """
    x, wanted = samples.as_float(x), targets.double().log_softmax(1)
    copies = best = x
    nearest = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    with evaluating(model):
        for k in range(steps + 1):
            with torch.enable_grad():
                asked = copies.detach().requires_grad_()
                answer = model(asked).double().log_softmax(1)
                far = F.kl_div(answer, wanted, reduction="none", log_target=True).sum(1)
                (g,) = torch.autograd.grad(far.sum(), asked)
            far = far.detach()
            better = (far < nearest).view(-1, *[1] * (x.ndim - 1))
            best, nearest = torch.where(better, copies, best), torch.minimum(far, nearest)
            if tau == 0 or k == steps:
                break
            d = (copies - 2.5 * tau / steps * g.sign() - x).clamp(-tau, tau)
            copies = inside(x, d, bounds)
    return best, nearest.clamp(min=0)  # a KL of 0 may come out as a rounding below it
