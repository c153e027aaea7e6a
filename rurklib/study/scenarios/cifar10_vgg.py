"""``cifar10-vgg``: ``cifar10`` by VGG-11 with BatchNorm, the paper's second net; for a GPU.

    rurk study --scenario cifar10-vgg

The paper has VGG-11 on small CIFAR-5 only, with the protocol of its ResNet-18; so it is here, on
CIFAR-10. BatchNorm is ours: the paper doesn't say which VGG-11.
"""

from dataclasses import replace

from rurklib.study.scenarios.cifar10 import CIFAR10

CIFAR10_VGG = replace(CIFAR10, name="cifar10-vgg", title="CIFAR-10", model="vgg11", paper={})
