"""DELETE: a student that is taught what Original would say if a forget sample weren't of its class.

Reference: Zhou et al., "Decoupled Distillation to Erase: A General Unlearning Method for Any
Class-centric Tasks", CVPR 2025 (arXiv 2503.23751).

Algorithm:
    1. T = Original's softmax on each forget sample, with the logit of its label masked: T_y = 0
    2. start from Original and minimise  KL(T || student)  over the forget set by SGD

With q the student's softmax among the other classes the loss comes apart, hence the name:
KL(T || p) = -log(1 - p_y) + KL(T || q). The first term forgets, the second retains: how Original
ranks the classes that are left. No retain sample is needed.

Notes on this implementation: T is found once, in eval mode, for no sample is augmented; the
official code asks Original at each step. It is made for whole classes. Where part of a class is
forgotten, which the paper leaves open, each sample's own label is masked: the student learns that
these samples are surely not of their class, which a re-trained model doesn't say of most, so with
many steps it over-forgets, and takes the retained ones of the class with it. With two classes it is
teaching the other label. A departure: the rate falls by half a cosine (RURK's B.2), which this
method's own paper doesn't have; ``schedule="constant"`` keeps it.

Hyper-parameters (the official code's, for a class of CIFAR-10): epochs 20, lr 1e-3 (of its command;
1e-4 in its configuration), momentum 0.9, weight_decay 0.0, batch_size 128, batchnorm "train",
schedule "cosine".
"""

import torch
from torch import Tensor, nn

from rurklib.tensors import Pair, as_float, evaluating, generator
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method
from rurklib.unlearn.soft_and_wrong_labels import distillation_kl

NEVER = -1e10  # a masked logit: its softmax is 0, and 0 times it is a number, as 0 * inf isn't


def masked(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Step 1: the model's logits [n, classes] of x [n, ...], those of the labels y masked."""
    with torch.no_grad(), evaluating(model):
        return model(as_float(x)).scatter(1, y[:, None], NEVER)


@method(
    "DELETE",
    sgd=SGD(epochs=20, lr=1e-3, weight_decay=0.0),
    search={"lr": (1e-5, 0.01), "epochs": (1, 20)},
)
def delete(model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sgd: SGD) -> nn.Module:
    """Distil Original without its say on the label, on the forget set."""
    x, y = forget
    pieces = zip(x.split(sgd.batch_size), y.split(sgd.batch_size), strict=True)
    teacher = torch.cat([masked(model, a, b) for a, b in pieces])
    return sgd.minimise(
        model,
        lambda x, target: distillation_kl(model(x), target, 1.0),
        sgd.batches((x, teacher), generator(seed, 1)),
        steps=sgd.steps(len(x)),
    )
