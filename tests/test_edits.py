"""Edits of a text: at the stated rate, in order, and of nothing but tokens."""

import numpy as np
import pytest
import torch
from scipy import stats

from rurklib import residual_knowledge
from rurklib.perturb import PERTURBATIONS

LENGTH = 12


def numbered(sizes, dim=3):
    """Texts whose token j is the column (j + 1, -(j + 1), j + 1, ...): an edit can be read off."""
    sign = torch.tensor([1.0, -1.0]).repeat(dim)[:dim]
    text = sign[:, None] * torch.arange(1, LENGTH + 1)
    there = torch.arange(LENGTH) < torch.tensor(sizes)[:, None]
    return torch.where(there[:, None], text, torch.zeros(()))


def edit(name, x, tau, generator):
    return PERTURBATIONS[name].sample(None, x, None, tau, [generator], None)


def order(x):
    """Numbers of the tokens that a text has, by the first entry of its columns."""
    return [[int(v) for v in row if v != 0] for row in x[:, 0]]


@pytest.mark.parametrize("name", ["delete", "swap", "typo"])
def test_a_larger_rate_edits_what_a_smaller_one_does(name, rng, same_random_state):
    """Common random numbers: a curve over the rate is smooth; at 0 nothing changes. Fails if rates
    have streams of their own, if the generator doesn't decide, or if -0 gets into the padding."""
    x = numbered([LENGTH, 7] * 25, dim=16)
    with same_random_state():
        none, few, many, other = (
            edit(name, x, r, rng(s)) for r, s in ((0, 5), (0.2, 5), (0.6, 5), (0.6, 6))
        )
    assert torch.equal(none, x)
    assert torch.equal(x, numbered([LENGTH, 7] * 25, dim=16))  # the given texts stay as they are
    assert torch.equal(edit(name, x, 0.6, rng(5)), many)
    assert not torch.equal(many, other)
    assert not torch.signbit(many[1::2, :, 7:]).any()
    if name == "delete":
        pairs = zip(order(few), order(many), strict=True)
        assert all(set(b) <= set(a) for a, b in pairs)
    else:
        edited = (few != x).any(1)
        assert torch.equal(few.transpose(1, 2)[edited], many.transpose(1, 2)[edited])
        assert (many != x).any(1).sum() > edited.sum()


def test_tokens_are_deleted_at_the_rate_and_the_others_move_up(rng):
    """How many are left is binomial, each place is as likely, and the order stays. Fails if columns
    are zeroed in place, and if a number is drawn for the text as a whole or for the padding."""
    n, rate, size = 2000, 0.4, 7
    copies = edit("delete", numbered([size] * n), rate, rng(2))
    kept = order(copies)
    assert all(tokens == sorted(set(tokens)) for tokens in kept)
    assert torch.equal(copies != 0, numbered([len(tokens) for tokens in kept]) != 0)
    left = np.bincount([len(tokens) for tokens in kept], minlength=size + 1)
    expected = n * stats.binom(size, 1 - rate).pmf(range(size + 1))
    assert (np.abs(left - expected) < 4 * expected**0.5 + 4).all()
    each = np.bincount([t for tokens in kept for t in tokens], minlength=size + 1)[1:] / n
    assert np.abs(each - (1 - rate)).max() < 4 * (rate * (1 - rate) / n) ** 0.5
    assert not edit("delete", numbered([5, 1, LENGTH]), 1.0, rng(0)).any()


def test_pairs_are_exchanged_at_half_the_rate(rng):
    """Pairs begin with the first or with the second token, are exchanged at the rate, each on its
    own. Fails if padding is a partner, or a token moves further than one place."""
    seen = {tuple(tokens) for tokens in order(edit("swap", numbered([5] * 200), 1.0, rng(0)))}
    assert seen == {(2, 1, 4, 3, 5), (1, 3, 2, 5, 4)}
    n, rate, size = 2000, 0.6, LENGTH - 1
    tokens = np.array(order(edit("swap", numbered([size] * n), rate, rng(3))))
    assert (np.sort(tokens) == np.arange(1, size + 1)).all()
    changed = tokens[:, :-1] == np.arange(1, size)[None] + 1
    assert np.abs(changed.mean(0) - rate / 2).max() < 4 * (0.3 * 0.7 / n) ** 0.5
    begins_first = changed[:, ::2].any(1) & ~changed[:, 1::2].any(1)
    first = changed[begins_first][:, ::2].astype(float)
    assert abs(np.corrcoef(first[:, 0], first[:, 2])[0, 1]) < 0.15


def test_a_misspelt_token_has_new_signs_and_others_stay(rng):
    """Fails if padding is filled, if one sign serves the whole token, or at another rate."""
    n, dim, rate = 400, 64, 0.7
    x = numbered([9] * n, dim)
    copies = edit("typo", x, rate, rng(4))
    assert torch.equal(copies.abs(), x.abs())
    flipped = (copies != x)[:, :, :9].float().mean(1)  # [n, size]: 0, or about a half
    wrong = flipped > 0
    assert abs(float(wrong.float().mean()) - rate) < 4 * (rate * (1 - rate) / (n * 9)) ** 0.5
    assert abs(float(flipped[wrong].mean()) - 0.5) < 0.02
    assert float(flipped[wrong].std()) == pytest.approx(0.5 / dim**0.5, rel=0.15)


def test_residual_knowledge_takes_an_edit_as_any_perturbation(linear):
    """Of a net that asks for the last of two tokens, half of the texts with a token gone are told:
    the ratio to one that asks for any is (1 - tau) / (1 - tau^2). Labels stay."""
    x, y = torch.ones(200, 1, 2), torch.ones(200, dtype=torch.int64)
    both = linear([[0.0, 0.0], [0.0, 1.0]], bias=[0.5, 0.0], dtype=torch.float32)
    some = linear([[0.0, 0.0], [1.0, 0.0]], bias=[0.5, 0.0], dtype=torch.float32)
    result = residual_knowledge(
        both, [some, some], x, y, taus=[0.0, 0.4], perturbation="delete", draws=100, bounds=None
    )
    assert result.frame.ratio_of_means.tolist() == pytest.approx([1, 0.36 / 0.84], abs=0.02)
