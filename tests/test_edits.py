"""Edits of a text: at the stated rate, in order, and of nothing but tokens."""

import numpy as np
import pytest
import torch
from scipy import stats

from rurklib import residual_knowledge
from rurklib.edits import check_texts
from rurklib.perturb import PERTURBATIONS

EDITS = ("delete", "swap", "typo")
LENGTH = 12


def numbered(sizes, dim=3, length=LENGTH):
    """Texts whose token j is the column (j + 1, -(j + 1), j + 1, ...): an edit can be read off."""
    x = torch.zeros(len(sizes), dim, length)
    sign = torch.tensor([1.0, -1.0]).repeat(dim)[:dim]
    for i, size in enumerate(sizes):
        x[i, :, :size] = sign[:, None] * torch.arange(1, size + 1)
    return x


def edit(name, x, tau, generator, bounds=None):
    return PERTURBATIONS[name].sample(None, x, None, tau, [generator], bounds)


def order(x):
    """Numbers of the tokens that a text has, by the first entry of its columns."""
    return [[int(v) for v in row if v != 0] for row in x[:, 0]]


def test_the_edits_are_the_laws_of_tokens():
    assert tuple(n for n, law in PERTURBATIONS.items() if law.check is check_texts) == EDITS


@pytest.mark.parametrize("name", EDITS)
def test_without_a_rate_nothing_changes(name, rng):
    x = numbered([5, 1, LENGTH])
    out = edit(name, x, 0.0, rng(0))
    assert torch.equal(out, x)
    assert out.data_ptr() != x.data_ptr()


def test_at_rate_one_no_token_is_left(rng):
    x = numbered([5, 1, LENGTH])
    out = edit("delete", x, 1.0, rng(0))
    assert torch.equal(out, torch.zeros_like(x))
    assert not torch.signbit(out).any()  # -0 would be another text, byte by byte


def test_what_is_not_deleted_keeps_its_order_and_moves_up(rng):
    """Fails if columns are zeroed in place, or sorted unstably."""
    sizes = [7, 3, LENGTH] * 20
    x = numbered(sizes)
    out = edit("delete", x, 0.4, rng(1))
    columns = numbered([LENGTH])[0]
    for row, kept, size in zip(out, order(out), sizes, strict=True):
        assert kept == sorted(set(kept))
        assert set(kept) <= set(range(1, size + 1))
        empty = torch.zeros(len(columns), LENGTH - len(kept))
        assert torch.equal(row, torch.cat([columns[:, [k - 1 for k in kept]], empty], 1))


@pytest.mark.parametrize(("rate", "size"), [(0.1, 4), (0.5, LENGTH)])
def test_each_token_is_deleted_at_the_rate_on_its_own(rate, size, rng):
    """How many are left is binomial, and each place is as likely. Fails if a number is drawn for
    the text as a whole, for the padding, or at another rate."""
    n = 2000
    out = order(edit("delete", numbered([size] * n), rate, rng(2)))
    left = np.bincount([len(kept) for kept in out], minlength=size + 1)
    expected = n * stats.binom(size, 1 - rate).pmf(range(size + 1))
    assert (np.abs(left - expected) < 4 * expected**0.5 + 4).all()
    each = np.bincount([t for kept in out for t in kept], minlength=size + 1)[1:] / n
    assert np.abs(each - (1 - rate)).max() < 4 * (rate * (1 - rate) / n) ** 0.5


def test_at_rate_one_all_pairs_are_exchanged(rng):
    """Pairs begin with the first or with the second token. Fails if padding is a partner, or a
    token moves further than one place."""
    seen = {tuple(kept) for kept in order(edit("swap", numbered([5] * 200), 1.0, rng(0)))}
    assert seen == {(2, 1, 4, 3, 5), (1, 3, 2, 5, 4)}
    even = {tuple(kept) for kept in order(edit("swap", numbered([4] * 200), 1.0, rng(0)))}
    assert even == {(2, 1, 4, 3), (1, 3, 2, 4)}
    alone = edit("swap", numbered([1] * 50), 1.0, rng(0))
    assert torch.equal(alone, numbered([1] * 50))


@pytest.mark.parametrize("size", [LENGTH, LENGTH - 1])
def test_neighbours_are_exchanged_at_half_the_rate(size, rng):
    """Two neighbours are a pair in half of the draws, and are then exchanged at the rate; a swapped
    text has the same tokens. Fails if pairs always begin at the first token, or share a number."""
    n, rate = 2000, 0.6
    out = order(edit("swap", numbered([size] * n), rate, rng(3)))
    assert all(sorted(kept) == list(range(1, size + 1)) for kept in out)
    changed = np.array(out)[:, :-1] == np.arange(1, size)[None] + 1
    share = changed.mean(0)
    assert np.abs(share - rate / 2).max() < 4 * (0.3 * 0.7 / n) ** 0.5
    begins_first = changed[:, ::2].any(1) & ~changed[:, 1::2].any(1)
    first = changed[begins_first][:, ::2].astype(float)
    assert abs(np.corrcoef(first[:, 0], first[:, 2])[0, 1]) < 0.15


@pytest.mark.parametrize("rate", [0.1, 0.7, 1.0])
def test_a_misspelt_token_has_new_signs_and_others_stay(rate, rng):
    """Fails if padding is filled, if one sign serves the whole token, or at another rate."""
    n, dim, size = 400, 64, 9
    x = torch.zeros(n, dim, LENGTH)
    x[:, :, :size] = torch.randint(0, 2, (n, dim, size), generator=rng(9)) * 2.0 - 1
    out = edit("typo", x, rate, rng(4))
    assert torch.equal(out.abs(), x.abs())
    assert not torch.signbit(out[:, :, size:]).any()  # -0 would be another text, byte by byte
    flipped = (out != x)[:, :, :size].float().mean(1)  # [n, size]: 0, or about a half
    wrong = flipped > 0
    assert (
        abs(float(wrong.float().mean()) - rate) < 4 * (rate * (1 - rate) / (n * size)) ** 0.5 + 1e-9
    )
    assert abs(float(flipped[wrong].mean()) - 0.5) < 0.02
    assert float(flipped[wrong].std()) == pytest.approx(0.5 / dim**0.5, rel=0.15)


@pytest.mark.parametrize("name", EDITS)
def test_a_generator_decides_the_edits(name, rng, same_random_state):
    x = numbered([LENGTH] * 6)
    with same_random_state():
        one, same, other = (edit(name, x, 0.5, rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(x, numbered([LENGTH] * 6))  # the given texts are left as they are
    assert not torch.equal(one[0], one[1]) or not torch.equal(one[1], one[2])


@pytest.mark.parametrize("name", EDITS)
def test_a_larger_rate_edits_what_a_smaller_one_does(name, rng):
    """Common random numbers: a curve over the rate is smooth. Fails if rates have streams of their
    own."""
    x = numbered([LENGTH] * 50, dim=16)
    few, many = (edit(name, x, rate, rng(5)) for rate in (0.2, 0.6))
    if name == "delete":
        pairs = zip(order(few), order(many), strict=True)
        assert all(set(b) <= set(a) for a, b in pairs)
    else:
        edited = (few != x).any(1)
        assert torch.equal(few.transpose(1, 2)[edited], many.transpose(1, 2)[edited])
        assert (many != x).any(1).sum() > edited.sum()


def test_residual_knowledge_takes_an_edit_as_any_law(linear, rng):
    """Of a net that asks for the last of two tokens, half of the texts with a token gone are told:
    the ratio to one that asks for any is (1 - tau) / (1 - tau^2). Labels stay. Fails if edits don't
    reach the measurement."""
    x, y = torch.ones(200, 1, 2), torch.ones(200, dtype=torch.int64)
    both = linear([[0.0, 0.0], [0.0, 1.0]], bias=[0.5, 0.0], dtype=torch.float32)
    some = linear([[0.0, 0.0], [1.0, 0.0]], bias=[0.5, 0.0], dtype=torch.float32)
    result = residual_knowledge(
        both, [some, some], x, y, taus=[0.0, 0.4], perturbation="delete", draws=100, bounds=None
    )
    clean, edited = result.frame.ratio_of_means
    assert clean == 1
    assert edited == pytest.approx(0.36 / 0.84, abs=0.02)
