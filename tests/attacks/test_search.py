"""EOT and random search on linear models, and the checks for hidden gradients."""

import pytest
import torch
from torch import nn

from rurklib.attacks.masking import masking
from rurklib.attacks.search import eot, random_search
from rurklib.models.logits import logit_margin


def test_eot_on_a_linear_model_goes_to_the_best_corner(linear, rng):
    """Two classes: the margin is linear, so noise doesn't move the optimum: m + tau ||w||_1 towards
    y and less away from it; the mean over noise that is reported is near that."""
    model = linear(16, seed=3, dtype=torch.float32)
    x = torch.rand(6, 1, 4, 4, generator=rng(0))
    y = torch.arange(6) % 2
    w = model[1].weight.detach()
    reach = 0.1 * float((w[0] - w[1]).abs().sum())
    own = logit_margin(model(x), y).detach()
    for targeted, sign in ((True, 1), (False, -1)):
        copies, found = eot(
            model, x, y, 0.1, sd=0.01, generator=rng(1), draws=16, targeted=targeted, bounds=None
        )
        assert (copies - x).abs().max() <= 0.1 + 1e-6
        torch.testing.assert_close(
            logit_margin(model(copies), y).detach(), own + sign * reach, rtol=1e-3, atol=1e-3
        )
        torch.testing.assert_close(found, own + sign * reach, rtol=0, atol=0.05)


class Line(nn.Module):
    """Two classes; the margin is a function of the first number alone."""

    def __init__(self, margin):
        super().__init__()
        self.margin = margin

    def forward(self, x):
        v = x.flatten(1)[:, 0]
        return torch.stack([self.margin(v), torch.zeros_like(v)], 1)


def test_eot_follows_the_mean_over_noisy_copies_and_not_the_point(rng):
    """Within reach the margin rises to the right by 1; a standard deviation to the left it falls
    by 40. One noisy copy in six sees that, and their mean goes left; the point, and most single
    copies, would go right."""
    model = Line(lambda v: torch.where(v >= 0.45, v, 0.45 - 40 * (v - 0.45)))
    x, y = torch.full((8, 4), 0.5), torch.zeros(8, dtype=torch.int64)
    options = {"sd": 0.05, "draws": 64, "steps": 10, "restarts": 1}
    copies, found = eot(model, x, y, 0.03, generator=rng(0), **options)
    assert (copies[:, 0] < 0.475).all()
    assert (found > 0.75).all()  # at the point itself the margin is 0.5


def test_restarts_keep_the_best_sample_by_sample_and_what_is_returned_was_found(cnn, images, rng):
    """Without noise the margin of the copies is the one reported, whichever start won."""
    model, (x, y) = cnn(), images(8)
    found = {}
    for restarts in (1, 5):
        options = {"sd": 0.0, "draws": 1, "steps": 1, "restarts": restarts}
        copies, found[restarts] = eot(model, x, y, 0.1, generator=rng(0), **options)
        torch.testing.assert_close(logit_margin(model(copies), y).detach(), found[restarts])
    assert (found[5] >= found[1]).all()
    assert (found[5] > found[1] + 1e-3).any()


def test_random_search_nears_the_corner_of_a_linear_model(linear, rng):
    """It never passes the optimum m - tau ||w||_1, nears it, and more queries aren't worse."""
    model = linear(16, seed=3, dtype=torch.float32)
    x = 0.3 + 0.4 * torch.rand(5, 1, 4, 4, generator=rng(0))
    y = torch.arange(5) % 2
    w = model[1].weight.detach()
    fall = 0.1 * float((w[0] - w[1]).abs().sum())
    own = logit_margin(model(x), y).detach()
    last = own + 1e-6
    for queries in (1, 30, 600):
        copies, found = random_search(model, x, y, 0.1, generator=rng(1), queries=queries)
        assert (copies - x).abs().max() <= 0.1 + 1e-6
        assert (found >= own - fall - 1e-5).all()
        assert (found <= last).all()
        torch.testing.assert_close(logit_margin(model(copies), y).detach(), found)
        last = found
    assert ((own - last) > 0.9 * fall).all()
    towards = random_search(model, x, y, 0.1, generator=rng(1), queries=600, targeted=True)[1]
    assert ((towards - own) > 0.9 * fall).all()


def test_random_search_asks_for_scores_alone_respects_bounds_and_takes_other_shapes(linear, rng):
    """No gradient, and as many questions as it may have."""
    asked = []
    model = linear(12, seed=1, dtype=torch.float32)
    model.register_forward_hook(lambda *_: asked.append(torch.is_grad_enabled()))
    x, y = torch.rand(4, 12, generator=rng(0)), torch.tensor([0, 1, 0, 1])
    copies, found = random_search(model, x, y, 0.5, generator=rng(1), queries=17)
    assert asked == [False] * 17
    assert copies.shape == x.shape
    assert copies.min() >= 0
    assert copies.max() <= 1
    assert (found <= logit_margin(model(x), y)).all()


class Stairs(nn.Module):
    """A net behind a quantiser: its gradient is zero, its answers are nearly the net's."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net((x * 64).round() / 64 + 0 * x)


def test_hidden_gradients_show(cnn, images):
    """The net behind a quantiser: a transfer from the net itself, and random search, do better."""
    model, (x, _) = cnn(), images(12)
    y = model(x).argmax(1)
    hidden = masking(Stairs(model), {"net": model}, x, y, 0.05, steps=(0, 1, 5), queries=60)
    assert hidden.flat == 1.0
    assert hidden.margins[0] == pytest.approx(hidden.margins[-1])
    assert hidden.transfer > 0.8
    assert hidden.blind > 0.8
    assert {s.split(" on ")[0] for s in hidden.signs} >= {
        "no gradient", "a transfer is better", "random search is better"
    }  # fmt: skip


def test_an_open_model_shows_no_sign(linear, rng):
    model = linear(16, seed=3, dtype=torch.float32)
    x = torch.rand(20, 1, 4, 4, generator=rng(0))
    y = model(x).argmax(1)
    others = {"another": linear(16, seed=4, dtype=torch.float32)}
    seen = masking(model, others, x, y, 0.2, steps=(0, 1, 5, 10), queries=40)
    assert seen.signs == ()
    assert seen.flat == seen.transfer == seen.blind == seen.far == 0.0
    assert list(seen.margins) == sorted(seen.margins, reverse=True)
    assert seen.margins[0] == pytest.approx(float(logit_margin(model(x), y).detach().mean()))


def test_worse_by_more_steps_and_recognised_far_away_are_signs():
    """A small hollow near x catches small steps; one long step reaches the deep one behind a hill.
    Nothing is ever lost, near or far."""

    def margin(v):
        v = (v - 0.5).abs()
        hill = torch.where(v < 0.06, 4.2 + 30 * (v - 0.02), (5.4 - 100 * (v - 0.06)).clamp(min=0.3))
        return torch.where(v < 0.02, 5 - 40 * v, hill)

    x, y = torch.full((4, 1, 1, 1), 0.51), torch.zeros(4, dtype=torch.int64)
    seen = masking(Line(margin), {}, x, y, 0.1, steps=(0, 20, 1), queries=5)
    assert seen.steps == (0, 1, 20)
    assert seen.margins[1] < 2 < 4 < seen.margins[2]
    assert seen.far == 1.0
    said = [s.split(" on ")[0] for s in seen.signs]
    assert said[0] == "more steps make the search worse"
    assert "recognised far away" in said
