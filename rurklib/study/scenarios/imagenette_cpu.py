"""``imagenette-cpu``: photographs of 64 pixels, half of one class forgotten, on two CPU cores.

Imagenette (J. Howard) is ten easily told classes of ImageNet, 9,469 + 3,925 photographs. It stands
in for the paper's ImageNet-100, whose code path it takes (a folder of images, decoded once) and
whose radii it has, at a size that a CPU trains on: four times the pixels of CIFAR-10, a sixth of
its images. The forgotten class is the first in alphabetical order, as there: half of 955 English
springers. The net is that of ``cifar10-cpu``, with its recipe, in batches of 128. Methods have the
paper's CIFAR-10 values, which are not tuned for these images; its Fig. 3 has four of them on
ImageNet-100. Five draws make 2,390 copies a radius, with a standard error of 1 point at most.

    rurk study --scenario imagenette-cpu --set path=imagenette --jobs 2 --tables-only

``imagenette`` is the same by ResNet-18 at 96 pixels, for a GPU.
"""

from dataclasses import replace

from rurklib.study.scenarios.cifar10_cpu import CIFAR10_CPU as CPU
from rurklib.study.scenarios.paper_scale import IMAGENETTE, PAPERS

IMAGENETTE_CPU = replace(
    IMAGENETTE,
    name="imagenette-cpu",
    title="Imagenette at 64 pixels by a small net",
    image_size=64,
    model=CPU.model,
    recipe=replace(CPU.recipe, batch_size=128),
    keep_every=CPU.keep_every,
    draws=5,
    methods={**PAPERS, "Retrain-quarter": {}},
)
