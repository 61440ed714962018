"""Spearman's correlation against scipy, with ties and with resampled networks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from dualfair.evaluation.statistics.kendall import pearsons, rhos
from dualfair.evaluation.statistics.ranking import measure_correlation

values = st.integers(0, 5).map(float)


@given(st.lists(st.tuples(values, values, st.integers(0, 3)), min_size=4, max_size=9))
def test_resampled_networks_count_as_often_as_they_were_drawn(rows):
    first, second, counts = np.array(rows).T
    counts[0] += 1
    ours = rhos(first, second, counts[None])[0]
    drawn = np.repeat(np.arange(len(rows)), counts.astype(int))
    if len(np.unique(first[drawn])) > 1 and len(np.unique(second[drawn])) > 1:
        assert ours == pytest.approx(spearmanr(first[drawn], second[drawn]).statistic)
    else:
        assert np.isnan(ours)


def test_value_and_interval():
    rng = np.random.default_rng(0)
    first = rng.normal(size=40)
    second = first + 0.3 * rng.normal(size=40)
    result = measure_correlation(first, second, resamples=400)
    assert result.value == pytest.approx(spearmanr(first, second).statistic) and result.n == 40
    assert result.interval[0] < result.value < result.interval[1] and result.interval[0] > 0.6


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1, 2], [1, 2], "2 networks; at least 3"),
        ([1, 1, 1], [1, 2, 3], "error is 1 for all 3 networks"),
        ([1, 2, np.nan], [1, 2, 3], "undefined"),
    ],
)
def test_what_is_undefined_says_why(first, second, message):
    result = measure_correlation(first, second, names=("error", "gap"))
    assert result.value is None and message in result.reason


def test_equal_scores_have_no_pearson_correlation_however_they_are_rounded():
    rng = np.random.default_rng(0)
    for unit in rng.random(200):
        first, second = np.array([0.35, 0.35, 0.4]) * unit, 100 * rng.random(3)
        counts = np.array([[1, 2, 0], [2, 1, 0], [1, 1, 1]])
        found = pearsons(first, second, counts)
        assert np.isnan(found[:2]).all()
        assert found[2] == pytest.approx(np.corrcoef(first, second)[0, 1])
