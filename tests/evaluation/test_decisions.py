"""Decisions about two groups: every measure against counting, an independent library, and what it is for."""

import math

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from dualfair.evaluation.decisions import (
    BIASES,
    OF_RANKS,
    Judge,
    balanced_accuracy,
    bias_amplification,
    identification_rate,
    objective,
    signed_difference,
    smooth_objective,
)
from dualfair.evaluation.metrics.classification import RATES, rate_difference
from dualfair.evaluation.metrics.disparity import DISPARITIES

SEEDS = st.integers(0, 10_000)


def drawn(seed, n=400, skew=0.2):
    """Labels, groups, and scores in [0, 1] that favour the first group."""
    rng = np.random.default_rng(seed)
    labels, second = rng.integers(0, 2, n), rng.random(n) < 0.4
    scores = np.clip(0.35 + 0.3 * labels - skew * second + rng.normal(0, 0.2, n), 0, 1)
    return scores, labels, second


@settings(max_examples=20)
@given(SEEDS)
def test_measures_are_those_of_an_independent_library(seed):
    scores, labels, second = drawn(seed)
    predicted = (scores >= 0.5).astype(int)
    of_groups = MetricFrame(
        metrics={"spd": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate},
        y_true=labels, y_pred=predicted, sensitive_features=second,
    ).by_group  # fmt: skip
    first_less_second = of_groups.loc[False] - of_groups.loc[True]
    expected = {
        "spd": first_less_second["spd"],
        "eod": first_less_second["tpr"],
        "aod": (first_less_second["fpr"] + first_less_second["tpr"]) / 2,
    }
    for name, value in expected.items():
        assert signed_difference(name, predicted, labels, second) == pytest.approx(value)
        assert rate_difference(name, predicted, labels, second, [1]) == pytest.approx(abs(value))
    assert balanced_accuracy(predicted, labels) == pytest.approx(balanced_accuracy_score(labels, predicted))


@given(SEEDS, st.sampled_from(["spd", "eod", "aod"]))
def test_the_sign_turns_with_the_groups(seed, name):
    scores, labels, second = drawn(seed)
    predicted = (scores >= 0.5).astype(int)
    one, other = (signed_difference(name, predicted, labels, groups) for groups in (second, ~second))
    assert one == pytest.approx(-other)


def test_average_odds_may_cancel_where_equal_opportunity_does_not():
    labels, second = np.array([1, 1, 0, 0] * 2), np.array([False] * 4 + [True] * 4)
    predicted = np.array([1, 1, 0, 0, 0, 0, 1, 1])
    assert signed_difference("aod", predicted, labels, second) == 0
    assert signed_difference("eod", predicted, labels, second) == 1


def test_amplification_by_hand():
    """Class 0: 3 of 4 and 1 of 5; class 1: 1 of 4 and 3 of 5; class 2: 1 of the 5."""
    second = np.array([False] * 4 + [True] * 5)
    predicted = np.array([0, 0, 0, 1, 0, 1, 1, 1, 2])
    labels = np.array([0, 0, 1, 1, 0, 0, 1, 1, 2])
    assert bias_amplification(predicted, labels, second) == pytest.approx((0.75 / 0.95 + 0.6 / 0.85 + 1) / 3 - 0.5)
    # Groups of other sizes, all right: none.
    labels = np.array([0, 1] * 20)
    assert bias_amplification(labels, labels, np.arange(40) < 28) == 0
    # As often in both groups: none. A class that nobody is given does not count.
    assert bias_amplification(np.array([0, 1, 0, 1]), np.array([0, 1, 2, 1]), np.array([False, False, True, True])) == 0


@pytest.mark.parametrize("name", BIASES)
def test_one_group_has_no_bias_to_speak_of(name):
    labels = np.array([0, 1, 0, 1])
    assert math.isnan(BIASES[name](labels, labels, np.zeros(4, bool)))


def test_a_group_with_too_few_of_a_class_has_none_either():
    labels, second = np.array([0, 1, 0, 1, 0, 1]), np.array([False] * 4 + [True] * 2)
    assert math.isnan(signed_difference("eod", labels, labels, second))
    assert signed_difference("spd", labels, labels, second) == 0


def test_the_objective_is_performance_below_the_tolerance():
    assert objective(0.9, -0.049) == 0.9 and objective(0.9, 0.05) == 0 and objective(0.9, -0.2) == 0
    assert math.isnan(objective(0.9, math.nan)) and math.isnan(objective(math.nan, 0.0))
    assert smooth_objective(0.9, 0.0) == pytest.approx(0.9) and smooth_objective(0.9, -0.05) == pytest.approx(0.45)
    assert smooth_objective(0.9, 1.0, 0.001) >= 0
    values = [smooth_objective(0.9, bias) for bias in np.linspace(0, 0.06, 30)]
    assert values == sorted(values, reverse=True)


def test_a_threshold_is_chosen_for_performance_among_the_unbiased():
    scores, labels, second = drawn(1, 2000)
    judge = Judge("balanced_accuracy", "aod")
    chosen = judge.choose_threshold(scores, labels, second)
    found = {}
    for threshold in np.arange(1, 500) / 500:
        performance, bias = judge.measured((scores >= threshold).astype(int), labels, second)
        found[threshold] = objective(performance, bias, judge.tolerance)
    at_half = judge.measured((scores >= 0.5).astype(int), labels, second)
    assert abs(at_half[1]) > judge.tolerance and found[chosen] > 0
    # The smooth objective gives a little performance away for a bias that is safely below.
    assert found[chosen] > max(found.values()) - 0.02


def test_where_nothing_is_to_be_had_the_least_bias_is_taken_and_of_equals_the_middle():
    labels, second = np.array([0, 0, 1, 1] * 2), np.array([False] * 4 + [True] * 4)
    judge = Judge("accuracy", "spd", 0.01)
    scores = np.where(second, 0.2, 0.8) + 0.1 * labels
    chosen = judge.choose_threshold(scores, labels, second)
    assert judge.measured((scores >= chosen).astype(int), labels, second)[1] == 0
    perfect = labels.astype(float)
    assert judge.choose_threshold(perfect, labels, second) == 0.5
    with pytest.raises(ValueError, match="spd is undefined of these samples"):
        judge.choose_threshold(scores, labels, np.zeros(8, bool))


@settings(max_examples=20)
@given(SEEDS, st.sampled_from(["accuracy", "balanced_accuracy"]), st.sampled_from([*RATES, "bias_amplification"]))
def test_all_thresholds_at_once_are_judged_as_one_by_one(seed, performance, bias):
    scores, labels, second = drawn(seed, 60)
    judge, thresholds = Judge(performance, bias), np.array([0.1, 0.4, 0.5, 0.9, *scores[:5]])
    one_by_one = [judge.measured((scores >= each).astype(int), labels, second) for each in thresholds]
    assert np.allclose(judge.measured_at(thresholds, scores, labels, second), np.transpose(one_by_one), equal_nan=True)


@pytest.mark.parametrize("measure", OF_RANKS)
def test_a_difference_of_ranks_is_the_disparity_with_a_sign(measure):
    rng = np.random.default_rng(0)
    for _ in range(20):
        ranks, second = rng.integers(0, 40, 30) * rng.integers(0, 2, 30), rng.random(30) < 0.4
        signed = BIASES[measure](ranks.astype(float), None, second)
        values = ranks if DISPARITIES[measure].values == "ranks" else ranks == 0
        assert abs(signed) == pytest.approx(DISPARITIES[measure](values, second))
        assert BIASES[measure](ranks.astype(float), None, ~second) == pytest.approx(-signed)
        unranked = np.append(ranks, np.nan)
        assert BIASES[measure](unranked, None, np.append(second, True)) == signed
        assert identification_rate(unranked, None) == np.mean(ranks == 0)
    assert math.isnan(BIASES[measure](np.array([1.0, 2.0, 3.0]), None, np.array([True, True, False])))
    assert math.isnan(identification_rate(np.array([np.nan]), None))


@pytest.mark.parametrize(
    ("judge", "line"),
    [
        (("precision", "spd"), "unknown performance 'precision'; choose from accuracy, balanced_accuracy, ident"),
        (("accuracy", "dpd"), "unknown bias 'dpd'; choose from spd, eod, aod, bias_amplification"),
        (("accuracy", "spd", 0.0), "tolerance must be above 0 and at most 1, got 0"),
    ],
)
def test_what_cannot_judge_is_refused(judge, line):
    with pytest.raises(ValueError, match=line):
        Judge(*judge)
