"""``imagenet100``: 100 classes of ImageNet by ResNet-50, half of the first forgotten; for GPUs.

    rurk study --scenario imagenet100 --set path=imagenet100

``path`` is a folder in torchvision's layout, ``train/<class>/`` and ``val/<class>/``
(``rurklib/data/image_folder.py``). Which 100 classes the paper took isn't said; class 0 is the
first folder in alphabetical order. It trains on all 1,300 images of a class, so validation is a
third of the test side. The paper gives no training: 90 epochs of SGD at lr 0.1, batch 256, weight
decay 1e-4, crops of random size and flips, the usual recipe, are ours. Its Fig. 3 has GD, NegGrad+,
SSD and RURK (``--set methods=GD,NegGrad+,SSD,RURK``), and gives none of their values for these
data: they are those of CIFAR-10 here. EU-k and CF-k train fc and the last two blocks, which are
seven layers of this net.
"""

from rurklib.study.scenarios.cifar10 import CIFAR10, PAPERS
from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.sources.image_folder import image_folder

IMAGENET100 = Scenario(
    name="imagenet100",
    title="100 classes of ImageNet",
    data=image_folder,
    image_size=224,
    train_images=0,
    test_images=0,
    model="resnet50",
    forget_class=0,
    references=3,
    epochs=90,
    lr=0.1,
    batch_size=256,
    weight_decay=1e-4,
    augment="flip-crop-large",
    precision="auto",
    keep_every=5,
    warmup=5.0,
    seeds=(131, 42, 7),
    taus=CIFAR10.taus,
    methods={**PAPERS, "EU-k": {"k": 7}, "CF-k": {"k": 7}},
)
