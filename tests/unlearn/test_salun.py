"""SalUn: which weights the mask takes, that no other moves, and what the rest are taught."""

import pytest
import torch
from torch import Tensor

from rurklib import unlearn
from rurklib.unlearn import salun
from rurklib.unlearn.fisher import mean_of
from rurklib.unlearn.salun import saliency_mask


@pytest.mark.parametrize(("share", "taken"), [(0.0, 0), (0.3, 2), (0.75, 4), (1.0, 6)])
def test_the_mask_takes_as_many_as_the_share_asks_even_of_equal_ones(share, taken):
    """Fails if a threshold takes all weights of a net with many zero gradients."""
    mask = saliency_mask({"a": torch.zeros(2, 2), "b": torch.zeros(2)}, share)
    assert sum(int(m.sum()) for m in mask.values()) == taken
    assert set(torch.cat([m.flatten() for m in mask.values()]).tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("batchnorm", ["frozen", "train"])
def test_exactly_the_weights_under_the_mask_change(batchnorm, task):
    """With momentum, weight decay and several passes. Fails if decay reaches a weight outside the
    mask, or the mask is that of another set or share."""
    model, retain, forget = task
    options = {"epochs": 3, "lr": 0.1, "weight_decay": 0.01, "batchnorm": batchnorm}
    out = unlearn("SalUn", model, retain, forget, share=0.3, **options)
    mask = saliency_mask(mean_of(torch.positive, model, *forget), 0.3)
    after = dict(out.named_parameters())
    for name, before in model.named_parameters():
        assert torch.equal(after[name][mask[name] == 0], before[mask[name] == 0]), name
        assert bool((after[name] != before)[mask[name] == 1].all()), name
    total = sum(int(m.sum()) for m in mask.values())
    assert total == round(0.3 * sum(p.numel() for p in model.parameters()))


def test_every_pass_draws_wrong_labels_of_its_own(task, monkeypatch):
    """Fails if a label is drawn once, may be the true one, or a pass misses a sample."""
    drawn: list[Tensor] = []
    original = salun.wrong_labels

    def spy(y, classes, generator):
        drawn.append(original(y, classes, generator))
        assert classes == 3
        assert bool((drawn[-1] != y).all())
        return drawn[-1]

    monkeypatch.setattr(salun, "wrong_labels", spy)
    unlearn("SalUn", *task, epochs=6)
    assert len(drawn) == 6
    assert not all(torch.equal(drawn[0], d) for d in drawn)
