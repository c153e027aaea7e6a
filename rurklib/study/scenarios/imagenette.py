"""``imagenette``: ten ImageNet classes at 96 pixels by ResNet-18, for those without ImageNet.

    rurk study --scenario imagenette --set path=imagenette2-160

Any folder in torchvision's layout will do (``rurklib/data/image_folder.py``); Imagenette (J.
Howard) has 9,469 + 3,925 images of ten easily told classes. Same path as ``imagenet100``, at a size
that one GPU trains in minutes and a CPU an epoch of in minutes. The methods have the paper's
CIFAR-10 values, which are not tuned for these images.
"""

from rurklib.study.scenarios.cifar10 import CIFAR10, PAPERS
from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.sources.image_folder import image_folder

IMAGENETTE = Scenario(
    name="imagenette",
    title="Imagenette at 96 pixels",
    data=image_folder,
    image_size=96,
    train_images=0,
    test_images=0,
    model="resnet18-imagenet",
    forget_class=0,
    epochs=40,
    lr=0.1,
    batch_size=128,
    augment="flip-crop-large",
    precision="auto",
    warmup=2.0,
    taus=CIFAR10.taus,
    methods=PAPERS,
)
