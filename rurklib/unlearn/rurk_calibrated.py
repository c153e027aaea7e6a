"""RURK-calibrated: forget samples moved to where they would be without having been seen, no lower.

RURK (:mod:`rurklib.unlearn.rurk`) pushes the accuracy on perturbed forget samples down by a fixed
weight; how far it falls hangs on Original's seed, and too far gives the samples away as well. Here
the push has an end, and it comes from both sides.

Algorithm:
    1. estimate, for each tau of a grid 0 ... ``tau``, the margins of perturbed forget samples under
       re-trained models (:mod:`rurklib.unlearn.target`)
    2. start from Original; for each batch of the retain set draw a tau of the grid, and perturb a
       batch of the forget set and one of retained samples of the same classes
    3. minimise  L(w, retain) + lambda_m * D(margins of forget copies, target at tau)
                              + lambda_k * D(margins of retained copies, theirs under Original
                                             plus the shift of their class's prior)
    D compares sorted margins with quantiles, so it is 0 once they are spread like the target

Notes on this implementation: not in the paper. A target that is wrong is reached all the same, so
all hangs on the estimate. The default trains a net from scratch for a few epochs, which is a share
of re-training, and most of the cost. ``held_out`` are samples that nobody trained on and on which
nothing is reported (of which classes: see target.py). They only set the target; no gradient passes
through them. Nothing of the class need be retained. BatchNorm is frozen, as in RURK. With
lambda_m = lambda_k = 0 this is GD.

What it buys, on ``digits`` (eight Originals, twelve references; tests/benchmarks/calibrated.py, all
of it in figures/ablations/calibrated_digits.csv). Inside: at how many taus the ratio is in the
references' range, and the mean margin in the prediction for a further one. Spread: of the mean
margin over Originals, in standard deviations of the references. Cost: of re-training.

    |                                  | inside, % | spread | Avg. Gap |  cost |
    | RURK                             |   52 / 59 |    2.1 |      2.7 |  16 % |
    | goal linked, 6 epochs            |   59 / 71 |    0.9 |      1.1 |  51 % |
    | goal prior, held-out samples     |   29 / 48 |    2.4 |      2.3 |  28 % |
    | tuned by 24 trials (score: hits) |   27 / 55 |    3.3 |      2.7 |  35 % |
    | re-trained, 10 of 30 epochs      |   89 / 96 |    1.0 |      1.0 |  37 % |

So it is nearer than RURK and hangs less on Original's seed; and a net that is re-trained from
scratch for a third of the epochs is nearer still, and cheaper. On ``cifar5``
(eight Originals, six references; calibrated_cifar5.csv) RURK is never inside and ends at a ratio of
0.48; "linked", 8 epochs, is inside at 71 / 88 %, with a gap of 3.2 against 16.5 and a spread of 1.6
against 4.2; a short re-training (67 / 100 %, 5.2) hasn't learnt the retain set yet. It costs 116 %
of re-training there.
On ``fashion`` (eight Originals, six references; calibrated_fashion.csv) Original has a ratio of
2.12; RURK, by 24 trials of tuning, has 0.83 and is inside at 50 %; "linked", 8 epochs, is inside
at 100 / 69 %, with a gap of 2.0 against 5.6 and a spread of 1.9 against 3.1, for 55 %; the target
from held-out samples, biased by the class's share, reaches 1.63; a short re-training 100 / 85 %.
Where one can re-train, do; RURK-calibrated is in no scenario for this reason. The digits were
looked at twice: after the first table the target was made cheaper, on other splits.

Hyper-parameters: tau 0.2 (units of the input), grid 3 (taus, 0 and ``tau`` among them), goal
"linked" (see target.py), references 1, reference_epochs 6, reference_lr 0.05, lambda_m 1, lambda_k
0.3, epochs 3, lr 0.02, momentum 0.9, weight_decay 5e-4, clip 1.0, batch_size 64; batch_size,
momentum and weight_decay also for the references.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import samples
from rurklib.data.rows import taken
from rurklib.models.logits import logit_margin
from rurklib.perturb.noise import gaussian
from rurklib.rng import generator
from rurklib.train.loop import Batch, BatchNorm, batches, cycled, descend
from rurklib.unlearn.contract import Pair, method
from rurklib.unlearn.target import Goal, estimated, kin_margins, matched


@method(
    "RURK-calibrated",
    search={
        "goal": ["linked", "references"],
        "reference_epochs": (4, 10),
        "lambda_m": (0.3, 3.0),
        "lambda_k": (0.1, 1.0),
        "lr": (0.005, 0.05),
        "epochs": (2, 4),
    },
)
def rurk_calibrated(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int = 0,
    held_out: Pair | None = None,
    tau: float = 0.2,
    grid: int = 3,
    goal: Goal = "linked",
    references: int = 1,
    reference_epochs: int = 6,
    reference_lr: float = 0.05,
    lambda_m: float = 1.0,
    lambda_k: float = 0.3,
    epochs: int = 3,
    lr: float = 0.02,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    clip: float | None = 1.0,
    batch_size: int = 64,
    batchnorm: BatchNorm = "frozen",
    bounds: samples.Bounds = (0.0, 1.0),
) -> nn.Module:
    """Fine-tune towards an estimate of what re-trained models show on perturbed forget samples."""
    taus = [tau * i / max(grid - 1, 1) for i in range(grid)]
    rest = {"batch_size": batch_size, "momentum": momentum, "weight_decay": weight_decay}
    training = {"epochs": reference_epochs, "lr": reference_lr, **rest}

    def aim() -> list[Tensor]:
        return estimated(
            goal,
            model,
            retain,
            forget,
            held_out,
            taus=taus,
            seed=seed,
            references=references,
            training=training,
            bounds=bounds,
        )

    target = aim()
    same = torch.isin(retain[1], forget[1].unique())
    kin = (taken(retain[0], same), retain[1][same])  # empty if nothing of the classes is retained
    kin_target = kin_margins(model, kin, retain, forget, taus=taus, seed=seed, bounds=bounds)
    noise = generator(seed, 3, device=retain[0].device)
    which = generator(seed, 5)

    def loss(kept: Batch, lost: Batch, beside: Batch) -> Tensor:
        at = int(torch.randint(grid, (), generator=which))
        near = torch.cat([lost[0], beside[0]])
        near = gaussian(near, taus[at], generator=noise, bounds=bounds)
        out = model(torch.cat([kept[0], near]))  # one pass: BatchNorm is frozen by default
        n = len(kept[1])
        found = logit_margin(out[n:], torch.cat([lost[1], beside[1]]))
        total = F.cross_entropy(out[:n], kept[1])
        total = total + lambda_m * matched(found[: len(lost[1])], target[at])
        if len(beside[1]):
            total = total + lambda_k * matched(found[len(lost[1]) :], kin_target[at])
        return total

    steps = -(-len(retain[0]) // batch_size)

    def data() -> Iterator[tuple[Batch, Batch, Batch]]:
        kept = batches(*retain, size=batch_size, epochs=epochs, generator=generator(seed, 1))
        lost = cycled(*forget, size=batch_size, generator=generator(seed, 2))
        beside = cycled(*kin, size=batch_size, generator=generator(seed, 4))
        for i, batch in enumerate(kept):
            if goal == "moving" and i and i % steps == 0:
                target[:] = aim()
            yield batch, next(lost), next(beside) if len(kin[0]) else (batch[0][:0], batch[1][:0])

    return descend(
        model,
        loss,
        data(),
        steps=epochs * steps,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        clip=clip,
        batchnorm=batchnorm,
    )
