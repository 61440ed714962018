"""Dominance of a front over other networks, against brute force over all equally likely draws of seeds."""

import itertools
import math

import numpy as np
import pytest

from dualfair.evolution.dominance import (
    CANNOT_BE_TOLD,
    DOES_NOT,
    DOMINATES,
    compare,
    resampled_means,
    verdict_of,
)


def beats(first, second):
    return first[0] <= second[0] and first[1] <= second[1] and (first[0] < second[0] or first[1] < second[1])


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


def test_probabilities_are_those_of_all_draws_of_seeds():
    rng = np.random.default_rng(1)
    front = [network(rng, 2), network(rng, 3, (0.3, -0.3))]
    others = [network(rng, 2, (0.9, 1.0)), network(rng, 1, (0.7, 0.7))]
    comparison = compare(front, others, np.random.default_rng(0), resamples=20_000)
    worlds = list(itertools.product(*map(all_means, (*front, *others))))
    any_dominates = [np.mean([any(beats(f, world[2 + o]) for f in world[:2]) for world in worlds]) for o in range(2)]
    best_dominates = [
        max(np.mean([beats(world[f], world[2 + o]) for world in worlds]) for f in range(2)) for o in range(2)
    ]
    all_dominated = np.mean([all(any(beats(f, o) for f in world[:2]) for o in world[2:]) for world in worlds])
    assert 0.1 < all_dominated < 0.9
    assert [dominance.probability for dominance in comparison.each] == pytest.approx(any_dominates, abs=0.015)
    assert [dominance.probability_by for dominance in comparison.each] == pytest.approx(best_dominates, abs=0.015)
    assert comparison.probability == pytest.approx(all_dominated, abs=0.015)


def test_resampled_means_vary_as_means_of_other_seeds_would():
    """The mean of n values has variance s^2 / n; drawing without stretching would give (n - 1) / n of that."""
    values = np.random.default_rng(0).normal(size=(3, 2))
    means = resampled_means([values], 40_000, np.random.default_rng(1))[:, 0]
    assert means.var(axis=0) == pytest.approx(values.var(axis=0, ddof=1) / 3, rel=0.03)
    assert means.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.02)


def test_a_clear_lead_with_enough_seeds_dominates_and_a_clear_lag_does_not():
    rng = np.random.default_rng(2)
    front, others = [network(rng, 4, spread=0.1)], [network(rng, 4, (3, 3), 0.1), network(rng, 4, (2, 5), 0.1)]
    comparison = compare(front, others, rng)
    assert (comparison.verdict, comparison.probability, comparison.ahead) == (DOMINATES, 1.0, 1.0)
    assert comparison.interval[0] > 0
    reverse = compare(others, front, rng)
    assert (reverse.verdict, reverse.probability) == (DOES_NOT, 0.0) and reverse.interval[1] < 0
    assert reverse.difference == pytest.approx(-comparison.difference)


@pytest.mark.parametrize("seeds", [1, 2])
def test_even_the_clearest_lead_of_one_or_two_seeds_cannot_be_told(seeds):
    rng = np.random.default_rng(3)
    comparison = compare([network(rng, seeds, spread=0.1)], [network(rng, seeds, (9, 9), 0.1)], rng)
    assert comparison.probability == 1.0 and comparison.verdict == comparison.each[0].verdict == CANNOT_BE_TOLD
    assert (comparison.interval is None) == (seeds == 1)


def test_the_seeds_that_a_verdict_needs_grow_with_the_front():
    """Three against three separate by chance once in 20; two candidates have that chance twice."""
    assert verdict_of(1.0, 1.0, (3, 3), 1) == DOMINATES
    assert verdict_of(1.0, 1.0, (3, 3), 2) == CANNOT_BE_TOLD
    assert verdict_of(1.0, 1.0, (4, 4), 2) == DOMINATES
    assert verdict_of(1.0, 0.97, (4, 4), 2) == CANNOT_BE_TOLD
    assert verdict_of(0.05, 0.05, (4, 4), 2) == DOES_NOT
    assert verdict_of(0.5, 0.5, (9, 9), 1) == CANNOT_BE_TOLD


def test_among_networks_that_are_all_alike_hardly_any_is_said_to_dominate():
    rng, claims = np.random.default_rng(4), 0
    for _ in range(200):
        front, others = [network(rng, 5) for _ in range(4)], [network(rng, 5)]
        claims += compare(front, others, rng, resamples=200).each[0].verdict == DOMINATES
    assert claims <= 10


def test_equal_networks_do_not_dominate_each_other():
    trainings = np.ones((4, 2))
    comparison = compare([trainings], [trainings], np.random.default_rng(0), resamples=50)
    assert comparison.probability == 0.0 and comparison.verdict == DOES_NOT and comparison.difference == 0.0


def test_only_the_others_front_counts_in_their_volume():
    rng = np.random.default_rng(0)
    front, others = [np.full((3, 2), 2.0)], [np.full((3, 2), 1.0), np.full((3, 2), 0.0)]
    whole = compare(front, others, rng, resamples=10)
    chosen = compare(front, others, rng, other_front=[0], resamples=10)
    assert whole.hypervolume[1] == pytest.approx(2.2**2) and chosen.hypervolume[1] == pytest.approx(1.2**2)
    assert whole.reference == pytest.approx((2.2, 2.2))


@pytest.mark.parametrize("bad", [[], [np.zeros((0, 2))], [np.zeros((2, 3))], [np.array([[np.nan, 0.0]])]])
def test_no_network_no_training_and_no_number_are_refused(bad):
    with pytest.raises(ValueError, match="front"):
        compare(bad, [np.zeros((2, 2))], np.random.default_rng(0))
