"""``cifar10-cpu``: the paper's data and request, all of CIFAR-10, on two CPU cores.

40,000 training images (a fifth of every class validates, as in the paper), 2,000 of the 4,000
airplanes forgotten, the paper's seeds, radii and values of every method. The net is not the paper's
ResNet-18 of 137 epochs but :func:`rurklib.models.nets.fast_cnn`, trained for eight: it errs more,
so that its re-trained models recognise fewer forgotten images, and everything costs minutes. So
twelve re-trained models are affordable, and with them a band, which the paper doesn't have. Two
radii go beyond the paper's, to where its curves would go on. Beside the paper's nine methods stand
four that it doesn't have, with their authors' values, and the control of re-training for less long.

    rurk study --scenario cifar10-cpu --jobs 2 --tables-only     # all tables, no notebook
    rurk study --scenario cifar10-cpu --set path=cifar10.npz     # with every picture: hours more

In bfloat16 where the processor has it, training, unlearning and measuring alike (hits are those of
float32: :mod:`rurklib.residual.inference`). Two draws, not a hundred: chance in 4,000 copies a
radius is at most 2.2 % of the variance among re-trained models (first edition:
``git show 3a42100:tests/benchmarks/draws.py``), so that a band of
draws without end would be 1.1 % narrower. Whoever asks about single images needs more draws.
"""

from dataclasses import replace

from rurklib.study.scenarios.paper_scale import CIFAR10

CIFAR10_CPU = replace(
    CIFAR10,
    name="cifar10-cpu",
    title="CIFAR-10 by a small net in eight epochs",
    model="fast-cnn",
    references=12,
    recipe=replace(
        CIFAR10.recipe, epochs=8, lr=0.2, batch_size=256, warmup=2.0, nesterov=True,
        precision="auto",
    ),
    keep_every=2,
    taus=(*CIFAR10.taus, 0.06, 0.1),
    perturbations=("gaussian",),
    draws=2,
    methods={
        **CIFAR10.methods,
        "l1-sparse": {}, "RandomLabels": {}, "SalUn": {}, "BadTeacher": {}, "Retrain-quarter": {},
    },
)  # fmt: skip
