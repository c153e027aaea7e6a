"""GD, NGD, GA, NegGrad+, l1-sparse and RandomLabels: each against a plain loop, or by hand."""

import pytest
import torch

from rurklib import unlearn
from rurklib.unlearn import defaults, fine_tuning
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


FORGET_ALONE = ("BoundaryShrink", "DELETE", "GA", "JiT")
RETAIN_ALONE = ("CF-k", "EU-k", "Fisher", "GD", "NGD", "Retrain-quarter", "l1-sparse")


@pytest.mark.parametrize("name", [*FORGET_ALONE, *RETAIN_ALONE])
def test_the_other_set_is_never_seen(name, task, images, same):
    model, retain, forget = task
    options = {"lr": 0.1, "batch_size": 3, "epochs": 2} if "lr" in defaults(name) else {}
    before = unlearn(name, model, retain, forget, **options)
    if name in FORGET_ALONE:
        retain = images(10, seed=9)
    else:
        forget = images(4, seed=9)
    assert same(before, unlearn(name, model, retain, forget, **options))
    assert not same(before, model)


def test_clip_is_connected(task):
    for name in ("GA", "NegGrad+"):
        options = {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, "batchnorm": "frozen"}
        out = unlearn(name, *task, clip=1e-3, **options)
        pairs = zip(out.parameters(), task[0].parameters(), strict=True)
        length = torch.cat([(a - b).flatten() for a, b in pairs]).norm().item()
        assert 0 < length <= 0.1 * 1e-3 * 1.001, name


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


def test_it_is_gd_on_a_data_set_that_is_relabelled_once(task, images, monkeypatch, same):
    """To the bit, over several epochs. Fails if labels are drawn anew in each."""
    (model, retain, forget), seen = task, []
    original = fine_tuning.wrong_labels

    def spy(*args):
        seen.append(original(*args))
        return seen[-1]

    monkeypatch.setattr(fine_tuning, "wrong_labels", spy)
    options = {"epochs": 4, "lr": 0.05, "weight_decay": 5e-4, "batch_size": 4, "seed": 3}
    got = unlearn("RandomLabels", model, retain, forget, **options)
    (drawn,) = seen
    union = (torch.cat([retain[0], forget[0]]), torch.cat([retain[1], drawn]))
    assert same(got, unlearn("GD", model, union, images(4, seed=9), **options))


@pytest.mark.parametrize("name", ["BadTeacher", "JiT", "LFSSD"])
def test_labels_are_never_used(name, task, same):
    model, (xr, yr), (xf, yf) = task
    options = {"lr": 0.1} if "lr" in defaults(name) else {"alpha": 1.5}
    a = unlearn(name, model, (xr, yr), (xf, yf), **options)
    b = unlearn(name, model, (xr, (yr + 1) % 3), (xf, (yf + 2) % 3), **options)
    assert same(a, b)
    assert not same(a, model)
