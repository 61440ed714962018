import doctest
import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dualfair.evaluation.statistics import ranking
from dualfair.evaluation.statistics.kendall import corrected_partial_taus, partial_taus, permutation_p
from dualfair.evaluation.statistics.ranking import (
    correlation,
    evenly_spaced,
    partial_tau,
    regret,
    stratified_tau,
    tau_difference,
    top_k_overlap,
    weighted_tau,
)

few_levels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12)


def tau_b(first, second):
    """Kendall's tau-b by its definition over all pairs; None where it is undefined."""
    pairs = list(itertools.combinations(range(len(first)), 2))
    signs = [[np.sign(scores[i] - scores[j]) for i, j in pairs] for scores in (first, second)]
    untied = [sum(sign != 0 for sign in column) for column in signs]
    if 0 in untied:
        return None
    return sum(a * b for a, b in zip(*signs, strict=True)) / (untied[0] * untied[1]) ** 0.5


@given(few_levels)
@settings(max_examples=50, deadline=None)
def test_tau_is_tau_b_by_definition_and_ties_are_counted(scores):
    cheap, truth = zip(*scores, strict=True)
    result = correlation(cheap, truth, resamples=2)
    expected = tau_b(cheap, truth)
    assert result.tau == (None if expected is None else pytest.approx(expected))
    if expected is not None:
        assert result.tau == pytest.approx(stats.kendalltau(cheap, truth, variant="b").statistic)
        assert result.spearman == pytest.approx(np.corrcoef(stats.rankdata(cheap), stats.rankdata(truth))[0, 1])
    assert result.ties_cheap == sum(a == b for a, b in itertools.combinations(cheap, 2))
    assert result.ties_truth == sum(a == b for a, b in itertools.combinations(truth, 2))


def test_76_of_78_pairs_are_a_tau_of_0_9487():
    truth = list(range(13))
    cheap = [1, 0, 2, 3, 5, 4, *range(6, 13)]
    assert correlation(cheap, truth, resamples=2).tau == pytest.approx((76 - 2) / 78)


def noisy_pair(n, noise=0.7, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    return truth + noise * rng.normal(size=n), truth


def test_the_interval_is_that_of_scipy_and_depends_on_the_seed_only():
    cheap, truth = noisy_pair(20)
    result = correlation(cheap, truth, resamples=300, seed=4)
    expected = stats.bootstrap(
        (cheap, truth),
        lambda a, b: stats.kendalltau(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=300,
        confidence_level=0.95,
        random_state=np.random.default_rng(4),
    ).confidence_interval
    assert result.method == "BCa"
    assert result.interval == pytest.approx(tuple(expected))
    assert result.interval[0] < result.tau < result.interval[1]
    assert result == correlation(cheap, truth, resamples=300, seed=4)
    assert result.interval != correlation(cheap, truth, resamples=300, seed=5).interval


def test_the_percentile_interval_stands_in_where_bca_is_undefined():
    # With five networks some resamples draw one of them five times: those have no tau.
    cheap, truth = np.array([1, 2, 3, 4, 5]), np.array([2, 1, 3, 5, 4])
    result = correlation(cheap, truth, resamples=800)
    rng = np.random.default_rng(8)
    taus = [tau_b(cheap[drawn], truth[drawn]) for drawn in rng.integers(0, 5, size=(800, 5))]
    assert None in taus
    low, high = np.quantile([tau for tau in taus if tau is not None], [0.025, 0.975])
    assert result.method == "percentile"
    assert result.interval == pytest.approx((low, high), abs=0.1)
    assert result.interval[0] < result.interval[1]
    assert result.reason is None


def test_an_interval_that_says_nothing_is_not_given():
    result = correlation([1, 2, 3, 4], [10, 20, 30, 40], resamples=200)
    assert (result.tau, result.spearman) == (pytest.approx(1), pytest.approx(1))
    assert (result.interval, result.method) == (None, None)
    assert result.reason == "interval undefined: tau is the same in every resample of these 4 networks"


@pytest.mark.parametrize(
    ("cheap", "truth", "reason"),
    [
        ([], [], "undefined for 0 networks; at least 3 are needed"),
        ([1, 2], [1, 2], "undefined for 2 networks; at least 3 are needed"),
        ([1, 1, 1], [1, 2, 3], "undefined: cheap is 1 for all 3 networks"),
        ([1, 2, 3], [0.5, 0.5, 0.5], "undefined: truth is 0.5 for all 3 networks"),
        ([1, 2, 3], [1, np.nan, np.inf], "undefined: truth has 2 of 3 networks without a finite score"),
    ],
)
def test_an_undefined_correlation_is_none_with_a_reason_and_never_0(cheap, truth, reason):
    result = correlation(cheap, truth)
    assert (result.tau, result.spearman, result.interval, result.method) == (None, None, None, None)
    assert result.reason == reason


def test_no_warning_reaches_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert correlation([1, 2, 3], [1, 2, 3], resamples=50).tau == 1
        assert correlation([1, 2, 3], [1, 1, 3], resamples=50).ties_truth == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cheap": [1, 2], "truth": [1, 2, 3]}, r"same networks, got shapes \(2,\) and \(3,\)"),
        ({"resamples": 0}, "resamples must be 1 or more, got 0"),
    ],
)
def test_what_cannot_be_correlated_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        correlation(**{"cheap": [1, 2, 3], "truth": [1, 3, 2], **arguments})


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=4), st.data())
@settings(max_examples=40, deadline=None)
def test_top_k_overlap_is_the_average_over_all_orders_of_ties(scores, data):
    cheap, truth = np.array(scores).T
    k = data.draw(st.integers(1, len(cheap)))
    orders = [np.array(order) for order in itertools.permutations(range(len(cheap)))]
    best = [[set(np.lexsort((order, values))[:k].tolist()) for order in orders] for values in (cheap, truth)]
    expected = np.mean([len(a & b) / k for a in best[0] for b in best[1]])
    assert top_k_overlap(cheap, truth, k) == pytest.approx(expected)


def test_top_k_overlap_without_ties():
    assert top_k_overlap([1, 2, 3, 4], [1, 3, 2, 4], 2) == 0.5
    assert top_k_overlap([1, 2, 3, 4], [4, 3, 2, 1], 2) == 0
    with pytest.raises(ValueError, match="k must be 1 to 4, the number of networks, got 5"):
        top_k_overlap([1, 2, 3, 4], [4, 3, 2, 1], 5)


def test_regret_is_what_the_cheap_pick_costs():
    truth = [0.3, 0.2, 0.5]
    assert regret([3, 1, 2], truth) == 0
    assert regret([1, 2, 3], truth) == pytest.approx(0.1)
    # The cheap score cannot tell the second from the third: they cost 0 and 0.3.
    assert regret([2, 1, 1], truth) == pytest.approx(0.15)
    with pytest.raises(ValueError, match="regret needs at least one network"):
        regret([], [])


@pytest.mark.parametrize("function", [regret, lambda cheap, truth: top_k_overlap(cheap, truth, 1)])
def test_a_missing_retrain_is_refused_with_the_next_step(function):
    with pytest.raises(ValueError, match="1 of 3 networks have nan or inf; leave out and list them"):
        function([1, 2, 3], [1, np.nan, 3])


@given(st.lists(st.integers(0, 40), min_size=2, max_size=8), st.data())
@settings(deadline=None)
def test_evenly_spaced_networks_are_distinct_hold_both_ends_and_are_as_near_as_can_be(values, data):
    n = data.draw(st.integers(2, len(values)))
    chosen = evenly_spaced(values, n)
    picked = np.array(values)[chosen]
    assert len(set(chosen.tolist())) == n
    assert (np.diff(picked) >= 0).all()
    assert (picked[0], picked[-1]) == (min(values), max(values))
    targets = np.linspace(min(values), max(values), n)
    best = min(np.abs(np.array(subset) - targets).sum() for subset in itertools.combinations(sorted(values), n))
    assert np.abs(picked - targets).sum() == pytest.approx(best)


def test_evenly_spaced_edges():
    assert evenly_spaced([5, 1, 2.9], 1).tolist() == [2]
    assert evenly_spaced([], 0).tolist() == []
    assert np.arange(3)[evenly_spaced([3, 1, 2], 0)].tolist() == []
    with pytest.raises(ValueError, match="n must be 0 to 2, the number of networks, got 3"):
        evenly_spaced([1, 2], 3)
    with pytest.raises(ValueError, match="1 of 2 networks have nan or inf"):
        evenly_spaced([1, np.nan], 1)


@given(few_levels)
@settings(max_examples=30, deadline=None)
def test_the_permutation_p_is_the_share_of_all_orders(scores):
    cheap, truth = (np.array(column) for column in zip(*scores[:5], strict=True))
    kendall = [[np.sign(x[i] - x[j]) for i, j in itertools.combinations(range(len(x)), 2)] for x in (cheap, truth)]
    observed = np.dot(*kendall)
    orders = [truth[list(order)] for order in itertools.permutations(range(len(truth)))]
    pairs = list(itertools.combinations(range(len(truth)), 2))
    sums = [sum(a * np.sign(x[i] - x[j]) for a, (i, j) in zip(kendall[0], pairs, strict=True)) for x in orders]
    assert permutation_p(cheap, truth) == pytest.approx(np.mean(np.array(sums) >= observed))


def test_random_orders_come_near_the_exact_p_and_never_to_0():
    cheap, truth = noisy_pair(7)
    exact, drawn = permutation_p(cheap, truth), permutation_p(cheap, truth, permutations=4000, seed=1)
    assert drawn == pytest.approx(exact, abs=0.02) and drawn == permutation_p(cheap, truth, permutations=4000, seed=1)
    assert permutation_p(np.arange(12), np.arange(12), permutations=99) == 1 / 100
    assert permutation_p(np.arange(12), -np.arange(12), permutations=99) == 1


def test_the_paired_difference_has_the_interval_of_scipy():
    cheap, truth = noisy_pair(20)
    other = truth + 2 * np.random.default_rng(9).normal(size=20)
    result = tau_difference(cheap, other, truth, resamples=200, seed=3)
    expected = stats.bootstrap(
        (cheap, other, truth),
        lambda a, b, c: stats.kendalltau(a, c).statistic - stats.kendalltau(b, c).statistic,
        paired=True,
        vectorized=False,
        n_resamples=200,
        random_state=np.random.default_rng(3),
    ).confidence_interval
    assert result.value == pytest.approx(tau_b(cheap, truth) - tau_b(other, truth))
    assert (result.method, result.interval) == ("BCa", pytest.approx(tuple(expected)))
    same = tau_difference(cheap, cheap, truth, resamples=50)
    assert (same.value, same.interval) == (0, None)
    assert same.reason == "interval undefined: the same in every resample of these 20 networks"
    assert tau_difference(cheap, np.ones(20), truth).reason == "undefined: the other score is 1 for all 20 networks"


def test_partial_tau_is_that_of_the_three_taus():
    cheap, truth = noisy_pair(15)
    given = truth + np.random.default_rng(2).normal(size=15)
    t12, t13, t23 = tau_b(cheap, truth), tau_b(cheap, given), tau_b(truth, given)
    result = partial_tau(cheap, truth, given, resamples=100)
    assert result.value == pytest.approx((t12 - t13 * t23) / ((1 - t13**2) * (1 - t23**2)) ** 0.5)
    assert result.interval[0] < result.value < result.interval[1]
    alike = partial_tau(cheap, truth, cheap)
    assert (alike.value, alike.reason) == (None, "undefined: two of the scores order these networks just alike")


def test_the_corrected_partial_tau_of_scores_independent_given_the_third_is_0():
    """Kendall's own is not: both follow the third closely."""
    rng, once = np.random.default_rng(0), np.ones((1, 800))
    given = rng.normal(size=800)
    cheap, truth = given + 0.4 * rng.normal(size=800), given + 0.5 * rng.normal(size=800)
    assert corrected_partial_taus(cheap, truth, given, once)[0] == pytest.approx(0, abs=0.06)
    assert partial_taus(cheap, truth, given, once)[0] > 0.12
    assert corrected_partial_taus(cheap + 0.3 * truth, truth, given, once)[0] > 0.15
    impossible = partial_tau([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [1, 3, 2, 5, 4], corrected=True)
    assert impossible.value is None and impossible.reason == "undefined: these 5 networks have taus of no normal scores"
    few = partial_tau(cheap[:12], truth[:12], given[:12], corrected=True, resamples=50)
    assert few.value == corrected_partial_taus(cheap[:12], truth[:12], given[:12], once[:, :12])[0]


def test_tau_within_strata_is_that_of_their_pairs_alone():
    rng = np.random.default_rng(0)
    cheap, truth, strata = rng.integers(0, 6, 20), rng.integers(0, 6, 20), rng.choice(list("abc"), 20)
    pairs = [(i, j) for i, j in itertools.combinations(range(20), 2) if strata[i] == strata[j]]
    first, second = (np.array([np.sign(values[i] - values[j]) for i, j in pairs]) for values in (cheap, truth))
    expected = (first * second).sum() / np.sqrt(np.abs(first).sum() * np.abs(second).sum())
    estimate = stratified_tau(cheap, truth, strata, resamples=100)
    assert estimate.value == pytest.approx(expected) and estimate.interval[0] < expected < estimate.interval[1]
    assert stratified_tau(cheap, truth, ["a"] * 20, resamples=100).value == pytest.approx(
        stats.kendalltau(cheap, truth)[0]
    )


def test_tau_within_strata_is_undefined_where_each_has_one_network_or_equal_ones():
    for cheap, strata in (([1, 2, 3, 4], "abcd"), ([1, 1, 2, 2], "aabb")):
        estimate = stratified_tau(cheap, [1, 2, 3, 4], list(strata), resamples=10)
        assert (estimate.value, estimate.interval) == (None, None) and "do not differ within any" in estimate.reason


def test_the_truly_best_networks_weigh_most():
    truth = np.arange(8.0)
    first, last = truth.copy(), truth.copy()
    first[[0, 1]], last[[6, 7]] = first[[1, 0]], last[[7, 6]]
    assert tau_b(first, truth) == tau_b(last, truth)
    assert weighted_tau(first, truth) < weighted_tau(last, truth) < weighted_tau(truth, truth) == pytest.approx(1)


def test_the_worked_example_of_the_documentation():
    assert doctest.testmod(ranking).failed == 0
    assert doctest.testmod(ranking).attempted > 0
