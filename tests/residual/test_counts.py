"""Counting hits: the same integers whatever is measured beside, and in whatever pieces."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from rurklib import InputError
from rurklib.edits import check_texts
from rurklib.perturb import PERTURBATIONS
from rurklib.residual.counts import Measurement, count
from rurklib.residual.inference import Forward
from rurklib.tensors import generator

TAUS = (0.0, 0.1, 0.4)
ON_IMAGES = [n for n, rule in PERTURBATIONS.items() if rule.check is not check_texts]


def counted(nets, x, y, *, beside=None, progress=None, **asked):
    return count(nets, x, y, Measurement(**asked), beside=beside, progress=progress)


def test_hits_of_a_linear_net_follow_the_normal_law(linear, device):
    """z_1 - z_0 is linear, so under Gaussian noise it is normal with standard deviation
    tau * ||w||: Pr[recognised] = Phi(margin / (tau * ||w||)), within 4 binomial standard errors.
    Fails if tau is a variance, if copies are clipped in spite of bounds=None, or if all draws share
    one copy."""
    net = linear([[0.0, 0.0], [3.0, -4.0]], bias=[0.0, 0.5], dtype=torch.float32)
    x = torch.tensor([[0.1, 0.2], [0.5, 0.5], [0.9, 0.1], [0.3, 0.35]])
    y, taus, draws = torch.tensor([1, 0, 1, 0]), (0.05, 0.2, 1.0), 2000
    there = net.to(device), x.to(device), y.to(device)
    counts = counted({"m": there[0]}, *there[1:], taus=taus, draws=draws, bounds=None)
    margin = (3 * x[:, 0] - 4 * x[:, 1] + 0.5) * (2 * y - 1)
    for t, tau in enumerate(taus):
        expected = stats.norm.cdf(margin.numpy() / (tau * 5))
        error = np.sqrt(expected * (1 - expected) / draws) + 1e-9
        assert (np.abs(counts.hits["m"][t] / draws - expected) <= 4 * error + 1e-6).all()


@pytest.mark.parametrize("name", ON_IMAGES)
def test_hits_and_margins_are_those_of_a_plain_loop(name, cnn, images):
    """One draw and one model at a time, no fast form; by gradient, on copies found on each model,
    and the references on those of every model that isn't one. Fails if a draw is skipped or counted
    twice, if a stream depends on tau or not on the seed, if bounds don't reach the perturbation, if
    references answer on their own copies only, or if margins are not averaged."""
    (x, y), draws, seed = images(5), 3, 3
    nets, rule = {"a": cnn(0), "b": cnn(1), "r": cnn(2)}, PERTURBATIONS[name]
    taus = (0.0, 0.1, 0.4) if name in ("gaussian", "fgsm", "pgd") else (0.1,)
    asked = {"taus": taus, "perturbation": name, "draws": draws, "seed": seed}
    counts = counted(nets, x, y, beside={"r": nets["r"]}, **asked)

    def plainly(net, source, tau):
        hits, margins = np.zeros(5), np.zeros(5)
        for i in range(draws):
            copies = rule.sample(source, x, y, tau, [generator(seed, 0, i)], (0.0, 1.0))
            logits = net(copies).detach()
            hits += (logits.argmax(1) == y).numpy()
            for s in range(5):
                others = [logits[s, c] for c in range(3) if c != y[s]]
                margins[s] += float(logits[s, y[s]] - torch.stack(others).logsumexp(0)) / draws
        return hits, margins

    for t, tau in enumerate(taus):
        for model, net in nets.items():
            hits, margins = plainly(net, net, tau)
            assert counts.hits[model].dtype == np.int64
            assert np.array_equal(counts.hits[model][t], hits)
            assert counts.margins[model][t] == pytest.approx(margins, abs=2e-3)
        for model in counts.on:
            hits, _ = plainly(nets["r"], nets[model], tau)
            assert np.array_equal(counts.on[model]["r"][t], hits)
    assert set(counts.on) == ({"a", "b"} if rule.gradient_based else set())


@pytest.mark.parametrize("name", ON_IMAGES)
def test_neither_batch_size_nor_company_changes_a_count(name, cnn, images):
    """Fails if copies are drawn batch by batch from one stream, or by every model anew."""
    (x, y), nets = images(5), {f"m{i}": cnn(i) for i in range(3)}
    options = {"taus": [0.1], "draws": 3, "perturbation": name}
    together = counted(nets, x, y, beside={"m2": nets["m2"]}, **options)
    for model, size in zip(reversed(nets), (3, 8, None), strict=True):  # parts of one draw, of two
        alone = counted({model: nets[model]}, x, y, batch_size=size, **options)
        assert np.array_equal(alone.hits[model], together.hits[model])
        assert alone.margins[model] == pytest.approx(together.margins[model], abs=1e-4)
    assert not np.array_equal(together.margins["m0"], together.margins["m1"])


def test_more_samples_than_a_block(linear):
    """Samples behind the first 256 are counted in their own place, on noise of their own."""
    net = linear([[0.0], [1.0]], bias=[0.0, -0.5], dtype=torch.float32)
    x, y = torch.full((520, 1), 0.5), torch.arange(520) % 2
    hits = counted({"m": net}, x, y, taus=[0.1], draws=8).hits["m"][0]
    assert not np.array_equal(hits[:256], hits[256:512])
    certain = counted({"m": net}, y[:, None].float(), y, taus=[0.0, 0.01], draws=8)
    assert (certain.hits["m"] == 8).all()


def test_margins_keep_what_a_float_would_lose(linear):
    """2 ** 24 - log 2 isn't a float32; the log of the probability would be 0."""
    net = linear([[0.0], [0.0], [2.0**24]], dtype=torch.float32)
    counts = counted({"m": net}, torch.ones(1, 1), torch.tensor([2]), taus=[0.0], draws=3)
    assert counts.margins["m"].item() == pytest.approx(2**24 - np.log(2), abs=1e-6)
    assert counts.hits["m"].item() == 3


class Centred(nn.Module):
    """Normalises what it was given, in place."""

    def forward(self, x):
        x -= 0.5
        return x.flatten(1)[:, :3]


@pytest.mark.parametrize("tau", [0.0, 0.1])
def test_a_net_that_writes_into_copies_is_named(tau, cnn, images):
    """By PyTorch's own count of writes. Fails if the next net sees what is left, or if the trial of
    a fast form overwrites the samples."""
    x, y = images(9)
    before, nets = x.clone(), {"good": cnn(), "bad": Centred(), "later": cnn(1)}
    with pytest.raises(InputError, match=r"^bad writes into its input"):
        counted(nets, x, y, taus=[tau], draws=5)
    assert torch.equal(x, before)


# --- what it costs -------------------------------------------------------------------------------


class Watched(nn.Module):
    """Notes how many samples it is shown at a time; it can't be copied or traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.seen: list[int] = []

    def __deepcopy__(self, memo):
        raise RuntimeError("stays as it is")

    def forward(self, x):
        self.seen.append(len(x))
        return self.layer(x)


def test_each_model_is_asked_once_a_draw(rng):
    """Of noise: M + K passes a draw, one at tau = 0. By gradient, without chance: a search on every
    net, and M * (K + 1) + K passes over copies. Fails if pairs are formed, or draws repeated."""
    models, references = ({f"{k}{i}": Watched() for i in range(n)} for k, n in (("m", 2), ("r", 3)))
    nets = {**models, **references}
    x, y = torch.rand(70, 4, generator=rng(0)), torch.arange(70) % 2
    counted(nets, x, y, taus=[0.0, 0.1, 0.2], draws=5, beside=references)
    for net in nets.values():
        assert sum(net.seen[1:]) == 70 * (1 + 5 + 5)  # the first is the trial
        net.seen.clear()
    counted(nets, x, y, taus=[0.1], draws=5, perturbation="fgsm", beside=references)
    shown = [sum(net.seen) - 64 - 64 for net in nets.values()]  # two trials of 64
    answers = [n / 70 - 1 for n in shown]  # one search
    assert answers == [1, 1, 3, 3, 3]
    assert sum(answers) == 2 * (3 + 1) + 3


@pytest.mark.parametrize("name", ["gaussian", "fgsm", "pgd"])
@pytest.mark.parametrize(
    ("n", "draws", "size"), [(600, 3, 300), (20, 2, 1), (10, 400, None), (600, 40, None)]
)
def test_few_copies_are_held_and_shown_at_once(n, draws, size, name, rng, monkeypatch):
    """Memory. Fails if samples or draws make a batch larger, or if all draws of a block are made
    before any is shown to a model."""
    net, held, of_many = Watched(), [], Forward.of_many

    def watched(form, copies):
        held.append(len(copies))
        return of_many(form, copies)

    monkeypatch.setattr(Forward, "of_many", watched)
    x, y = torch.rand(n, 4, generator=rng(0)), torch.arange(n) % 2
    counted({"m": net}, x, y, taus=[0.1], draws=draws, batch_size=size, perturbation=name)
    assert max(net.seen[2:]) <= (size or 1024)  # the first two are trials
    assert max(held) <= 1024
    assert sum(held) == (n if name == "fgsm" else n * draws)


@pytest.mark.parametrize("name", ["gaussian", "fgsm"])
def test_progress_grows_to_the_whole(name, linear, rng):
    """Fails if models with copies of their own or blocks beyond the first aren't reckoned with."""
    told: list[float] = []
    nets = {f"m{i}": linear(4, seed=i, dtype=torch.float32) for i in range(3)}
    x, y = torch.rand(300, 4, generator=rng(0)), torch.arange(300) % 2
    counted(nets, x, y, taus=[0.0, 0.1], draws=2, perturbation=name, progress=told.append)
    assert told == sorted(set(told))
    assert 0 < told[0] < 0.5
    assert told[-1] == pytest.approx(1)
    assert len(told) == (1 if name == "gaussian" else 3) * 2 * 2
