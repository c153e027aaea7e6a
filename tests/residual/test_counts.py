"""Counting hits: the same integers whatever is measured beside, and in whatever pieces."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from rurklib.edits import check_texts
from rurklib.perturb import PERTURBATIONS
from rurklib.residual import counts as counts_module
from rurklib.residual.counts import Measurement, count_hits
from rurklib.residual.measure import assemble
from rurklib.tensors import generator


def counted(models, x, y, *, found_on=None, **asked):
    return count_hits(models, x, y, Measurement(**asked), found_on=found_on)


TAUS = (0.0, 0.1, 0.4)
ON_IMAGES = [n for n, law in PERTURBATIONS.items() if law.check is not check_texts]


def test_hits_of_a_linear_net_follow_the_normal_law(linear, device):
    """z_1 - z_0 is linear, so under Gaussian noise it is normal with standard deviation
    tau * ||w||: Pr[recognised] = Phi(margin / (tau * ||w||)), within 4 binomial standard errors.
    Fails if tau is a variance, or a fixed norm of the displacement; if copies are clipped in spite
    of bounds=None; or if all draws share one copy."""
    net = linear([[0.0, 0.0], [3.0, -4.0]], bias=[0.0, 0.5], dtype=torch.float32)
    x = torch.tensor([[0.1, 0.2], [0.5, 0.5], [0.9, 0.1], [0.3, 0.35]])
    y = torch.tensor([1, 0, 1, 0])
    draws = 2000
    there = net.to(device), x.to(device), y.to(device)
    counts = counted({"m": there[0]}, *there[1:], taus=(0.05, 0.2, 1.0), draws=draws, bounds=None)
    margin = (3 * x[:, 0] - 4 * x[:, 1] + 0.5) * (2 * y - 1)
    for t, tau in enumerate(counts.taus):
        expected = stats.norm.cdf(margin.numpy() / (tau * 5))
        error = np.sqrt(expected * (1 - expected) / draws) + 1e-9
        assert (np.abs(counts.hits[0, t] / draws - expected) <= 4 * error + 1e-6).all()


@pytest.mark.parametrize("law", ON_IMAGES)
def test_the_batch_size_changes_nothing(law, cnn, images):
    """Fails if copies are drawn batch by batch from one stream."""
    (x, y), net = images(5), cnn()
    options = {"taus": [0.1], "draws": 3, "perturbation": law, "found_on": "m"}
    whole = counted({"m": net}, x, y, **options)
    for size in (3, 8):  # less than the samples of a draw, and parts of two draws
        cut = counted({"m": net}, x, y, batch_size=size, **options)
        assert np.array_equal(whole.hits, cut.hits)
        assert cut.margins == pytest.approx(whole.margins, abs=1e-4)
        assert np.array_equal(whole.moved, cut.moved)


def test_models_measured_together_count_as_each_alone(cnn, images):
    """Same copies for all, in any order. Fails if every model draws its own."""
    x, y = images(6)
    nets = {f"m{i}": cnn(i) for i in range(3)}
    together = counted(nets, x, y, taus=TAUS, draws=20)
    backwards = counted(dict(reversed(nets.items())), x, y, taus=TAUS, draws=20)
    assert backwards.models == ("m2", "m1", "m0")
    for name, net in nets.items():
        alone = counted({name: net}, x, y, taus=TAUS, draws=20)
        assert np.array_equal(alone.of(name), together.of(name))
        assert np.array_equal(backwards.of(name), together.of(name))
    assert not np.array_equal(together.of("m0"), together.of("m1"))
    assert np.array_equal(together.of_all(["m1", "m0"]), together.hits[[1, 0]])


def test_more_samples_than_a_block(linear):
    """Samples behind the first 256 are counted in their own place, on noise of their own."""
    net = linear([[0.0], [1.0]], bias=[0.0, -0.5], dtype=torch.float32)
    x = torch.full((520, 1), 0.5)
    y = torch.arange(520) % 2
    hits = counted({"m": net}, x, y, taus=[0.1], draws=8).hits[0, 0]
    assert not np.array_equal(hits[:256], hits[256:512])
    certain = counted({"m": net}, y[:, None].float(), y, taus=[0.0, 0.01], draws=8)
    assert (certain.hits == 8).all()


def test_bytes_and_floats_agree(cnn, rng):
    net, y = cnn(), torch.arange(5) % 3
    x = torch.randint(0, 256, (5, 1, 6, 6), generator=rng(0), dtype=torch.uint8)
    for law in ("gaussian", "fgsm"):
        options = {"taus": TAUS, "draws": 10, "perturbation": law, "found_on": "m"}
        a, b = (counted({"m": net}, v, y, **options) for v in (x, x.float() / 255))
        assert np.array_equal(a.hits, b.hits)


def test_found_on_is_recorded_only_where_it_matters(cnn, images):
    (x, y), nets = images(3), {"a": cnn(0), "b": cnn(1)}
    options = {"taus": [0.1], "draws": 2}
    assert counted(nets, x, y, **options).found_on is None
    found = counted(nets, x, y, perturbation="fgsm", found_on="b", **options)
    assert found.found_on == "b"


# --- the loop, against one that is too simple to be wrong ----------------------------------------


@pytest.mark.parametrize("law", ON_IMAGES)
def test_hits_and_margins_are_those_of_a_plain_loop(law, cnn, images):
    """One sample block, one draw, one model at a time, no fast form. Fails if a draw is skipped or
    counted twice, if a stream depends on tau or not on the seed, if bounds don't reach the law, if
    one copy doesn't stand for all draws where there is no chance, if y's own logit stands in the
    log-sum-exp, or if margins are not averaged."""
    (x, y), nets, draws, seed = images(5), {"a": cnn(0), "b": cnn(1)}, 3, 3
    taus = (0.0, 0.1, 0.4) if law in ("gaussian", "fgsm", "pgd") else (0.1,)
    counts = counted(nets, x, y, taus=taus, perturbation=law, draws=draws, seed=seed, found_on="a")
    assert counts.hits.dtype == np.int64
    for t, tau in enumerate(taus):
        for m, net in enumerate(nets.values()):
            hits, margins = np.zeros(5), np.zeros(5)
            for i in range(draws):
                stream = generator(seed, 0, i)
                copies = PERTURBATIONS[law].sample(nets["a"], x, y, tau, [stream], (0.0, 1.0))
                logits = net(copies).detach()
                hits += (logits.argmax(1) == y).numpy()
                for s in range(5):
                    others = [logits[s, c] for c in range(3) if c != y[s]]
                    own = logits[s, y[s]]
                    margins[s] += float(own - torch.stack(others).logsumexp(0)) / draws
            assert np.array_equal(counts.hits[m, t], hits)
            assert counts.margins[m, t] == pytest.approx(margins, abs=2e-3)


def test_margins_keep_what_a_float_would_lose(linear):
    """2 ** 24 - log 2 isn't a float32; the log of the probability would be 0."""
    net = linear([[0.0], [0.0], [2.0**24]], dtype=torch.float32)
    counts = counted({"m": net}, torch.ones(1, 1), torch.tensor([2]), taus=[0.0], draws=3)
    assert counts.margins.item() == pytest.approx(2**24 - np.log(2), abs=1e-6)
    assert counts.hits.item() == 3


# --- what it costs -------------------------------------------------------------------------------


class Watched(nn.Module):
    """Notes how many samples it is shown at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.utils.skip_init(nn.Linear, 4, 2)
        self.layer.weight.data = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
        self.layer.bias.data = torch.zeros(2)
        self.seen: list[int] = []

    def __deepcopy__(self, memo):
        raise RuntimeError("stays as it is")

    def forward(self, x):
        self.seen.append(len(x))
        return self.layer(x)


def test_each_model_is_asked_once_a_draw(rng):
    """M + K forward passes a draw; one at tau = 0. Fails if pairs are formed, or draws repeated."""
    nets = {f"n{i}": Watched() for i in range(3)}
    x, y = torch.rand(70, 4, generator=rng(0)), torch.arange(70) % 2
    counts = counted(nets, x, y, taus=[0.0, 0.1, 0.2], draws=5)
    for net in nets.values():
        assert sum(net.seen[1:]) == 70 * (1 + 5 + 5)  # the first is the trial
    one = Watched()  # without chance: one search, one answer
    counted({"m": one}, x, y, taus=[0.1], draws=5, perturbation="fgsm", found_on="m")
    assert sum(one.seen[2:]) == 70 + 70
    assert set(counts.not_accelerated) == set(nets)
    assert "stays as it is" in counts.not_accelerated["n0"]


@pytest.mark.parametrize("law", ["gaussian", "fgsm", "pgd"])
@pytest.mark.parametrize("size", [1, 300])
def test_no_batch_is_larger_than_asked_for(size, law, rng):
    """Memory: neither samples nor draws nor radii make a batch larger."""
    net, many = Watched(), Watched()
    n, draws = (600, 3) if size > 1 else (20, 2)
    x, y = torch.rand(600, 4, generator=rng(0)), torch.arange(600) % 2
    options = {"taus": [0.0, 0.1], "perturbation": law, "found_on": "m"}
    counted({"m": net}, x[:n], y[:n], draws=draws, batch_size=size, **options)
    assert max(net.seen[2:]) <= size  # the first two are trials
    counted({"m": many}, x, y, draws=40, **options)
    assert max(many.seen) <= 1024  # 24,000 copies


@pytest.mark.parametrize("draws", [3, 400])
@pytest.mark.parametrize("n", [10, 600])
def test_few_copies_are_held_at_once(n, draws, rng, monkeypatch):
    """Fails if all draws of a block are made before any is shown to a model."""
    held = []
    ask = counts_module._ask

    def watched(forwards, copies, *rest):
        held.append(copies.flatten(0, 1).shape[0])
        return ask(forwards, copies, *rest)

    monkeypatch.setattr(counts_module, "_ask", watched)
    x, y = torch.rand(n, 4, generator=rng(0)), torch.arange(n) % 2
    for law in ("gaussian", "fgsm"):
        options = {"taus": [0.1], "draws": draws, "perturbation": law, "found_on": "m"}
        counted({"m": Watched()}, x, y, **options)
    assert max(held) <= 1024
    assert sum(held) == n * draws + n


def test_share_of_copies_that_moved(linear, cnn, images):
    """Noise moves every copy, tau = 0 none; a black pixel moves in every second draw; a net
    without gradients moves nothing. What flags are raised on."""
    x, y = images(6)
    assert counted({"m": cnn()}, x, y, taus=[0.0, 0.1], draws=3).moved.tolist() == [0, 1]
    one = linear([[0.0], [1.0]], bias=[0.0, 0.1], dtype=torch.float32)
    black, label = torch.zeros(1, 1), torch.tensor([1])
    moved = counted({"m": one}, black, label, taus=[0.1], draws=1000).moved.item()
    assert moved == pytest.approx(0.5, abs=0.07)
    flat = linear(np.zeros((2, 4)), dtype=torch.float32)
    x, y = torch.rand(3, 4), torch.tensor([0, 1, 1])
    options = {"taus": [0.1], "draws": 7, "found_on": "m"}
    assert counted({"m": flat}, x, y, perturbation="fgsm", **options).moved.item() == 0
    steep = linear([[0.0, 0, 0, 0], [1.0, 1, 1, 1]], dtype=torch.float32)
    assert counted({"m": steep}, x, y, perturbation="fgsm", **options).moved.item() == 1


def test_equal_questions_are_equal():
    asked = Measurement(np.linspace(0, 1, 3), "pgd", 7)
    assert asked == Measurement([0, 0.5, 1], draws=7, perturbation="pgd")
    assert asked.taus == (0.0, 0.5, 1.0)
    assert len({asked, Measurement((0.0, 0.5, 1.0), "pgd", 7)}) == 1
    assert asked.gradient_based
    assert not Measurement([0.1]).gradient_based


@pytest.mark.parametrize(
    ("perturbation", "wanted"),
    [
        ("gaussian", [(["m", "n", "r", "s"], None)]),
        ("fgsm", [(["m", "r", "s"], "m"), (["n", "r", "s"], "n"), (["r", "s"], "r"),
                         (["s", "r"], "s")]),
    ],
)  # fmt: skip
def test_what_has_to_be_counted(perturbation, wanted):
    """Shared copies once; else each model and reference on copies of its own, beside the others."""
    asked, seen = Measurement([0.1], perturbation), []

    def count(names, found_on):
        seen.append((list(names), found_on))
        return found_on or "shared"

    counts = assemble(("m", "n"), ("r", "s"), asked, count)
    assert seen == wanted
    assert counts == {n: n if len(wanted) > 1 else "shared" for n in ("m", "n", "r", "s")}


def test_counts_are_cut_and_joined(cnn, images):
    nets = {("GD", k): cnn(k) for k in range(3)}  # names are anything that can be a key
    whole = count_hits(nets, *images(5), Measurement([0.0, 0.3], draws=4))
    parts = [whole.only([name]) for name in reversed(nets)]
    joined = type(whole).joined(parts)
    assert joined.models == tuple(reversed(nets))
    for name in nets:
        assert np.array_equal(joined.of(name), whole.of(name))
    assert np.array_equal(joined.margins, whole.margins[::-1])
    assert np.array_equal(whole.only(joined.models).hits, joined.hits)
