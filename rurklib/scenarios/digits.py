"""``digits``: half of the eights forgotten by a small CNN; real images, no download, minutes.

Images of 8x8 pixels need a larger tau than CIFAR's 0.03. GD, GA and NegGrad+ have the paper's
hyper-parameters (their functions' defaults). RURK's were chosen on Originals of seeds 100 ... 107
and references of seeds 0 ... 7, none of which a study reports, so that the mean curve over those
Originals lies inside the null band; single Originals still end on either side of it. What made it
possible: BatchNorm frozen, lambda_f + lambda_a below |S_f| / |S_r| = 0.05 (so that a retained eight
pulls harder than a forgotten one pushes), many small clipped steps.
"""

from rurklib.data import digits
from rurklib.scenarios.scenario import Scenario

DIGITS = Scenario(
    name="digits",
    title="scikit-learn's handwritten digits, half of the eights forgotten",
    data=digits,
    model="small-cnn",
    forget_class=8,
    split_seed=4,
    references=8,
    weight_decay=2e-3,
    taus=(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    methods={
        "GD": {},
        "GA": {},
        "NegGrad+": {},
        "RURK": {
            "tau": 0.1,
            "lambda_f": 0.023,
            "lambda_a": 0.001,
            "epochs": 16,
            "lr": 0.01,
            "momentum": 0.9,
            "weight_decay": 2e-3,
            "clip": 0.1,
            "batch_size": 64,
            "batchnorm": "frozen",
        },
    },
)
