"""The few forget samples on which Original and re-trained models part most: the ones to look at."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.residual.counts import BLOCK
from rurklib.study.run import Run
from rurklib.study.stages.making import load_model
from rurklib.study.stages.measure import residual
from rurklib.tensors import as_float, generator


class Telling(NamedTuple):
    """Forget samples [n, ...] as floats, a perturbed copy of each and their labels int64 [n]; the
    radius, and where the samples stand in the forget set; of ``draws`` such copies, how many are
    recognised by Original and by the mean re-trained model, [n] each."""

    images: Tensor
    copies: Tensor
    labels: Tensor
    tau: float
    places: np.ndarray
    draws: int
    original: np.ndarray
    retrained: np.ndarray


def telling_copies(run: Run, most: int = 8) -> Telling:
    """The forget samples of whose copies the first seed's Original recognises most more than
    re-trained models do on average, at the largest tau; of each the first copy that was measured.

    Looked for among the first 256. Counts what isn't counted yet of Original and the references.
    """
    law, tau, name = run.scenario.perturbations[0], run.scenario.taus[-1], run.names("Original")[0]
    measured = residual(run, law, methods=["Original"])
    own, others = measured.hits_of(name)
    own, others = own[-1, :BLOCK], others[:, -1, :BLOCK].mean(0)
    index = np.argsort(others - own)[:most]
    x, y = (part[:BLOCK] for part in run.pair("forget"))
    x, stream = as_float(x), generator(measured.counts[name].seed, 0, 0, device=x.device)
    model, bounds = load_model(run, name), run.data.bounds
    copies = PERTURBATIONS[law].sample(model, x, y, tau, stream, bounds)
    hits = run.scenario.draws, own[index], others[index]
    return Telling(x[index], copies[index], y[index], tau, index, *hits)
