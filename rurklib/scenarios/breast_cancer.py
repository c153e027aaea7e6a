"""``breast-cancer``: half of the malignant tumours forgotten, by a net of one hidden layer.

Thirty numbers a tumour and no picture: the embedded case that isn't images.
"""

from functools import partial

from rurklib.data import breast_cancer
from rurklib.scenarios.scenario import Scenario, bundled

TABULAR_METHODS = {
    "GD": {},
    "NGD": {},
    "GA": {},
    "NegGrad+": {},
    "SCRUB": {},
    "SSD": {},
    "RURK": {"tau": 0.05, "momentum": 0.0},
}

BREAST_CANCER = Scenario(
    name="breast-cancer",
    title="Wisconsin breast cancer",
    data=partial(bundled, breast_cancer),
    model="mlp",
    forget_class=0,
    epochs=100,
    batch_size=32,
    taus=(0.0, 0.02, 0.04, 0.06, 0.08, 0.1),
    methods=TABULAR_METHODS,
)
