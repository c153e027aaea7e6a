"""ZRF, zero re-train forgetting: is the model as clueless as one that was never trained?

Reference: Chundawat et al., "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using
an Incompetent Teacher", AAAI 2023: ZRF = 1 - mean JS(model || blank net) over the forget samples.

In [1 - ln 2, 1]; 1 is a model that says of forget samples what a net with random weights says. The
metric needs no re-trained model, but reading it does: a re-trained model isn't clueless about
samples that it never saw, it recognises most. What counts is ZRF beside theirs, on either side.

Notes on this implementation: the divergence is that of :mod:`rurklib.metrics.output_distance`, in
nats, and its remark about the published code holds here too. One blank net, the same for all.
"""

from torch import nn

from rurklib.metrics.output_distance import js_divergence, probabilities
from rurklib.metrics.registry import metric
from rurklib.samples import Pair


@metric(zrf=("", 3))
def zrf(model: nn.Module, blank: nn.Module, forget: Pair) -> float:
    """1 - mean JS of the model and a net with random weights; both are left as found.

    forget (x [n, ...], y int64 [n]). Raises InputError if it is empty or doesn't fit a net.
    """
    said = [probabilities(net, forget) for net in (model, blank)]
    return 1 - float(js_divergence(*said).mean())
