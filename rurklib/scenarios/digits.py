"""``digits``: half of the eights forgotten by a small CNN; real images, no download, minutes."""

from rurklib.check import InputError
from rurklib.data import Dataset, digits
from rurklib.scenarios.scenario import Scenario


def bundled(path: str) -> Dataset:
    """The digits that come with scikit-learn; a path is refused, so that none is ignored."""
    if path:
        raise InputError(
            f"path = {path!r}: the digits come with scikit-learn; leave path out, or use "
            "--scenario npz for images of your own"
        )
    return digits()


DIGITS = Scenario(
    name="digits",
    title="scikit-learn's handwritten digits, half of the eights forgotten",
    data=bundled,
    model="small-cnn",
    forget_class=8,
    split_seed=4,
    references=8,
    taus=(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    methods={"GD": {}, "GA": {}, "NegGrad+": {}, "RURK": {}},
)
