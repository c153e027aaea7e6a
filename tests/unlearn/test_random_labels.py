"""RandomLabels: labels that are never the true one and all alike, and GD on what they make."""

import torch

from rurklib import unlearn
from rurklib.unlearn import random_labels
from rurklib.unlearn.soft_and_wrong_labels import wrong_labels


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


def test_with_two_classes_the_wrong_label_is_known(rng):
    y = torch.tensor([0, 1, 1])
    assert wrong_labels(y, 2, rng(0)).tolist() == [1, 0, 0]


def test_it_is_gd_on_a_data_set_that_is_relabelled_once(task, images, monkeypatch, same):
    """To the bit, over several epochs. Fails if labels are drawn anew in each."""
    (model, retain, forget), seen = task, []
    original = random_labels.wrong_labels

    def spy(*args):
        seen.append(original(*args))
        return seen[-1]

    monkeypatch.setattr(random_labels, "wrong_labels", spy)
    options = {"epochs": 4, "lr": 0.05, "weight_decay": 5e-4, "batch_size": 4, "seed": 3}
    got = unlearn("RandomLabels", model, retain, forget, **options)
    (drawn,) = seen
    union = (torch.cat([retain[0], forget[0]]), torch.cat([retain[1], drawn]))
    assert same(got, unlearn("GD", model, union, images(4, seed=9), **options))
