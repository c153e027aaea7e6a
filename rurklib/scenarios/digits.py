"""``digits``: half of the eights forgotten by a small CNN; real images, no download, minutes."""

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
    taus=(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    methods={"GD": {}, "GA": {}, "NegGrad+": {}, "RURK": {}},
)
