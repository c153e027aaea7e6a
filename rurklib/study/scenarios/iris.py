"""``iris``: half of the versicolors forgotten, 150 flowers by four lengths.

The embedded case that is smaller still: twenty forget samples, so that only a large effect shows.
Settings were chosen by ``rurk tune`` on a rehearsal (8 trials a method, Originals 900 and 901, four
references), for RURK with small batches and 12 trials, in a wider space. SSD is left out: what it
chose by two Originals destroyed others.
"""

from functools import partial

from rurklib.data.bundled import iris
from rurklib.study.scenarios.scenario import Scenario, bundled

IRIS = Scenario(
    name="iris",
    title="Fisher's Iris",
    data=partial(bundled, iris),
    model="mlp",
    forget_class=1,
    epochs=100,
    batch_size=16,
    taus=(0.0, 0.02, 0.04, 0.06, 0.08, 0.1),
    methods={
        "GD": {"epochs": 17, "lr": 0.0924},
        "NGD": {"epochs": 9, "lr": 0.139, "sigma": 0.0234},
        "GA": {"epochs": 4, "lr": 0.0063},
        "NegGrad+": {"beta": 0.173, "clip": 0.883, "epochs": 6, "lr": 0.02},
        "SCRUB": {"alpha": 0.00344, "epochs": 8, "lr": 0.0059, "max_epochs": 1},
        "RURK": {
            "batch_size": 16,  # or an epoch is one step
            "clip": 0.128,
            "epochs": 11,
            "lambda_a": 0.0263,
            "lambda_f": 0.225,
            "lr": 0.161,
            "momentum": 0.0,
            "tau": 0.197,
        },
    },
)
