"""``imagefolder``: images of your own, one folder a class, cut to 32x32 pixels.

    rurk study --scenario imagefolder --set path=imagenette --set forget_class=3

The layout is described in ``rurklib/data/image_folder.py``; classes are numbered in alphabetical
order. For another size there is ``--set image_size=64``; for a large net, ``imagenette``.
"""

from rurklib.study.scenarios.cifar5 import BORROWED
from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.sources.image_folder import image_folder

IMAGEFOLDER = Scenario(
    name="imagefolder",
    title="a folder of images",
    data=image_folder,
    image_size=32,
    model="small-cnn-32",
    forget_class=0,
    taus=(0.0, 0.01, 0.02, 0.03, 0.05, 0.08),
    methods=BORROWED,  # tuned on small CIFAR-5
)
