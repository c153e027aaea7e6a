"""What is seen of a method after each of its passes: the model that stopping there would give."""

import pytest

from rurklib import METHODS, unlearn
from rurklib.train import fit
from rurklib.train.loop import after_each_pass
from rurklib.unlearn import defaults

LEARNS = [n for n in METHODS if "epochs" in defaults(n)]
OPTIONS = {"lr": 0.05, "batch_size": 4, "epochs": 3, "max_epochs": 1, "steps": 5, "k": 2}
OPTIONS |= {"schedule": "constant"}
FIRST = {"GD": 10, "NGD": 10, "SCRUB": 3}  # of a method before RURK: its own default

# Of these the first pass of three isn't a training of one pass: a penalty fades over all of them;
# what is seen of the first step of two is no model of the whole.
WHOLE = {"l1-sparse", "UNSIR", *(n for n in METHODS if "+RURK" in n)}


def seen(name: str, task, **options) -> tuple:
    """The method's own model, and what was seen on the way."""
    models: list = []
    with after_each_pass(models.append):
        out = unlearn(name, *task, seed=4, **options)
    return out, models


@pytest.mark.parametrize("name", LEARNS)
def test_the_last_epoch_is_the_methods_own_model(name, task, same):
    """To the bit, weights and statistics, and as if nobody watched. Fails if passes are counted
    otherwise (SCRUB's differ in length), a model is handed out that still learns, or watching
    draws a random number."""
    options = {k: v for k, v in OPTIONS.items() if k in defaults(name)}
    out, models = seen(name, task, **options)
    before = FIRST.get(name.partition("+")[0], 0) if "+RURK" in name else 0
    assert len(models) == before + 3 * (2 if name == "UNSIR" else 1)
    assert same(models[-1], out)
    assert models[-1] is not out
    assert not any(part.training for model in models for part in model.modules())
    assert same(out, unlearn(name, *task, seed=4, **options))
    assert not same(models[-1], models[-2])
    if name not in WHOLE:
        for epochs, model in enumerate(models, 1):
            assert same(model, unlearn(name, *task, seed=4, **{**options, "epochs": epochs}))


def test_a_training_is_watched_as_well(cnn, images, same):
    models: list = []
    with after_each_pass(models.append):
        out = fit(cnn(), *images(12), seed=0, epochs=2, schedule="constant")
    assert len(models) == 2
    assert same(models[1], out)
    assert same(models[0], fit(cnn(), *images(12), seed=0, epochs=1, schedule="constant"))
    fit(cnn(), *images(12), seed=0, epochs=1)
    assert len(models) == 2


def test_what_is_seen_computes_in_float32(task):
    """Fails if a copy goes on to cast as the method did."""
    _, models = seen("GD", task, epochs=1, precision="bfloat16")
    assert "forward" not in vars(models[0])
