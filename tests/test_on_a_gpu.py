"""All of the core on a GPU that isn't there: what PyTorch would refuse is refused, and the numbers
are those of the CPU. No GPU is needed, nor asked (see ``pretended_gpu``)."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from pretended_gpu import is_there, pretended_gpu
from torch import nn

from rurklib import residual_knowledge
from rurklib.attacks import ATTACKS, AttackSetting, attack
from rurklib.evasive import noisy_level
from rurklib.perturb import PERTURBATIONS
from rurklib.residual.counts import Measurement
from rurklib.residual.disagreement import disagreement
from rurklib.tensors import generator
from rurklib.train.fit import fit

TEXTS = ["delete", "swap", "typo"]
IMAGES = ["gaussian", "uniform-l1", "sphere-l2", "fgsm", "pgd", "pgd-l1"]  # one of each code


def places(model: nn.Module) -> set[torch.device]:
    return {t.device for t in [*model.parameters(), *model.buffers()]}


def test_it_refuses_what_a_gpu_does(cnn, images):
    """Fails if the tests below pass because nothing is refused."""
    x, y = images(4)
    with pretended_gpu() as gpu:
        there, net = x.to(gpu), cnn().to(gpu)
        assert (there.device, places(net), x.device) == (gpu, {gpu}, torch.device("cpu"))
        assert (2 * there[1:].mean(0)).device == net(there).argmax(1).device == gpu
        twin = copy.deepcopy(net)
        assert places(twin) == {gpu}
        assert twin(there).mean(0).tolist() == pytest.approx(cnn()(x).mean(0).tolist())
        for refused in (
            lambda: net(x),
            lambda: there + torch.ones(1),
            lambda: F.cross_entropy(net(there), y),
            lambda: torch.cat([there, x]),
            lambda: x[torch.tensor([0]).to(gpu)],
            lambda: there.__setitem__(there > 0.5, torch.ones(int((there > 0.5).sum()))),
            lambda: torch.stack([there.mean(), torch.tensor(1.0)]),
            lambda: torch.tensor(0.0).add_(there.mean()),
            lambda: torch.randn(3, generator=generator(0), device=gpu),
            lambda: torch.randperm(3, generator=generator(0, device=gpu)),
            lambda: there.numpy(),
            lambda: np.asarray(there),
        ):
            with pytest.raises((RuntimeError, TypeError), match=r"device|cuda"):
                refused()
        assert torch.equal((there[torch.tensor([0])] * torch.tensor(2.0)).cpu(), 2 * x[:1])
        there.cpu().zero_()
        assert float(there.sum()) > 0, "moving copies"


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_training_moves_batches_and_changes_them_there(precision, cnn, images):
    """Images in grey levels stay on the CPU; shifted, mirrored and scaled there."""
    x, y = images(12)
    grey, how = (255 * x).to(torch.uint8), {"epochs": 2, "batch_size": 4, "augment": "flip-crop"}
    how |= {"label_smoothing": 0.1, "precision": "bfloat16" if precision == "auto" else precision}
    own = fit(cnn(), grey, y, seed=1, **how)
    with pretended_gpu() as gpu:
        there = fit(cnn().to(gpu), grey, y, seed=1, **{**how, "precision": precision})
        assert places(there) == {gpu}
        for key, value in there.state_dict().items():
            assert torch.equal(value.cpu(), own.state_dict()[key]), key


@pytest.mark.parametrize("law", IMAGES)
def test_residual_knowledge_is_the_same(law, cnn, images):
    (x, y), (others, theirs) = images(6), images(5, 1)

    def found(place):
        nets = [cnn(seed).to(place) for seed in range(4)]
        forget, control = (x.to(place), y.to(place)), (others.to(place), theirs.to(place))
        return residual_knowledge(
            nets[0], nets[1:], *forget, taus=[0.0, 0.2], draws=3, perturbation=law,
            controls={"held out": control},
        )  # fmt: skip

    own = found("cpu")
    with pretended_gpu() as gpu:
        there = found(gpu)
    assert there.frame.forget_accuracy.equals(own.frame.forget_accuracy)
    pd.testing.assert_frame_equal(there.frame, own.frame, rtol=1e-4, atol=1e-5)
    assert there.verdict.p == pytest.approx(own.verdict.p, rel=1e-3)
    assert str(there.exchange("model")) == str(own.exchange("model"))
    assert [*map(str, there.flags)] == [*map(str, own.flags)], "BatchNorm is folded there, too"


@pytest.mark.parametrize("law", TEXTS)
def test_edits_are_the_same(law):
    x = torch.rand(5, 3, 7, generator=torch.Generator().manual_seed(0))
    y, sample = torch.zeros(5, dtype=torch.long), PERTURBATIONS[law].sample
    own = sample(nn.Identity(), x, y, 0.4, generator(0), None)
    with pretended_gpu() as gpu:
        there = sample(nn.Identity(), x.to(gpu), y.to(gpu), 0.4, generator(0, device=gpu), None)
        assert torch.equal(there.cpu(), own)
    assert is_there(there)
    assert not torch.equal(own, x)


def test_attacks_find_the_same(cnn, images):
    x, y = images(7)

    def found(place) -> list:
        net, reference = cnn().to(place), cnn(1).to(place)
        shots = tuple(part.to(place) for part in images(3, 2))
        here = x.to(place), y.to(place)
        measured = Measurement((0.0, 0.2), draws=2)
        setting = AttackSetting(measured, {"0": net(here[0]).detach()}, shots, steps=3)
        numbers = attack(net, {"forget set": here}, setting)
        assert list(numbers) == list(ATTACKS)
        apart = disagreement(net, {"a": reference}, *here, taus=[0.1], draws=2)
        every = [n["forget set"].tolist() for n in numbers.values()]
        level = noisy_level(net, here, setting.measured).tolist()
        return [*every, level, apart.select_dtypes("number")]

    own = found("cpu")
    with pretended_gpu() as gpu:
        for here, there in zip(own, found(gpu), strict=True):
            assert np.allclose(there, here, rtol=1e-3, atol=1e-4, equal_nan=True)
