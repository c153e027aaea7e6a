"""Texts, by convolutions over their words; ``path`` is a folder with ``train.tsv`` (and
``test.tsv``), or one ``.tsv`` file.

    rurk study --scenario sms --set path=FOLDER

``sms``: half of the spam forgotten, an eighth of all messages (the SMS Spam Collection, Almeida et
al. 2011: ham and spam). Forgetting half of so small a class makes the other half rarer too:
held-out samples, and ``study.same_prior``, tell that from memory. ``sst2``: a tenth of the unkind
sentences forgotten, of film reviews (SST-2, Socher et al. 2013, the 6,920 whole sentences: 0 is
unkind, 1 kind). ``trec``: a tenth of the questions for a thing forgotten, of six kinds of question
(Li & Roth 2002: ABBR, DESC, ENTY, HUM, LOC, NUM).

Settings were chosen by ``rurk tune`` on a rehearsal of TREC (8 trials a method, Originals 900 and
901, four references), but for SCRUB and SSD, which have their defaults. RURK's space is for images,
of 0.02 ... 0.2 and large weights: it was searched three times, last with tau 0.1 ... 0.4, weights
0.02 ... 0.1 and 9 trials; then by 8 trials in that space on both of SST-2 and SMS, which borrow the
other methods' settings from TREC.
"""

from dataclasses import replace
from functools import partial

from rurklib.study.readers import text
from rurklib.study.scenarios.scenario import Scenario, tuned
from rurklib.train import Recipe

METHODS = "GD NGD GA NegGrad+ EU-k CF-k SCRUB SSD RURK Retrain-quarter"

SMS = Scenario(
    name="sms",
    title="SMS messages",
    data=partial(text, length=32),
    model="text-cnn",
    forget_class=1,
    recipe=Recipe(epochs=10, batch_size=64),
    taus=(0.0, 0.25, 0.5, 0.75, 1.0),
    methods=tuned("sentences", METHODS),
)

SST2 = replace(
    SMS,
    name="sst2",
    title="SST-2 sentences",
    data=partial(text, length=24),
    forget_class=0,
    forget_share=0.1,
)

TREC = replace(
    SMS,
    name="trec",
    title="TREC questions",
    data=partial(text, length=16),
    forget_class=2,
    forget_share=0.1,
    methods=tuned("trec", METHODS),
)
