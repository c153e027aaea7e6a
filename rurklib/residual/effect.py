"""How far a model is from re-trained ones over the whole curve: one number, its interval, its unit.

Re-trained models that were shown other copies than the model (those that a gradient-based search
found on it) are first put where they would be on copies found on themselves: what a search gains is
no knowledge of the model, and the verdict's p takes it off too.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rurklib.residual import uncertainty
from rurklib.residual.parts import in_sd, unit_of
from rurklib.residual.uncertainty import Pair


class Effect(NamedTuple):
    """The distance from the average re-trained model, its interval, and in which unit; ``gained``:
    whether re-trained models gain something on copies of their own, and were put there."""

    value: float
    low: float
    high: float
    unit: str
    gained: bool


def effect_of_margins(
    margins: Pair, null: Sequence[Pair], level: float, *, scaled: bool = False
) -> Effect:
    """In logits; ``scaled``: with every model's spread over samples made the re-trained ones'."""
    unit = unit_of(margins) if scaled else 1.0

    def read(values: np.ndarray) -> np.ndarray:
        return in_sd(values) * unit if scaled else values

    others, gained = on_own_copies(read(margins[1]), ((read(a), read(b)) for a, b in null))
    a, b = (m.mean(-2, keepdims=True) for m in (read(margins[0]), others))
    low, high = uncertainty.difference_interval(a, b, level=level)
    return Effect(float(a.mean() - b.mean()), float(low[0]), float(high[0]), "logits", gained)


def effect_of_hits(hits: Pair, null: Sequence[Pair], draws: int, level: float) -> Effect:
    """A ratio of mean accuracies; where no re-trained model recognises anything, a difference."""
    others, gained = on_own_copies(hits[1], null)
    # Streams of copies are shared by all taus, so a mean over taus may be as noisy as one of them.
    shares = hits[0] / draws, np.clip(others / draws, 0, 1)
    a, b = (s.mean(-2, keepdims=True) * draws for s in shares)
    if b.any():
        low, high = uncertainty.ratio_interval(a, b, draws, level)
        return Effect(float(a.mean() / b.mean()), float(low[0]), float(high[0]), "ratio", gained)
    low, high = uncertainty.difference_interval(a, b, draws, level)
    value = float((a.mean() - b.mean()) / draws)
    return Effect(value, float(low[0]), float(high[0]), "accuracy", gained)


def on_own_copies(others: np.ndarray, null: Iterable[Pair]) -> tuple[np.ndarray, bool]:
    """Values of re-trained models [k, tau, sample] on a model's copies, moved by what such models
    gain on copies of their own, and whether that is anything.

    ``null``: each on its own copies [tau, sample], and the rest on those [k - 1, tau, sample]. Its
    distance from the rest is k / (k - 1) times that from the mean of all, where nobody gains
    anything; the values are then returned as they are.
    """
    away = [own - rest.mean(0) for own, rest in null if len(rest)]
    gain = np.mean(away, 0) if away else np.zeros(1)
    if np.abs(gain).max() < 1e-9:  # all on the same copies, but for rounding
        return others, False
    k = len(away)
    return others.mean(0) + gain + (np.stack(away) - gain) * ((k - 1) / k), True


def as_ratio(others: np.ndarray, draws: int, shift: float) -> float:
    """A shift of the references' log-odds as a ratio of accuracies; NaN if they have none, inf if
    a model that is always right would not have shifted by that."""
    n = others.shape[-1]
    odds = uncertainty.log_odds(others, draws).mean()
    if not others.any():
        return np.nan
    if odds + shift > np.log(2 * n + 1):
        return np.inf
    accuracy = uncertainty.accuracy_of(np.array([odds, odds + shift]), n)
    return float(accuracy[1] / accuracy[0])
