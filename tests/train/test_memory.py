"""Out of memory, injected: a step is taken in parts, and the failed try leaves no trace."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib import InputError
from rurklib.rng import seeded
from rurklib.train.fit import fit
from rurklib.train.loop import descend
from rurklib.train.memory import Parts

OutOfMemory = torch.cuda.OutOfMemoryError


class Tight(nn.Module):
    """A net on a device with room for ``room`` samples; ``late`` fails behind the first layers,
    which have drawn their random numbers and moved their statistics by then."""

    def __init__(self, body: nn.Module, head: nn.Module, room: int = 10**9) -> None:
        super().__init__()
        self.body, self.head, self.room = body, head, room
        self.seen: list[int] = []

    def forward(self, x):
        x = self.body(x)
        self.seen.append(len(x))
        if len(x) > self.room:
            raise OutOfMemory("CUDA out of memory. Tried to allocate 2 GiB\nand more")
        return self.head(x)


def net(room: int = 10**9, norm: bool = False, dropout: float = 0.0) -> Tight:
    with seeded(0):
        body = [
            nn.Flatten(),
            nn.Linear(36, 8),
            nn.BatchNorm1d(8, momentum=None) if norm else nn.ReLU(),
        ]
        return Tight(nn.Sequential(*body, nn.Dropout(dropout)), nn.Linear(8, 3), room).double()


def trained(model: Tight, images, n: int = 24, batch_size: int = 8, **options) -> Tight:
    x, y = images(n)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit(model, x.double(), y, seed=0, epochs=3, lr=0.2, batch_size=batch_size, **options)
    model.said = [str(w.message) for w in said]
    return model


@pytest.mark.parametrize("room", [7, 4, 3, 1])
@pytest.mark.parametrize("n", [24, 23])
def test_parts_add_up_to_the_whole_batch(room, n, images):
    """In double precision, to 1e-12, with momentum and weight decay, in batches that can't be
    divided evenly. Fails if parts weigh alike whatever their length, if gradients of the failed
    try stay, or if a step is taken for each part."""
    whole, parts = trained(net(), images, n), trained(net(room), images, n)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_it_is_said_once_and_remembered(images):
    """8 fail, 4 fail, 2 go; from then on nothing is tried that failed before."""
    model = trained(net(room=3), images)
    assert model.seen == [8, 4] + [2] * 4 * 9
    assert [s[:55] for s in model.said] == [
        "out of memory at 8 samples: going on in parts of 4; gra",
        "out of memory at 4 samples: going on in parts of 2; gra",
    ]
    assert trained(net(), images).said == []


def test_a_failed_try_leaves_buffers_as_they_were(images):
    """BatchNorm that counts and averages over all it was shown: 2 + 2 samples for each batch of 4,
    and not the failed 4. Fails if running statistics are those of the failed try too."""
    model = trained(net(room=2, norm=True), images, n=8, batch_size=4)
    assert model.seen[0] == 4
    assert int(model.body[2].num_batches_tracked) == 2 * 2 * 3
    assert trained(net(norm=True), images, n=8, batch_size=4).body[2].num_batches_tracked == 2 * 3


def test_a_failed_try_draws_no_random_numbers(images):
    """Gradients with dropout are, to the bit, those of a step that knew the limit beforehand; so is
    what is drawn next. Fails if the random state or gradients aren't put back."""
    x, y = images(8)
    found = []
    for room, most in ((4, 0), (10**9, 4)):
        model = net(room, dropout=0.5)

        def backward(xp, yp, share, model=model):
            (F.cross_entropy(model(xp), yp) * share).backward()

        with seeded(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Parts(model, backward, most)(x.double(), y)
            found.append([*(p.grad for p in model.parameters()), torch.rand(3)])
        assert model.seen == ([8] if room == 4 else []) + [4, 4]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_parts_done_before_one_fails_do_not_count_twice(images):
    """The second of two parts fails once: another program took the memory. Fails if the first
    part's gradients are still there when the batch is tried again."""
    x, y = images(8)
    model, calls = net(), []

    def backward(xp, yp, share):
        calls.append(len(yp))
        if len(calls) == 2:
            raise OutOfMemory("out")
        (F.cross_entropy(model(xp), yp) * share).backward()

    with pytest.warns(UserWarning, match="at 4 samples: going on in parts of 2"):
        Parts(model, backward, 4)(x.double(), y)
    assert calls == [4, 4, 2, 2, 2, 2]
    wanted = torch.autograd.grad(F.cross_entropy(model(x.double()), y), list(model.parameters()))
    for p, g in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(p.grad, g, atol=1e-12, rtol=0)


def test_one_sample_that_does_not_fit_is_an_error_with_a_mend(images):
    with pytest.raises(InputError, match=r"batch of 1 .CUDA out of memory.*lower the size"):
        trained(net(room=0), images)


def test_methods_do_not_split_but_say_what_to_lower(images):
    """Their losses are sums about several batches, which no rule can divide."""
    x, y = images(8)
    model = net(room=4).float()
    with pytest.raises(InputError, match=r"lower batch_size, as in .*RURK.batch_size=32"):
        descend(model, lambda xb, yb: F.cross_entropy(model(xb), yb), [(x, y)], steps=1, lr=0.1)
    assert model.seen == [8]


def test_other_errors_are_not_taken_for_it(images):
    model = net()
    model.head = nn.Linear(9, 3).double()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trained(model, images)
    assert len(model.seen) == 1
