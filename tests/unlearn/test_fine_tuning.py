"""GD, NGD, GA, NegGrad+, l1-sparse and RandomLabels: each against a plain loop, or by hand."""

import pytest
import torch

from rurklib import unlearn
from rurklib.unlearn.fine_tuning import wrong_labels


@pytest.mark.parametrize("batchnorm", ["frozen", "train"])
@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("l1-sparse", {"gamma": 0.0}),
        ("NGD", {"sigma": 0.0}),
        ("CF-k", {"k": 2}),  # all layers
        ("NegGrad+", {"beta": 0.0, "clip": None}),
        ("RURK", {"lambda_f": 0.0, "lambda_a": 0.0, "clip": None}),
    ],
)
def test_without_what_sets_it_apart_it_is_gd_to_the_bit(name, without, batchnorm, task, same):
    """Fails with another loss, order of batches, BatchNorm mode or optimiser than GD's, or if a
    setting doesn't arrive."""
    if name in ("NegGrad+", "RURK") and batchnorm == "train":
        return  # the forget batches still pass through the net, and move its statistics
    options = {"epochs": 3, "lr": 0.05, "momentum": 0.5, "weight_decay": 0.01, "batch_size": 4}
    options |= {"seed": 7, "batchnorm": batchnorm}
    gd = unlearn("GD", *task, **options)
    assert same(unlearn(name, *task, **without, **options), gd)
    assert not same(gd, task[0])


def test_a_wrong_label_is_never_the_true_one_and_each_other_is_as_likely(rng):
    """12,000 draws for each of four labels: a share of 1/3 has a standard error of 0.0043.
    Fails if the true label is among them, one is left out, or the label's neighbour is likelier."""
    y = torch.arange(4).repeat(12_000)
    drawn = wrong_labels(y, 4, rng(0))
    table = torch.zeros(4, 4)
    table.index_put_((y, drawn), torch.ones(len(y)), accumulate=True)
    share = table / 12_000
    assert share.diagonal().tolist() == [0, 0, 0, 0]
    assert (share[~torch.eye(4, dtype=torch.bool)] - 1 / 3).abs().max() < 4 * 0.0043
