"""LiRA and membership by one number: closed forms, intervals, and what is refused."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import norm
from torch import nn

from rurklib.metrics.lira import auc_interval, confidence, lira, lira_columns, membership

N, H, K = 44, 58, 8  # digits: forget and held-out eights, references


def world(rng, delta=0.0, n=N, h=H, k=K):
    """A model that is ``delta`` sigma surer of its forget samples than re-trained ones are.

    Samples differ far more in how hard they are (sd 6) than models do on a sample (sd 2).
    """
    hard = rng.normal(5, 6, n + h)
    model, references = hard + rng.normal(0, 2, n + h), hard + rng.normal(0, 2, (k, n + h))
    model[:n] += 2 * delta
    return model[:n], references[:, :n], model[n:], references[:, n:]


@pytest.mark.parametrize("delta", [0.0, 1.0, 2.0])
def test_auc_mean_z_and_coverage_in_many_worlds(delta):
    """With delta = 0 the model is one more reference. P(model > reference) = Phi(delta / sqrt 2);
    against held-out samples both z's carry the mean of K references: Phi(delta/sqrt(2 + 2/K)).

    Catches an inverted sign, raw confidence instead of per-sample calibration (hard samples would
    blur delta), a reference set that is scored in-sample, an sd in place of a variance, and
    intervals that are too narrow or too wide.
    """
    rng = np.random.default_rng(5)
    results = [lira(*world(rng, delta)) for _ in range(400)]
    beyond, low, high = np.array([r.held_out[:3] for r in results]).T
    expected, expected_beyond = norm.cdf(delta / np.sqrt([2, 2 + 2 / K]))
    assert np.mean([r.auc for r in results]) == pytest.approx(expected, abs=0.01)
    assert np.mean([r.mean_z for r in results]) == pytest.approx(delta, abs=0.05)
    assert beyond.mean() == pytest.approx(expected_beyond, abs=0.01)
    assert 0.92 <= ((low <= expected_beyond) & (expected_beyond <= high)).mean() <= 0.985


def test_surer_of_the_whole_class_is_not_memory_of_the_samples():
    """Catches a control that follows ``auc``: here every sample of the class gains two sigma."""
    rng = np.random.default_rng(6)
    forget, ref_forget, held_out, ref_held_out = world(rng, 2.0, n=400, h=400)
    result = lira(forget, ref_forget, held_out + 4.0, ref_held_out)
    assert result.auc > 0.85
    assert result.held_out.auc_low < 0.5 < result.held_out.auc_high


def test_confidence_is_exact_for_extreme_logits():
    """Catches log(p / (1 - p)) by way of p (infinite or NaN here), and one that ignores y."""
    logits = torch.tensor([[500.0, 0.0, 0.0], [-500.0, 0.0, 0.0], [3.0, 1.0, 1.0]])
    y, others = torch.zeros(3, dtype=torch.int64), np.log(2)
    expected = np.array([500.0, -500.0, 2.0]) - others
    np.testing.assert_allclose(confidence(nn.Identity(), logits, y), expected, rtol=1e-12)
    assert confidence(nn.Identity(), logits, y + 1)[0] == -500.0


def test_as_a_metric_it_takes_readings_and_says_nothing_with_fewer_than_two_references():
    own, refs, held_out, held_out_refs = world(np.random.default_rng(9))
    others = list(zip(refs, held_out_refs, strict=True))
    expected = lira(own, refs, held_out, held_out_refs)
    assert lira_columns((own, held_out), others) == (expected.auc, expected.mean_z)
    assert np.isfinite(lira_columns((own, held_out), others[:2])).all()
    assert np.isnan(lira_columns((own, held_out), others[:1])).all()


def test_auc_and_tpr_by_hand_ties_counted_half():
    """Others 0 ... 199: two false positives are allowed at 1 %, so a member must pass 197; with 60
    others none is."""
    members, others = np.array([197.0, 197.5, 198.5, 250.0, -1.0]), np.arange(200.0)
    found = membership(members, others)
    assert found.auc == pytest.approx((197.5 + 198 + 199 + 200) / 5 / 200)
    assert found.auc_low < found.auc < found.auc_high
    assert found.tpr == pytest.approx(3 / 5)
    exact = stats.beta.ppf([0.025, 0.975], [3, 4], [3, 2])
    assert (found.tpr_low, found.tpr_high) == pytest.approx(exact)
    assert membership(np.array([59.0, 59.5]), np.arange(60.0)).tpr == 0.5
    tied = np.array([[197.0], [198.0]])
    assert lira(members[:1], tied, np.zeros(1), np.zeros((2, 1))).auc == 0.25


def test_interval_of_one_pair_has_a_closed_form_and_keeps_a_width_at_the_ends():
    """With one pair the interval is Wilson's for one coin: [0.2065, 1] for a success. Catches the
    error taken at the estimate (width 0 at 1), and an interval that leaves [0, 1]."""
    q = 1.959964**2
    assert auc_interval(1.0, 1, 1) == pytest.approx((1 / (1 + q), 1.0))
    low, high = auc_interval(0.7, 44, 58)
    assert auc_interval(0.3, 44, 58) == pytest.approx((1 - high, 1 - low))
    assert 0.5 < low < 0.7 < high < 1
