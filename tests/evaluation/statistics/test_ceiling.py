"""How well the truth ranks networks itself: between seeds, between halves, and what an exact score would reach."""

import numpy as np
import pytest
from scipy import stats

from dualfair.evaluation.statistics.ceiling import noise_ceiling, truth_ceiling
from dualfair.evaluation.statistics.reliability import reliability


def scored(values):
    """Normal scores over the networks, column by column, by way of sorting."""
    table = np.asarray(values).reshape(len(values), -1)
    quantiles = stats.norm.ppf(np.arange(1, len(table) + 1) / (len(table) + 1))
    result = np.empty_like(table)
    for column, own in enumerate(table.T):
        result[np.argsort(own), column] = quantiles
    return result.reshape(np.shape(values))


def test_the_noise_ceiling_is_tau_between_all_pairs_of_seeds():
    # tau of columns 0 and 1 is (5 - 1)/6, of 0 and 2 -1, of 1 and 2 -(5 - 1)/6
    truth = np.array([[1, 1, 4], [2, 2, 3], [3, 4, 2], [4, 3, 1]])
    result = noise_ceiling(truth)
    assert (result.n, result.seeds, result.pairs, result.reason) == (4, 3, 3, None)
    assert (result.mean, result.lowest, result.highest) == (
        pytest.approx(-1 / 3),
        pytest.approx(-1),
        pytest.approx(2 / 3),
    )


def test_pairs_of_seeds_without_a_ranking_are_left_out_with_a_reason():
    truth = np.array([[1, 1, 7], [2, 3, 7], [3, 2, 7.0]])
    result = noise_ceiling(truth)
    assert (result.pairs, result.mean) == (1, pytest.approx(1 / 3))
    assert result.reason == "2 of 3 pairs of seeds undefined: seed column 2 is 7 for all 3 networks"
    nothing = noise_ceiling(truth[:2])
    assert (nothing.pairs, nothing.mean, nothing.lowest, nothing.highest) == (0, None, None, None)
    assert nothing.reason == "3 of 3 pairs of seeds undefined for 2 networks; at least 3 are needed"
    assert noise_ceiling(truth[:, :1]).reason == "undefined for 1 seed(s); at least 2 are needed"
    with pytest.raises(ValueError, match=r"shape \(networks, seeds\), got \(3,\)"):
        noise_ceiling(truth[:, 0])


def measured(n, seeds, rng, network=1.0, seed=0.3, people=0.4, rest=0.2):
    """Exact truths (n,), and what is measured of them on two halves of the people, (n, S, 2)."""
    exact = network * rng.normal(size=n)
    values = exact[:, None, None] + seed * rng.normal(size=(n, seeds, 1)) + people * rng.normal(size=(n, 1, 2))
    return exact, values + rest * rng.normal(size=(n, seeds, 2))


def test_the_ceiling_is_what_the_exact_truth_reaches_against_the_measured_one():
    exact, halves = measured(1500, 3, np.random.default_rng(0))
    result = truth_ceiling(halves.mean(axis=2), halves)
    reached = stats.kendalltau(exact, halves.mean(axis=(1, 2))).statistic
    assert result.tau == pytest.approx(reached, abs=0.03)
    assert result.interval[0] < result.tau < result.interval[1]
    assert result.from_halves and not result.at_most


def test_with_halves_the_reliability_is_that_of_the_mean_over_seeds_and_halves():
    _, halves = measured(12, 2, np.random.default_rng(1))
    result = truth_ceiling(halves.mean(axis=2), halves)
    assert result.reliability == pytest.approx(reliability(scored(halves)).of_mean(2, 2))
    assert result.tau == pytest.approx(2 / np.pi * np.arcsin(result.reliability**0.5))
    assert result.between_halves == pytest.approx(stats.kendalltau(*halves.mean(axis=1).T).statistic)


@pytest.mark.parametrize("halves", [None, "broken"])
def test_without_halves_it_is_spearman_brown_from_the_intraclass_correlation(halves):
    _, table = measured(10, 4, np.random.default_rng(2))
    truth = table.mean(axis=2)
    if halves:
        halves = table.copy()
        halves[3, 1, 0] = np.nan
    result = truth_ceiling(truth, halves)
    values = scored(truth)
    between = 4 * values.mean(axis=1).var(ddof=1)
    within = values.var(axis=1, ddof=1).mean()
    one = (between - within) / (between + 3 * within)
    assert result.reliability == pytest.approx(4 * one / (1 + 3 * one))
    assert (result.from_halves, result.at_most, result.between_halves) == (False, False, None)


def test_a_far_off_network_weighs_no_more_than_its_place():
    _, halves = measured(12, 3, np.random.default_rng(5), network=0.2)
    halves[0] += 5
    near = truth_ceiling(halves.mean(axis=2), halves)
    halves[0] += 5000
    assert truth_ceiling(halves.mean(axis=2), halves) == near


def test_one_seed_with_halves_bounds_the_ceiling_from_above():
    _, halves = measured(10, 1, np.random.default_rng(3))
    result = truth_ceiling(halves.mean(axis=2), halves)
    assert result.at_most and 0 < result.tau <= 1


def test_pure_noise_has_a_ceiling_near_0_and_noise_free_values_one_of_1():
    rng = np.random.default_rng(4)
    _, noise = measured(300, 3, rng, network=0.0)
    assert truth_ceiling(noise.mean(axis=2), noise).tau < 0.25
    exact = np.repeat(rng.normal(size=6), 6).reshape(6, 3, 2)
    assert truth_ceiling(exact[..., 0], exact).tau == pytest.approx(1)
    assert truth_ceiling(exact[..., 0]).tau == pytest.approx(1)


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (np.ones((2, 3)), "undefined for 2 networks; at least 3 are needed"),
        (np.ones((0, 0)), "undefined for 0 networks; at least 3 are needed"),
        (np.arange(4.0)[:, None], "undefined for 1 seed(s) and no halves: train 2 seeds or more"),
        (np.full((4, 2), np.inf), "undefined: the truth has values that are not finite"),
        (np.full((4, 2), 0.1), "undefined: the truth is the same for all 4 networks"),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(truth, reason):
    result = truth_ceiling(truth)
    assert (result.tau, result.reliability, result.interval, result.reason) == (None, None, None, reason)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"halves must have the shape \(4, 2, 2\), got \(4, 2\)"):
        truth_ceiling(np.ones((4, 2)), np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"shape \(networks, seeds\), got \(4,\)"):
        truth_ceiling(np.ones(4))
