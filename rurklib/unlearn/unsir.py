"""UNSIR: noise that Original is as wrong about as can be is taught as the class to forget.

Reference: Tarun, Chundawat, Mandal & Kankanhalli, "Fast Yet Effective Machine Unlearning", IEEE
TNNLS 2024 (arXiv 2111.08947).

Algorithm:
    1. for each class y to forget: noise N maximises  L(w, (N, y)) - lam * ||N||^2  at Original
    2. impair: from Original minimise the loss on retain samples and noise (N, y) together by SGD
    3. repair: minimise the loss on the retain set alone by SGD, at a lower rate

Notes on this implementation: it forgets classes, and looks at the labels of the forget samples and
never at the samples. Where part of a class is forgotten the noise stands for the class all the
same: step 2 unlearns it while the retained samples of it teach it, and step 3 brings back as much
of it as they can. Forgotten, retained and unseen samples of the class are treated alike but for
what Original remembers of them. How many steps there are matters: one pass over digits, seven, was
too few to unlearn anything, two or three passes lost the class.

The paper leaves open how much noise a batch holds; here as much as retained samples, our choice:
the official code means to put in 5,120 a class, by a slip puts in 60, and takes 1,000 retained
samples a class, this all of them. It runs Adam at both steps, this SGD at Adam's rates. It has
BatchNorm in train mode throughout; here the noise is found at Original in eval mode. It gives the
noise of every class the label 0, taken as a slip. Its noise is unbounded and in units after
normalisation; here it stays within the bounds of an input, and lam is in units of the input. A
departure: the rate of steps 2 and 3 falls by half a cosine (RURK's B.2), which this method's own
paper doesn't have; ``schedule="constant"`` keeps it.

Hyper-parameters (the official code's): steps 40 (of Adam, at a rate of 0.1, for the noise), lam
0.1, samples 256 (of noise, for each class), epochs 1 (of each of impair and repair), lr 0.02
(impair), repair_lr 0.01; momentum 0.9, weight_decay 0.0, batch_size 128 (256 there), batchnorm
"train", schedule "cosine".
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.model_state import evaluating
from rurklib.rng import generator
from rurklib.samples import Bounds, Pair, as_float
from rurklib.train.loop import Batch, cycled
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method

RATE = 0.1  # of Adam, in units of the input


def error_maximising(
    model: nn.Module, noise: Tensor, y: Tensor, *, steps: int, lam: float, bounds: Bounds
) -> Tensor:
    """Step 1, from ``noise`` [n, ...]: inputs inside ``bounds`` with a large loss for labels y."""
    low, high = (-torch.inf, torch.inf) if bounds is None else bounds
    noise = noise.clamp(low, high).requires_grad_()
    adam = torch.optim.Adam([noise], lr=RATE)
    with evaluating(model), torch.enable_grad():
        for _ in range(steps):
            # Sums: how much noise there is can't change the gradient of any.
            gain = F.cross_entropy(model(noise), y, reduction="sum") - lam * noise.square().sum()
            (noise.grad,) = torch.autograd.grad(-gain, noise)
            adam.step()
            noise.data.clamp_(low, high)
    return noise.detach()


@method(
    "UNSIR",
    sgd=SGD(epochs=1, lr=0.02, weight_decay=0.0),
    search={"lr": (1e-3, 0.1), "repair_lr": (1e-3, 0.1), "epochs": (1, 5), "lam": (0.01, 1.0)},
)
def unsir(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    steps: int = 40,
    lam: float = 0.1,
    samples: int = 256,
    repair_lr: float = 0.01,
    sgd: SGD,
    bounds: Bounds = (0.0, 1.0),
) -> nn.Module:
    """Impair by noise in the place of the forgotten classes, then repair on the retain set."""
    checks.number("lam", lam, low=0.0)
    checks.count("samples", samples)
    repair = replace(sgd, lr=repair_lr)
    one = as_float(retain[0][:1])
    y = forget[1].unique().repeat_interleave(samples)
    noise = torch.randn(
        (len(y), *one.shape[1:]),
        generator=generator(seed, 3, device=one.device),
        device=one.device,
        dtype=one.dtype,
    )
    noise = error_maximising(model, noise, y, steps=steps, lam=lam, bounds=bounds)

    def loss(retained: Batch, noisy: Batch) -> Tensor:
        x, y = (torch.cat(both) for both in zip(retained, noisy, strict=True))
        return F.cross_entropy(model(x), y)

    retained = sgd.batches(retain, generator(seed, 1))
    noisy = cycled(noise, y, size=sgd.batch_size, generator=generator(seed, 2))
    data = zip(retained, noisy, strict=False)
    sgd.minimise(model, loss, data, steps=sgd.steps(len(retain[0])))
    return repair.fine_tune(model, retain, seed=seed)
