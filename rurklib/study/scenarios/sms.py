"""``sms``: half of the spam forgotten, an eighth of all messages.

    rurk study --scenario sms --set path=FOLDER    # with train.tsv, or path=FILE.tsv

The SMS Spam Collection (Almeida et al. 2011): ham and spam. Forgetting half of so small a class
makes the other half rarer too: held-out samples, and ``study.same_prior``, tell that from memory.
"""

from functools import partial

from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.scenarios.sst2 import SENTENCE_METHODS
from rurklib.study.sources.text import text

SMS = Scenario(
    name="sms",
    title="SMS messages",
    data=partial(text, length=32),
    model="text-cnn",
    forget_class=1,
    epochs=10,
    taus=(0.0, 0.25, 0.5, 0.75, 1.0),
    methods=SENTENCE_METHODS,
)
