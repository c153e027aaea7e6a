"""A whole class forgotten: ``digits-class`` (all nines) and ``cifar5-class`` (all airplanes).

Data, nets, recipes and radii are those of ``digits`` and ``cifar5``. The methods are those of the
paper's tables. On ``digits-class`` they are tuned for this request, on a rehearsal that forgets the
next class, eight trials each; ``cifar5-class`` has the values of ``cifar5``, tuned for half of the
class. The paper gives few of its own (SCRUB's gamma of 75, three epochs of GA and NegGrad+, all on
CIFAR-10; RURK's not at all).

    rurk tune --scenario digits-class --budget 8 --seeds 900,901,902,903

A model that was re-trained without the class never says it, so every ratio has the denominator 0:
tables read ``difference``, Pr[m = y] - Pr[a = y], and the margin. The paper plots ratios all the
same (Figs. C.9 to C.11), very likely to models that know half of the class:
figures/digits-class/README.md.
"""

from dataclasses import replace

from rurklib.study.scenarios.images import CIFAR5, CONTROL, DIGITS, FIRST
from rurklib.study.scenarios.scenario import tuned

DIGITS_CLASS = replace(
    DIGITS,
    name="digits-class",
    title="digits, a whole class",
    forget_share=1.0,
    methods=tuned("digits-class", f"{FIRST} RURK {CONTROL}"),
)
CIFAR5_CLASS = replace(
    CIFAR5,
    name="cifar5-class",
    title="small CIFAR-5, a whole class",
    forget_share=1.0,
    methods=tuned("cifar5", f"{FIRST} RURK {CONTROL}"),
)
