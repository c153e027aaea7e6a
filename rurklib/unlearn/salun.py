"""SalUn: wrong labels for the forget set, learnt by the weights alone that it depends on.

Reference: Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in
Both Image Classification and Generation", ICLR 2024 (arXiv 2310.12508).

Algorithm:
    1. g = gradient of L(w, S_f) at Original
    2. mask = the ``share`` of all weights with the largest |g| (the paper: |g| above its median)
    3. in each pass every forget sample is given one of the wrong labels, all alike
    4. minimise the loss of retain and relabelled forget set together by SGD, for ``epochs`` passes;
       weights outside the mask stay as they are, to the bit

Notes on this implementation: the mask ranks the weights of all layers together, as the official
code; g is taken in eval mode. Weight decay enters through the loss, so that it too stops at the
mask. The wrong labels exclude the true one, as the paper says (its code includes it).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.train import SGD, Batch, batches
from rurklib.unlearn.contract import Share, method
from rurklib.unlearn.fine_tuning import wrong_labels
from rurklib.unlearn.fisher import mean_of


def saliency_mask(gradient: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Step 2: 1 for round(share * weights) of the weights, those with the largest |gradient| of
    all, and 0 for the others; by name, shaped like ``gradient``."""
    size = torch.cat([g.flatten() for g in gradient.values()]).abs()
    mask = torch.zeros_like(size)
    mask[size.topk(round(share * len(size))).indices] = 1
    parts = mask.split([g.numel() for g in gradient.values()])
    return {name: m.view_as(g) for (name, g), m in zip(gradient.items(), parts, strict=True)}


@method(
    "SalUn",
    sgd=SGD(lr=0.013, weight_decay=5e-4),
    search={"lr": (1e-4, 0.1), "share": (0.1, 1.0), "epochs": (1, 20)},
)
def salun(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, share: Share = 0.5, sgd: SGD
) -> nn.Module:
    """Fine-tune the salient weights on the retain set and on the forget set with wrong labels."""
    classes = checks.logits(model, *retain)
    x = torch.cat([retain[0], forget[0]])
    order = generator(seed, 1)
    noise = generator(seed, 3, device=x.device)
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradient = mean_of(torch.positive, model, *forget)
    mask = saliency_mask({name: gradient[name] for name in learned}, share)

    def passes() -> Iterator[Batch]:
        for _ in range(sgd.epochs):
            y = torch.cat([retain[1], wrong_labels(forget[1], classes, noise)])
            yield from batches(x, y, size=sgd.batch_size, epochs=1, generator=order)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        decay = torch.stack([p.square().sum() for p in learned.values()]).sum()
        return F.cross_entropy(model(x), y) + sgd.weight_decay / 2 * decay

    # A hook sees the whole gradient of a weight, decay included, before the optimiser does.
    hooks = [p.register_hook(mask[name].mul) for name, p in learned.items()]
    without_decay = replace(sgd, weight_decay=0.0)
    without_decay.minimise(model, loss, passes(), steps=sgd.steps(len(x)))
    for hook in hooks:
        hook.remove()
    return model
