"""Fisher information, SSD, LFSSD, Fisher and WoodFisher: closed forms on small nets."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib.models import build
from rurklib.unlearn.fisher import dampen, mean_of


def test_fisher_of_a_batchnorm_net_is_that_of_single_samples_in_eval_mode(
    samples, left_as_found
) -> None:
    """Catches batch statistics in the importance, moved running statistics, and modes that are
    not given back."""
    model = build("small-cnn", 1, 3, seed=0).double().train()
    model.net[1].eval()  # one layer that the user keeps frozen
    x, y = samples(5, 1, 1, 8, 8)
    with left_as_found(model):
        got = mean_of(torch.square, model, x.double(), y, batch_size=2)
    model.eval()
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for i in range(len(x)):
        loss = F.cross_entropy(model(x[i : i + 1].double()), y[i : i + 1])
        for name, g in zip(total, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total[name] += g.square() / len(x)
    for name, value in total.items():
        torch.testing.assert_close(got[name], value)


def test_dampening_by_hand():
    """Catches weights that grow (lambda above 1), >= for >, and 0 / 0 becoming NaN."""
    net = nn.Linear(5, 1, bias=False)
    nn.init.ones_(net.weight)
    f, r = torch.tensor([[20.0, 8.0, 5.0, 3.0, 0.0]]), torch.tensor([[4.0, 4.0, 1.0, 0.0, 0.0]])
    dampen(net, {"weight": f}, {"weight": r}, alpha=2.0, dampening=2.0)
    assert net.weight[0].tolist() == pytest.approx([8 / 20, 1.0, 2 / 5, 0.0, 1.0])
