"""Retrain-quarter: no unlearning at all; re-train from scratch, for a quarter of the epochs.

Reference: none; it is the control that every claim of a low cost needs. A method that takes a
quarter of re-training's time has to be better than re-training for that long.

Algorithm:
    1. re-initialise every layer: nothing of Original stays but what kind of net it is
    2. train on the retain set by the recipe of re-training, ``share`` of its epochs

Notes on this implementation: as many epochs as fit into the share, one at least. The schedule is as
much shorter, warm-up included, so that the rate still ends at 0. A study tells the recipe that its
re-trained models have; where they start from a pre-trained net, this starts from new weights all
the same. New weights come from each module's own ``reset_parameters``, which for torchvision's
ResNet isn't the law that it was built with. Weights that are frozen stay as they are.

Hyper-parameters: share 0.25, of the recipe's epochs; recipe None (a study's own, elsewhere the
defaults of :class:`rurklib.train.Recipe`).
"""

from dataclasses import replace

from torch import nn

from rurklib import checks
from rurklib.tensors import Pair
from rurklib.train.fit import fit
from rurklib.train.spec import Recipe
from rurklib.unlearn.contract import method
from rurklib.unlearn.last_layers import reset


@method("Retrain-quarter")
def retrain_quarter(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    share: float = 0.25,
    recipe: Recipe | None = None,
) -> nn.Module:
    """Re-train from scratch on the retain set, for a quarter of the epochs."""
    reset([model], seed)
    return fit(model, *retain, shortened(recipe, share), seed=seed)


def shortened(recipe: Recipe | None, share: float) -> Recipe:
    """A recipe with ``share`` (in [0, 1]) of its epochs, rounded down but one at least, and its
    warm-up as much shorter. Raises InputError for another share, or what is no Recipe."""
    checks.number("share", share, 0.0, 1.0)
    recipe = Recipe() if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise checks.InputError(f"recipe = {recipe!r}: expected a rurklib.train.Recipe, or None")
    epochs = max(int(share * recipe.epochs), 1)
    return replace(recipe, epochs=epochs, warmup=recipe.warmup * epochs / recipe.epochs)
