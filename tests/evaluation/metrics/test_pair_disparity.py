from itertools import product
from math import inf, isnan, nan, sqrt
from statistics import fmean

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    count,
    demographic_parity_difference,
    equal_opportunity_difference,
    equalized_odds_difference,
    false_negative_rate,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from dualfair.evaluation.metrics.disparity import GroupValue
from dualfair.evaluation.metrics.pair_disparity import (
    MINIMUM_PAIRS,
    PAIR_DISPARITIES,
    GroupRates,
    RatesTable,
    bpc,
    garbe,
    gini,
    inequity_rate,
    rates_at,
)

SHARES = st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=2, max_size=5)


@st.composite
def grouped_pairs(draw):
    """Scores, truths and groups of pairs; every group has at least two genuine and two impostor pairs."""
    groups = draw(st.integers(2, 4))
    size = draw(st.integers(4, 12))
    scores = np.array(draw(st.lists(st.integers(-3, 3), min_size=groups * size, max_size=groups * size))) / 4
    same = np.array(draw(st.lists(st.booleans(), min_size=groups * size, max_size=groups * size)))
    labels = np.arange(groups * size) % groups
    for group in range(groups):
        same[np.flatnonzero(labels == group)[:4]] = [True, True, False, False]
    return scores, same, labels, draw(st.sampled_from([-2, -0.25, 0, 0.1, 0.5, 2]))


def table_of(fmr, fnmr, pairs=8):
    """A table of groups with these rates over as many genuine as impostor pairs."""
    rates = zip(fmr, fnmr, strict=True)
    groups = {g: GroupRates(pairs, pairs, round(a * pairs), round(b * pairs)) for g, (a, b) in enumerate(rates)}
    return RatesTable(0.5, groups)


@settings(max_examples=25, deadline=None)
@given(grouped_pairs())
def test_rates_and_disparities_are_those_of_fairlearn(pairs):
    scores, same, groups, threshold = pairs
    accepted = scores >= threshold
    frame = MetricFrame(
        metrics={
            "fmr": false_positive_rate,
            "fnmr": false_negative_rate,
            "tpr": true_positive_rate,
            "accepted": selection_rate,
            "accuracy": accuracy_score,
            "pairs": count,
        },
        y_true=same,
        y_pred=accepted,
        sensitive_features=groups,
    ).by_group
    table = rates_at(scores, same, groups, threshold)
    assert list(table.groups) == sorted(set(groups.tolist()))
    for group, rates in table.groups.items():
        for rate in ("fmr", "fnmr", "tpr", "accepted", "accuracy"):
            assert getattr(rates, rate).value == pytest.approx(frame[rate][group], abs=1e-12)
        assert rates.genuine + rates.impostors == frame["pairs"][group] == rates.accepted.n
        assert (rates.fmr.n, rates.fnmr.n, rates.tpr.n) == (rates.impostors, rates.genuine, rates.genuine)
    values = {name: row(scores, same, groups, threshold) for name, row in PAIR_DISPARITIES.items()}
    given_all = {"y_true": same, "y_pred": accepted, "sensitive_features": groups}
    assert values["spd"] == pytest.approx(demographic_parity_difference(**given_all), abs=1e-12)
    assert values["eod"] == pytest.approx(equal_opportunity_difference(**given_all), abs=1e-12)
    # Signed differences may cancel in aod; fairlearn's mean of both absolute ones is an upper bound.
    assert values["aod"] <= equalized_odds_difference(**given_all, agg="mean") + 1e-12


@given(SHARES, st.data())
def test_every_measure_is_its_formula_over_all_pairs_of_groups(fmr, data):
    fnmr = data.draw(st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=len(fmr), max_size=len(fmr)))
    n, both = len(fmr), list(zip(fmr, fnmr, strict=True))
    biggest = [max(abs(a - b) for a, b in product(rate, rate)) for rate in (fmr, fnmr)]
    ratios = [1 if max(r) == min(r) else inf if min(r) == 0 else max(r) / min(r) for r in (fmr, fnmr)]
    ginis = [
        0 if sum(r) == 0 else n / (n - 1) * sum(abs(a - b) for a, b in product(r, r)) / (2 * n**2 * fmean(r))
        for r in (fmr, fnmr)
    ]
    expected = {
        "fdr": 1 - (biggest[0] + biggest[1]) / 2,
        "inequity_rate": sqrt(ratios[0]) * sqrt(ratios[1]),
        "garbe": (ginis[0] + ginis[1]) / 2,
    }
    table = table_of(fmr, fnmr)
    for name, value in expected.items():
        row = PAIR_DISPARITIES[name]
        assert row.reduce(table).value == pytest.approx(value, abs=1e-12)
        assert (value - row.fair) * (-1 if name == "fdr" else 1) >= -1e-12
    aod = max(abs((a - c) + ((1 - b) - (1 - d))) / 2 for (a, b), (c, d) in product(both, both))
    assert PAIR_DISPARITIES["aod"].reduce(table).value == pytest.approx(aod, abs=1e-12)
    assert PAIR_DISPARITIES["eod"].reduce(table).value == pytest.approx(biggest[1], abs=1e-12)


def test_every_row_on_numbers_worked_by_hand():
    # a: FMR 1/10, FNMR 1/5; b: FMR 4/10, FNMR 4/5. Of 30 pairs a accepts 1 + 16, b 4 + 4.
    table = RatesTable(0.3, {"a": GroupRates(20, 10, 1, 4), "b": GroupRates(20, 10, 4, 16)})
    values = {name: row.reduce(table).value for name, row in PAIR_DISPARITIES.items()}
    assert values == pytest.approx(
        {
            "fdr": 1 - (0.3 + 0.6) / 2,
            "inequity_rate": sqrt(4) * sqrt(4),
            "garbe": 0.6,  # 2/1 * 2 * 0.3 / (2 * 4 * 0.25), and the same for 0.2 and 0.8
            "spd": 9 / 30,
            "eod": 0.6,
            "aod": 0.15,  # |-0.3 + 0.6| / 2
        },
        rel=1e-12,
    )
    assert table.groups["b"].accuracy.value == pytest.approx(10 / 30)


def test_the_table_holds_every_row_under_its_name():
    assert all(row.name == name for name, row in PAIR_DISPARITIES.items())
    assert {name: row.fair for name, row in PAIR_DISPARITIES.items() if row.fair} == {"fdr": 1, "inequity_rate": 1}


@pytest.mark.parametrize("name", PAIR_DISPARITIES)
@pytest.mark.parametrize(("fmr", "fnmr"), [(0, 0), (0.25, 0), (0, 0.5), (1, 1), (0.125, 0.25)])
def test_groups_that_fare_alike_get_the_fair_value(name, fmr, fnmr):
    row = PAIR_DISPARITIES[name]
    assert row.reduce(table_of([fmr] * 3, [fnmr] * 3)).value == row.fair


def test_no_errors_in_one_group_are_infinitely_better_than_some():
    assert inequity_rate(np.array([0, 0]), np.array([0.2, 0.2])) == 1
    assert inequity_rate(np.array([0, 0.1]), np.array([0.2, 0.2])) == inf
    assert garbe(np.array([0, 0.1]), np.array([0, 0])) == 0.5
    assert [gini(np.array(values)) for values in ([0, 0, 0.0], [0, 0, 1e-9], [2, 2, 2])] == [0, 1, 0]


@pytest.mark.parametrize("name", PAIR_DISPARITIES)
def test_a_group_with_too_few_pairs_makes_undefined_what_needs_them(name):
    row = PAIR_DISPARITIES[name]
    few_impostors = RatesTable(0.5, {"a": GroupRates(5, 5, 1, 1), "b": GroupRates(5, 1, 1, 1)})
    result = row.reduce(few_impostors)
    if "fmr" in row.rates:
        assert isnan(result.value)
        assert result.undefined == "undefined (n=1 for the fmr of group 'b'; a rate needs 2 pairs)"
    else:
        assert result.value >= 0 and result.undefined == ""
    assert few_impostors.groups["b"].fmr == GroupValue(None, 1)
    assert str(few_impostors.groups["b"].fmr) == "insufficient (n=1)"
    nothing = row.reduce(rates_at([0.1, 0.9] * 4, [0, 1] * 4, ["a"] * 8, 0.5, names=["b"]))
    assert isnan(nothing.value) and "n=0 for the" in nothing.undefined
    assert MINIMUM_PAIRS == 2


def test_impostors_across_groups_are_left_out():
    scores = np.array([0.9, 0.1, 0.8, 0.2, 0.7, 0.6, 0.1, 0.9])
    same = np.array([1, 0, 1, 0, 0, 0, 0, 0], bool)
    groups = np.array(["aa", "aa", "bb", "bb", "ab", "ba", "ab", "bb"])
    groups = np.array([list(both) for both in groups])
    table = rates_at(scores, same, groups, 0.5)
    assert table.groups == {"a": GroupRates(1, 1, 0, 0), "b": GroupRates(1, 2, 1, 0)}


def test_a_threshold_accepts_the_scores_that_equal_it():
    table = rates_at([0.5, 0.5, 0.4, 0.4], [True, False, True, False], ["a"] * 4, 0.5, names=["b"])
    assert table.groups == {"a": GroupRates(2, 2, 1, 1), "b": GroupRates(0, 0, 0, 0)}
    assert table.threshold == 0.5
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        rates_at([0.5], [True], ["a"], nan)


def test_one_group_and_unknown_groups_are_refused():
    table = rates_at([0.5, 0.4], [True, False], ["a", "a"], 0.5)
    with pytest.raises(ValueError, match="garbe compares groups and needs at least two, got 'a'"):
        PAIR_DISPARITIES["garbe"].reduce(table)


def test_the_bias_performance_coefficient_weighs_bias_lost_against_tpr_lost():
    assert bpc(0.2, 0.2, 0.9, 0.9) == 0
    assert bpc(0.2, 0.1, 0.9, 0.9) == 0.5
    assert bpc(0.2, 0.1, 0.8, 0.4) == 0  # half of each went
    assert bpc(0.2, 0.3, 0.8, 0.8) == pytest.approx(-0.5)
    assert bpc(0, 0, 0.8, 0.8) == 0
    assert bpc(0, 0.1, 0.8, 0.8) == -inf
    assert bpc(0.1, 0.1, 0, 0.5) == inf
    assert isnan(bpc(0, 0.1, 0, 0.5))
    for wrong in (-0.1, nan, inf):
        with pytest.raises(ValueError, match="tpr_debiased must be a finite number of 0 or more"):
            bpc(0.1, 0.1, 0.5, wrong)
