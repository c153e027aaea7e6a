"""``sst2``: a tenth of the unkind sentences forgotten, of sentences from film reviews.

    rurk study --scenario sst2 --set path=FOLDER    # with train.tsv and test.tsv

SST-2 (Socher et al. 2013), the 6,920 whole sentences: 0 is unkind, 1 kind.
"""

from functools import partial

from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.scenarios.trec import TEXT_METHODS
from rurklib.study.sources.text import text

# RURK by 8 trials on a rehearsal (Originals 900 and 901), in the space that ``trec`` names last, on
# both of SST-2 and SMS; the other methods borrow what suits TREC.
SENTENCE_METHODS = {
    **TEXT_METHODS,
    "RURK": {
        "clip": 0.574,
        "epochs": 3,
        "lambda_a": 0.0983,
        "lambda_f": 0.0907,
        "lr": 0.0561,
        "momentum": 0.0,
        "tau": 0.223,
    },
}


SST2 = Scenario(
    name="sst2",
    title="SST-2 sentences",
    data=partial(text, length=24),
    model="text-cnn",
    forget_class=0,
    forget_share=0.1,
    epochs=10,
    taus=(0.0, 0.25, 0.5, 0.75, 1.0),
    methods=SENTENCE_METHODS,
)
