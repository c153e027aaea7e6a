"""``trec``: a tenth of the questions for a thing forgotten, of six kinds of question.

    rurk study --scenario trec --set path=FOLDER    # with train.tsv and test.tsv

The TREC questions (Li & Roth 2002): ABBR, DESC, ENTY, HUM, LOC, NUM.
"""

from functools import partial

from rurklib.data import text
from rurklib.scenarios.scenario import Scenario

TEXT_METHODS = {
    "GD": {},
    "NGD": {},
    "GA": {},
    "NegGrad+": {},
    "EU-k": {},
    "CF-k": {},
    "SCRUB": {},
    "SSD": {},
    "RURK": {"tau": 0.5, "momentum": 0.0},
}

TREC = Scenario(
    name="trec",
    title="TREC questions",
    data=partial(text, length=16),
    model="text-cnn",
    forget_class=2,
    forget_share=0.1,
    epochs=10,
    taus=(0.0, 0.25, 0.5, 0.75, 1.0),
    methods=TEXT_METHODS,
)
