"""Numbers in columns and no picture, by a net of one hidden layer.

``breast-cancer``: half of the malignant tumours forgotten, thirty numbers each. ``iris``: half of
the versicolors, four lengths each: twenty forget samples, so that only a large effect shows.

Settings were chosen by ``rurk tune`` on a rehearsal (8 trials a method, Originals 900 and 901, four
references); for RURK on Iris with small batches (or an epoch is one step) and 12 trials, in a wider
space. There SSD is left out: what it chose by two Originals destroyed others.
"""

from functools import partial

from rurklib.data import breast_cancer, iris
from rurklib.study.scenarios.scenario import Scenario, bundled, tuned
from rurklib.train import Recipe

BREAST_CANCER = Scenario(
    name="breast-cancer",
    title="Wisconsin breast cancer",
    data=partial(bundled, breast_cancer),
    model="mlp",
    forget_class=0,
    recipe=Recipe(epochs=100, batch_size=32),
    taus=(0.0, 0.02, 0.04, 0.06, 0.08, 0.1),
    methods=tuned("breast-cancer", "GD NGD GA NegGrad+ SCRUB SSD RURK Retrain-quarter"),
)

IRIS = Scenario(
    name="iris",
    title="Fisher's Iris",
    data=partial(bundled, iris),
    model="mlp",
    forget_class=1,
    recipe=Recipe(epochs=100, batch_size=16),
    taus=(0.0, 0.02, 0.04, 0.06, 0.08, 0.1),
    methods=tuned("iris", "GD NGD GA NegGrad+ SCRUB RURK Retrain-quarter"),
)
