"""RandomLabels: keep training on everything, with wrong labels on the forget set.

Reference: Golatkar, Achille & Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020 (a
baseline); Graves, Nagisetty & Ganesh, "Amnesiac Machine Learning", AAAI 2021 ("unlearning").

Algorithm:
    1. start from Original
    2. each forget sample is given one of the wrong labels, all alike, and keeps it
    3. minimise the loss of retain and relabelled forget set together by SGD, for ``epochs`` passes

Notes on this implementation: a label is drawn once, as Graves et al. relabel their data set; SalUn
(:mod:`rurklib.unlearn.salun`) draws anew in each pass. A sample of either set counts the same, so a
small forget set is a small share of each batch. The more passes, the better the wrong labels are
learnt by heart: samples that are nearly never right give themselves away too. A departure: the rate
falls by half a cosine (RURK's B.2), which this method's own paper doesn't have;
``schedule="constant"`` keeps it.

Hyper-parameters (the defaults of later papers' baselines, for these give none): epochs 10, lr 1e-2,
momentum 0.9, weight_decay 5e-4, batch_size 128, batchnorm "train", schedule "cosine".
"""

import torch
from torch import nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method
from rurklib.unlearn.soft_and_wrong_labels import wrong_labels


@method(
    "RandomLabels",
    sgd=SGD(weight_decay=5e-4),
    search={"lr": (1e-4, 0.1), "epochs": (1, 20)},
)
def random_labels(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sgd: SGD
) -> nn.Module:
    """Fine-tune on the retain set and on the forget set with wrong labels."""
    classes = checks.logits(model, *retain)
    drawn = wrong_labels(forget[1], classes, generator(seed, 3, device=forget[1].device))
    data = torch.cat([retain[0], forget[0]]), torch.cat([retain[1], drawn])
    return sgd.fine_tune(model, data, seed=seed)
