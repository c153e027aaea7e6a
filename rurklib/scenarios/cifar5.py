"""``cifar5``: small CIFAR-5 by a small CNN from scratch, ten seconds a model on one core.

The paper's data: the first five CIFAR-10 classes, 200 + 200 images each, half of the airplanes
forgotten. The net is not the paper's (ResNet-18, pre-trained on all of CIFAR-10).
RURK was tuned on other models than those reported (Originals 100-102, references 2000-2005): ten
epochs with gradients clipped at 0.3 put its mean curve nearest to the references' there. It is
brittle: on other seeds the same values can leave it above the null band.
"""

from rurklib.data import cifar5
from rurklib.scenarios.scenario import Scenario

CIFAR5 = Scenario(
    name="cifar5",
    title="small CIFAR-5, half of the airplanes forgotten by a small CNN",
    data=cifar5,
    model="small-cnn-32",
    forget_class=0,
    epochs=15,
    taus=(0.0, 0.01, 0.02, 0.03, 0.05, 0.08),
    methods={
        "CR": {},
        "Fisher": {},
        "NTK": {},
        "GD": {},
        "NGD": {},
        "GA": {},
        "NegGrad+": {},
        "EU-k": {},
        "CF-k": {},
        "SCRUB": {},
        "SSD": {},
        "RURK": {},
    },
)
