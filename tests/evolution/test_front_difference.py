"""The difference of two fronts' hypervolumes over training seeds."""

import itertools
import math

import numpy as np
import pytest

from dualfair.evolution.front_difference import front_difference, resampled_means
from dualfair.evolution.pareto import hypervolume


def network(rng, seeds, at=(0.0, 0.0), spread=1.0):
    return np.asarray(at) + spread * rng.normal(size=(seeds, 2))


def all_means(values):
    """The mean of every equally likely draw of the seeds, stretched as the docstring says."""
    n, centre = len(values), values.mean(axis=0)
    stretch = math.sqrt(n / (n - 1)) if n > 1 else 1.0
    return [
        centre + stretch * (np.mean([values[i] for i in draw], axis=0) - centre)
        for draw in itertools.product(range(n), repeat=n)
    ]


def test_the_interval_is_that_of_all_draws_of_seeds():
    rng = np.random.default_rng(1)
    first, second = [network(rng, 2), network(rng, 3, (0.3, -0.3))], [network(rng, 2, (0.9, 1.0))]
    result = front_difference(first, second, np.random.default_rng(0), resamples=20_000)
    worlds = [np.array(world) for world in itertools.product(*map(all_means, (*first, *second)))]
    drawn = [hypervolume(world[:2], result.reference) - hypervolume(world[2:], result.reference) for world in worlds]
    assert result.interval == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.05)
    assert result.ahead == pytest.approx(np.mean(np.array(drawn) > 0), abs=0.015)


def test_resampled_means_vary_as_means_of_other_seeds_would():
    """The mean of n values has variance s^2 / n; drawing without stretching would give (n - 1) / n of that."""
    values = np.random.default_rng(0).normal(size=(3, 2))
    means = resampled_means([values], 40_000, np.random.default_rng(1))[:, 0]
    assert means.var(axis=0) == pytest.approx(values.var(axis=0, ddof=1) / 3, rel=0.03)
    assert means.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.02)


def test_a_clear_lead_is_ahead_and_turns_with_the_sides():
    rng = np.random.default_rng(2)
    ours, theirs = [network(rng, 4, spread=0.1)], [network(rng, 4, (3, 3), 0.1)]
    result, reverse = (front_difference(*sides, np.random.default_rng(0)) for sides in ((ours, theirs), (theirs, ours)))
    assert result.ahead == 1.0 and result.interval[0] > 0 and reverse.interval[1] < 0
    assert reverse.difference == pytest.approx(-result.difference)


def test_volumes_reach_a_tenth_of_the_range_behind_all_means():
    result = front_difference(
        [np.full((3, 2), 2.0)], [np.full((3, 2), 1.0), np.full((1, 2), 0.0)], np.random.default_rng(0)
    )
    assert result.reference == pytest.approx((2.2, 2.2)) and result.hypervolume == pytest.approx((0.2**2, 2.2**2))
    assert result.interval is None, "a network was trained but once"


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match="resamples must be 1 or more, got 0"):
        front_difference([np.zeros((2, 2))], [np.zeros((2, 2))], np.random.default_rng(0), resamples=0)
