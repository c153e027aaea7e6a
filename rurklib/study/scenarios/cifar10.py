"""``cifar10``: the paper's own scale (Table 1 and Fig. 2), half of the airplanes; for a GPU.

    rurk study --scenario cifar10 --set perturbations=gaussian     # Table 1 and Fig. 2
    rurk study --scenario cifar10                                  # and Figs. C.7 and C.8

50,000 training images, of which 20 % of every class are set aside for validation; 4,000 a class are
trained on and 2,000 airplanes forgotten. Every method of the paper's table has the paper's
hyper-parameters. Where the paper says nothing, our choice and its reason are in
``figures/cifar10/README.md``, where the outcome is set beside the paper's.

At a size for a CPU, to see that everything runs (minutes):

    rurk study --scenario cifar10 --set epochs=1 --set train_images=400 --set test_images=200 \\
        --set references=2 --set draws=2 --set augment=none
"""

from typing import Any

from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.sources.cifar_fashion import cifar10

# Table 1, B.2 and B.3 of the paper. What isn't named is a method's default, which is the paper's.
PAPERS: dict[str, dict[str, Any]] = {
    "GD": {},
    "NGD": {"epochs": 2},
    "GA": {},
    "NegGrad+": {},
    "EU-k": {},
    "CF-k": {},
    "SCRUB": {"gamma": 0.6},
    "SSD": {},
    "RURK": {"lambda_a": 0.00045},
}


CIFAR10 = Scenario(
    name="cifar10",
    title="CIFAR-10",
    data=cifar10,
    train_images=0,
    test_images=0,
    validation_of_train=0.2,
    model="resnet18",
    forget_class=0,
    epochs=137,
    lr=0.01,
    batch_size=128,
    augment="flip-crop",
    precision="auto",
    keep_every=5,
    seeds=(131, 42, 7),
    taus=(0.0, 0.0031, 0.0063, 0.0094, 0.0125, 0.0157, 0.0188, 0.022, 0.0251, 0.0282, 0.0314),
    perturbations=("gaussian", "fgsm", "pgd"),
    methods=PAPERS,
    paper={"table": "paper_table_1.csv", "curves": "paper_fig_2.csv"},
)
