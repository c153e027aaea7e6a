"""``iris``: half of the versicolors forgotten, 150 flowers by four lengths.

The embedded case that is smaller still: twenty forget samples, so that only a large effect shows.
"""

from functools import partial

from rurklib.data import iris
from rurklib.scenarios.breast_cancer import TABULAR_METHODS
from rurklib.scenarios.scenario import Scenario, bundled

IRIS = Scenario(
    name="iris",
    title="Fisher's Iris",
    data=partial(bundled, iris),
    model="mlp",
    forget_class=1,
    epochs=100,
    batch_size=16,
    taus=(0.0, 0.02, 0.04, 0.06, 0.08, 0.1),
    methods=TABULAR_METHODS,
)
