"""``trec``: a tenth of the questions for a thing forgotten, of six kinds of question.

    rurk study --scenario trec --set path=FOLDER    # with train.tsv and test.tsv

The TREC questions (Li & Roth 2002): ABBR, DESC, ENTY, HUM, LOC, NUM. Settings were chosen by
``rurk tune`` on a rehearsal (8 trials a method, Originals 900 and 901, four references), but for
SCRUB and SSD, which have their defaults. RURK's space is for images, of 0.02 ... 0.2 and large
weights: it was searched three times, last with tau 0.1 ... 0.4, weights 0.02 ... 0.1 and 9 trials.
"""

from functools import partial

from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.sources.text import text

TEXT_METHODS = {
    "GD": {"epochs": 17, "lr": 0.0924},
    "NGD": {"epochs": 9, "lr": 0.139, "sigma": 0.0234},
    "GA": {"epochs": 6, "lr": 6.74e-05},
    "NegGrad+": {"beta": 0.004, "clip": 0.267, "epochs": 6, "lr": 0.0127},
    "EU-k": {"epochs": 14, "k": 5, "lr": 0.0619},
    "CF-k": {"epochs": 5, "k": 5, "lr": 0.0188},
    "SCRUB": {},
    "SSD": {},
    "RURK": {
        "clip": 0.933,
        "epochs": 3,
        "lambda_a": 0.0356,
        "lambda_f": 0.0446,
        "lr": 0.0508,
        "momentum": 0.0,
        "tau": 0.172,
    },
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
