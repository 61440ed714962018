from math import inf, isnan, nan, sqrt
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.metrics.verification import tar_at_far
from dualfair.evaluation.statistics import bootstrap
from dualfair.evaluation.statistics.bootstrap import (
    METHODS,
    Interval,
    difference_statistic,
    disparity_statistic,
    identity_bootstrap,
)


def mean_of(values):
    values = np.asarray(values, dtype=np.float64)
    return lambda rows: values[rows].mean()


def resamples_of(identities, resamples, seed):
    """The rows of every resample by brute force: each drawn person brings all rows that are hers, once a draw."""
    identities = np.asarray(identities)
    names = np.unique(identities)
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = [names[number] for number in rng.integers(len(names), size=len(names))]
        rows = []
        for row, who in enumerate(identities):
            times = drawn.count(who) if identities.ndim == 1 else drawn.count(who[0])
            if identities.ndim == 2 and who[0] != who[1]:
                times *= drawn.count(who[1])
            rows += [row] * times
        yield np.array(rows, dtype=np.int64)


@settings(max_examples=30)
@given(
    identities=st.lists(st.sampled_from("abcde"), min_size=6, max_size=15).filter(lambda who: len(set(who)) > 1),
    seed=st.integers(0, 99),
)
def test_percentile_intervals_are_quantiles_over_people_drawn_one_by_one(identities, seed):
    values = np.random.default_rng(seed).normal(size=len(identities))
    result = identity_bootstrap(mean_of(values), identities, resamples=40, seed=seed)
    drawn = [values[rows].mean() for rows in resamples_of(identities, 40, seed)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (result.low, result.high) == pytest.approx((low, high), abs=1e-12)
    assert result.estimate == pytest.approx(values.mean(), abs=1e-12)
    assert (result.method, result.resamples, result.undefined) == ("percentile", 40, 0)
    assert result.identities == len(set(identities))


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.sampled_from("abcd")] * 2), min_size=6, max_size=15), st.integers(0, 99))
def test_a_pair_comes_as_often_as_both_its_people_were_drawn(people, seed):
    if len({name for pair in people for name in pair}) < 2:
        return
    values = np.random.default_rng(seed).normal(size=len(people))
    seen = []

    def statistic(rows):
        seen.append(rows.tolist())
        return values[rows].mean()

    result = identity_bootstrap(statistic, people, resamples=30, seed=seed, method="bca")
    expected = [rows.tolist() for rows in resamples_of(people, 30, seed)]
    names = sorted({name for pair in people for name in pair})
    left_out = [[row for row, pair in enumerate(people) if name not in pair] for name in names]
    assert seen == [list(range(len(people))), *(rows for rows in [*expected, *left_out] if rows)]
    assert result.undefined == sum(not rows for rows in expected)


def scipy_bca(values, drawn):
    """scipy's BCa interval from the same resamples, one value a person."""
    return scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=np.array(drawn)),
        confidence_level=0.95,
        method="BCa",
        vectorized=True,
    ).confidence_interval


@given(st.integers(0, 999), st.integers(5, 30))
def test_bca_is_that_of_scipy_where_every_person_has_one_row(seed, people):
    values = np.random.default_rng(seed).exponential(size=people) ** 2
    result = identity_bootstrap(mean_of(values), np.arange(people), resamples=80, seed=seed, method="bca")
    drawn = [values[rows].mean() for rows in resamples_of(np.arange(people), 80, seed)]
    assert result.method == "bca"
    assert (result.low, result.high) == pytest.approx(scipy_bca(values, drawn), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_a_persons_images_say_nothing_more_about_people(method):
    values = np.random.default_rng(0).exponential(size=25)
    one = identity_bootstrap(mean_of(values), np.arange(25), seed=4, resamples=200, method=method)
    many = identity_bootstrap(mean_of(values.repeat(9)), np.arange(25).repeat(9), seed=4, resamples=200, method=method)
    assert (many.low, many.high) == pytest.approx((one.low, one.high), abs=1e-12)
    as_images = identity_bootstrap(mean_of(values.repeat(9)), np.arange(225), seed=4, resamples=200, method=method)
    assert as_images.high - as_images.low < 0.5 * (one.high - one.low)


def test_several_numbers_come_from_the_same_resamples():
    values = np.random.default_rng(0).normal(size=(30, 2))
    result = identity_bootstrap(lambda rows: values[rows].mean(axis=0), np.arange(30) // 2, seed=1, resamples=50)
    alone = [identity_bootstrap(mean_of(column), np.arange(30) // 2, seed=1, resamples=50) for column in values.T]
    for together, single in zip(result, alone, strict=True):
        assert (together.low, together.high) == pytest.approx((single.low, single.high), abs=1e-12)
    assert isinstance(alone[0], Interval)
    one = identity_bootstrap(lambda rows: values[rows].mean(axis=0)[:1], np.arange(30) // 2, seed=1, resamples=50)
    assert one == result[:1]


@pytest.mark.parametrize("name", DISPARITIES)
def test_disparities_are_recomputed_on_the_drawn_people(name):
    rng = np.random.default_rng(5)
    identities = rng.integers(0, 12, 60)
    groups, ranks = np.array(["x", "y", "z"])[identities % 3], rng.integers(0, 6, 60)
    disparity = DISPARITIES[name]
    values = ranks if disparity.values == "ranks" else (ranks == 0).astype(float)
    intervals = identity_bootstrap(disparity_statistic(disparity, values, groups), identities, seed=2, resamples=60)
    drawn = [
        disparity.evaluate(values[rows], groups[rows], names="xyz") for rows in resamples_of(identities, 60, seed=2)
    ]
    known = [result for result in drawn if not isnan(result.value)]
    assert intervals[0].undefined == 60 - len(known) > 0
    assert intervals[0].estimate == pytest.approx(disparity(values, groups), abs=1e-12)
    finite = [result.value for result in known]
    if np.isfinite(finite).all():
        assert intervals[0].low == pytest.approx(np.quantile(finite, 0.025), abs=1e-12)
    for group, interval in zip("xyz", intervals[1:], strict=True):
        own = [result.groups[group].value for result in drawn if result.groups[group].value is not None]
        assert interval.undefined == 60 - len(own)
        assert interval.high == pytest.approx(np.quantile(own, 0.975), abs=1e-12)


def test_a_ratio_to_a_reference_group_keeps_its_reference():
    values, groups = np.array([1.0, 3, 4, 4, 2, 0]), np.array(list("aabbcc"))
    ratio = DISPARITIES["rank_ratio"].relative_to("b")
    assert disparity_statistic(ratio, values, groups)(np.arange(6))[0] == ratio(values, groups) == 0.75
    with pytest.raises(ValueError, match=r"rank_ratio_to_d: no group 'd' among \['a', 'b', 'c'\]"):
        disparity_statistic(DISPARITIES["rank_ratio"].relative_to("d"), values, groups)


def test_an_absolute_difference_hides_what_the_signed_one_shows():
    rng = np.random.default_rng(3)
    identities = np.arange(120)
    groups, values = np.where(identities % 2, "a", "b"), rng.exponential(size=120)
    row = DISPARITIES["rank_disparity"]
    signed = identity_bootstrap(difference_statistic(row, values, groups, "a", "b"), identities, seed=0)
    absolute = identity_bootstrap(disparity_statistic(row, values, groups), identities, seed=0)[0]
    assert signed.low < 0 < signed.high and absolute.low > 0
    assert abs(signed.estimate) == pytest.approx(absolute.estimate)
    swapped = identity_bootstrap(difference_statistic(row, values, groups, "b", "a"), identities, seed=0)
    assert (swapped.low, swapped.high) == pytest.approx((-signed.high, -signed.low))
    few = difference_statistic(row, values, groups, "a", "b")
    assert isnan(few(np.array([0, 1, 2])))
    with pytest.raises(ValueError, match="no group 'c'; there are 'a', 'b'"):
        difference_statistic(row, values, groups, "a", "c")


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    # People differ by N(0, 1) and their ten images by N(0, 1): the mean over 40 people has the variance 1.1 / 40.
    rng, identities = np.random.default_rng(0), np.arange(40).repeat(10)
    held = {"people": 0, "images": 0}
    for seed in range(100):
        values = rng.normal(size=40).repeat(10) + rng.normal(size=400)
        for drawn, labels in (("people", identities), ("images", np.arange(400))):
            result = identity_bootstrap(mean_of(values), labels, seed=seed, resamples=200)
            held[drawn] += result.low <= 0 <= result.high
    assert 88 <= held["people"] <= 99
    assert held["images"] < 65


def test_pairs_of_many_people_each_get_the_spread_that_other_people_would_give():
    # The score of two people is the sum of their own values: over all pairs of n people the mean varies as 4 / n.
    n, rng = 40, np.random.default_rng(1)
    first, second = np.triu_indices(n, 1)
    widths = {"people": [], "pairs": []}
    for seed in range(12):
        own = rng.normal(size=n)
        scores = own[first] + own[second]
        for drawn, labels in (("people", np.stack([first, second], 1)), ("pairs", np.arange(len(first)))):
            result = identity_bootstrap(mean_of(scores), labels, seed=seed, resamples=200)
            widths[drawn].append((result.high - result.low) / (2 * 1.96))
    assert np.mean(widths["people"]) == pytest.approx(2 / sqrt(n), rel=0.15)
    assert np.mean(widths["pairs"]) < 0.3 * np.mean(widths["people"])


def test_impostors_that_share_nobody_get_an_interval_that_is_too_wide_by_the_root_of_three():
    values = np.random.default_rng(0).random(1000) < 0.3
    pairs = identity_bootstrap(mean_of(values), np.arange(2000).reshape(-1, 2), seed=0, resamples=600)
    rows = identity_bootstrap(mean_of(values), np.arange(1000), seed=0, resamples=600)
    assert (pairs.high - pairs.low) / (rows.high - rows.low) == pytest.approx(sqrt(3), rel=0.12)


def test_a_verification_rate_has_an_interval_over_people():
    rng = np.random.default_rng(0)
    identities = rng.integers(0, 20, (400, 2))
    same = identities[:, 0] == identities[:, 1]
    scores = rng.normal(size=400) + 2 * same

    def tar(rows):
        return tar_at_far(scores[rows], same[rows], 0.1).tar if 0 < same[rows].sum() < len(rows) else nan

    result = identity_bootstrap(tar, identities, seed=0, resamples=100)
    assert 0 < result.low < result.estimate < result.high <= 1


def test_resamples_without_a_value_are_counted_and_left_out():
    groups, values = np.array(["a", "b", "b", "b"]), np.array([1.0, 2, 3, 4])

    def of_a(rows):
        own = values[rows][groups[rows] == "a"]
        return own.mean() + values[rows].mean() if len(own) else nan

    result = identity_bootstrap(of_a, np.arange(4), seed=0, resamples=500)
    assert 0.2 < result.undefined / 500 < 0.45  # (3/4)^4 = 0.32 of them draw nobody of a
    assert result.low < result.high
    bca = identity_bootstrap(of_a, np.arange(4), seed=0, resamples=500, method="bca")
    assert (bca.method, bca.low, bca.high) == ("percentile", result.low, result.high)
    assert bca.reason == "BCa is undefined: too few resamples on one side, or without an identity"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("values", "identities", "message"),
    [
        ([1.0, 2.0], ["a", "a"], "interval undefined for one identity; at least 2 are needed"),
        ([0.1, 0.1, 0.1], ["a", "b", "c"], "the number is the same in every resample of these 3 identities"),
        ([nan, 1.0], ["a", "b"], "undefined: the number itself is"),
        ([inf, inf], ["a", "b"], "the number is the same in every resample"),
    ],
)
def test_what_has_no_interval_says_why(values, identities, message, method):
    result = identity_bootstrap(mean_of(values), identities, seed=0, resamples=50, method=method)
    assert (result.low, result.high) == (None, None)
    assert message in result.reason
    assert (result.estimate is None) == bool(np.isnan(values).any())


def test_undefined_in_every_resample_is_said():
    identities = np.arange(60)
    result = identity_bootstrap(
        lambda rows: 1.0 if len(set(rows.tolist())) == 60 else nan, identities, seed=0, resamples=5
    )
    assert (result.estimate, result.low, result.undefined) == (1, None, 5)
    assert result.reason == "interval undefined: so is the number in all 5 resamples"


def test_infinite_numbers_bound_an_interval_at_infinity():
    values = np.array([0.0, 1, 1, 1, 1, 1])
    result = identity_bootstrap(lambda rows: inf if (values[rows] == 0).any() else 1.0, np.arange(6), seed=0)
    assert (result.estimate, result.low, result.high, result.undefined) == (inf, 1, inf, 0)
    for share, expected in ((0, -inf), (0.2, -inf), (0.25, 0), (0.375, 1), (0.5, 2), (0.6, inf), (1, inf)):
        assert bootstrap._quantile(np.array([-inf, 0, 2, inf, inf]), share) == expected


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values, share):
    ordered = np.sort(np.array(values, dtype=float))
    assert bootstrap._quantile(ordered, share) == pytest.approx(np.quantile(ordered, share), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resamples": 0}, "resamples must be 1 or more, got 0"),
        ({"method": "basic"}, "method must be one of percentile, bca, got 'basic'"),
        ({"identities": []}, "identities must be one label a probe (P,) or two a pair (P, 2), for 1 row or more"),
        ({"identities": np.zeros((4, 3))}, "got (4, 3)"),
        ({"statistic": lambda rows: "high"}, "the statistic must return a number or a list of numbers, got 'high'"),
        ({"statistic": lambda rows: np.ones((2, 2))}, "the statistic must return a number or a list of numbers"),
        ({"statistic": lambda rows: np.ones(1 + (rows[-1] == rows[0]))}, "as many numbers for every resample"),
    ],
)
def test_what_cannot_be_resampled_is_said(change, message):
    arguments = {"statistic": mean_of([1, 2]), "identities": ["a", "b"], "seed": 0} | change
    with pytest.raises(ValueError) as caught:
        identity_bootstrap(arguments.pop("statistic"), arguments.pop("identities"), **arguments)
    assert message in str(caught.value)


def test_the_seed_decides_and_is_left_alone():
    values = np.random.default_rng(0).normal(size=20)
    first, again, other = (identity_bootstrap(mean_of(values), np.arange(20), seed=seed) for seed in (1, 1, 2))
    assert first == again != other
