"""``npz``: images of your own in a ``.npz`` file with MedMNIST's keys.

    rurk study --scenario npz --set path=pneumoniamnist.npz --set forget_class=1

What the file holds is described in ``rurklib/data/npz.py``. The radii suit images whose classes
differ in detail; with coarse ones (digits, letters) try larger ones: ``--set taus=0,0.1,0.2``.
"""

from rurklib.study.scenarios.cifar5 import BORROWED
from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.sources.npz import npz

NPZ = Scenario(
    name="npz",
    title="images from a .npz file",
    data=npz,
    model="small-cnn-32",
    forget_class=0,
    taus=(0.0, 0.01, 0.02, 0.03, 0.05, 0.08),
    methods=BORROWED,  # tuned on small CIFAR-5
)
