"""Means of several taus with one truth, against scipy and a plain bootstrap over networks."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from dualfair.evaluation.statistics.mean_tau import all_taus, mean_tau, resampled_networks

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=24)
NEAR, FAR = ([TRUTH + noise * RNG.normal(size=24) for _ in range(3)] for noise in (0.3, 3.0))
COUNTS = resampled_networks(24, 400, 0)


def plain_bootstrap(function):
    """The interval of a function of drawn networks (n,)."""
    rng = np.random.default_rng(5)
    return np.quantile([function(rng.integers(24, size=24)) for _ in range(400)], [0.025, 0.975])


def mean_of(scores, rows):
    return np.mean([kendalltau(values[rows], TRUTH[rows]).statistic for values in scores])


@pytest.mark.parametrize("scores", [NEAR, FAR])
def test_taus_are_scipys_and_intervals_are_those_of_a_plain_bootstrap_over_networks(scores):
    result = mean_tau(all_taus(scores, TRUTH, COUNTS))
    expected = [kendalltau(values, TRUTH).statistic for values in scores]
    assert result.taus == pytest.approx(expected) and result.mean == pytest.approx(np.mean(expected))
    assert result.interval == pytest.approx(plain_bootstrap(lambda rows: mean_of(scores, rows)), abs=0.06)
    assert result.difference is None and result.difference_interval is None


def test_a_difference_is_paired_over_networks():
    near, far = (all_taus(scores, TRUTH, COUNTS) for scores in (NEAR, FAR))
    result = mean_tau(far, near)
    assert result.difference == pytest.approx(mean_tau(far).mean - mean_tau(near).mean)
    interval = plain_bootstrap(lambda rows: mean_of(FAR, rows) - mean_of(NEAR, rows))
    assert result.difference_interval == pytest.approx(interval, abs=0.06) and result.difference_interval[1] < 0
    assert mean_tau(near, near).difference_interval == (0.0, 0.0)
    # The order of the resamples matters for what is paired, and for nothing else.
    unpaired = mean_tau(near, np.concatenate([near[:, :1], near[:, :0:-1]], axis=1))
    assert unpaired.difference == 0 and unpaired.difference_interval[0] < 0 < unpaired.difference_interval[1]


def test_constant_scores_are_undefined():
    result = mean_tau(all_taus([np.zeros(24), *NEAR], TRUTH, COUNTS))
    assert result.taus[0] is None and None not in result.taus[1:]
    assert result.mean is None and result.interval is None
