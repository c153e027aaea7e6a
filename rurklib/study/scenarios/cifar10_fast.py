"""``cifar10-fast``: CIFAR-10 by a ResNet-9 in 24 epochs, so that twenty re-trained models are
affordable; for a GPU.

    rurk study --scenario cifar10-fast

Data, request, seeds and methods are those of ``cifar10``; net and schedule are D. Page's ("How to
train your ResNet", 2018), but for his cut-outs, with a cosine where he has a line. Labels aren't
smoothed and nothing is whitened: smoothing moves the confidences that attacks and margins read, and
a whitening layer fitted on training images would carry the forget set into the re-trained models.
The methods have the paper's values for ResNet-18, which are not tuned for this net.
"""

from dataclasses import replace

from rurklib.study.scenarios.cifar10 import CIFAR10

CIFAR10_FAST = replace(
    CIFAR10,
    name="cifar10-fast",
    title="CIFAR-10 in 24 epochs",
    model="resnet9",
    references=20,
    epochs=24,
    lr=0.4,
    batch_size=512,
    warmup=5.0,
    nesterov=True,
    label_smoothing=0.0,
    perturbations=("gaussian",),
    paper={},
)
