import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dualfair.evaluation.metrics.classification import balanced_error, class_ranks, rate_difference

SCORES = hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(2, 6)), elements=st.integers(-3, 3))


@given(SCORES, st.integers(0, 2**32 - 1))
def test_a_rank_counts_the_other_classes_that_score_as_high(scores, seed):
    labels = np.random.default_rng(seed).integers(0, scores.shape[1], len(scores))
    expected = [
        sum(row[k] >= row[label] for k in range(len(row)) if k != label)
        for row, label in zip(scores, labels, strict=True)
    ]
    ranked = class_ranks(scores, labels)
    assert ranked.values.tolist() == expected
    assert ranked.excluded == 0 and ranked.gallery_identities == scores.shape[1]


def test_a_network_that_scores_all_classes_alike_is_always_wrong():
    assert not class_ranks(np.zeros((5, 3)), np.arange(5) % 3).correct.any()


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((3, 2)), np.zeros(4, int), r"class scores must be \(images, classes\)"),
        (np.zeros(3), np.zeros(3, int), r"class scores must be \(images, classes\)"),
        (np.array([[0.0, np.nan]]), np.zeros(1, int), "class scores must be finite"),
    ],
)
def test_what_is_no_table_of_scores_is_refused(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        class_ranks(scores, labels)


def test_a_rare_class_weighs_as_much_as_a_common_one_in_the_balanced_error():
    labels = np.array([0] * 8 + [1] * 2)
    scores = np.stack([np.ones(10), np.zeros(10)], axis=1)
    assert np.mean(class_ranks(scores, labels).values > 0) == pytest.approx(0.2)
    assert balanced_error(class_ranks(scores, labels), labels) == pytest.approx(0.5)


# Group a: 10 of the class 1, of which 8 are classified as 1, and 10 of the class 0, of which 2 are.
# Group b: 20 of the class 1, of which 10 are classified as 1, and 10 of the class 0, of which 3 are.
GROUPS = np.array(["a"] * 20 + ["b"] * 30)
LABELS = np.array([1] * 10 + [0] * 10 + [1] * 20 + [0] * 10)
PREDICTED = np.array([1] * 8 + [0] * 2 + [1] * 2 + [0] * 8 + [1] * 10 + [0] * 10 + [1] * 3 + [0] * 7)


@pytest.mark.parametrize(
    ("measure", "by_hand"),
    [
        ("spd", abs(10 / 20 - 13 / 30)),
        ("eod", abs(0.8 - 0.5)),
        ("aod", abs((0.2 - 0.3) + (0.8 - 0.5)) / 2),
    ],
)
def test_differences_of_rates_by_hand(measure, by_hand):
    assert rate_difference(measure, PREDICTED, LABELS, GROUPS, [1]) == pytest.approx(by_hand)
    renamed = np.where(GROUPS == "a", "z", "b")
    assert rate_difference(measure, PREDICTED, LABELS, renamed, [1]) == pytest.approx(by_hand)


def test_of_several_classes_the_largest_difference_counts():
    of_each = [rate_difference("eod", PREDICTED, LABELS, GROUPS, [positive]) for positive in (0, 1)]
    assert rate_difference("eod", PREDICTED, LABELS, GROUPS, [0, 1]) == max(of_each)
    assert of_each[0] == pytest.approx(abs(0.8 - 0.7))


def test_of_two_classes_either_has_the_same_statistical_parity_and_average_odds():
    for measure in ("spd", "aod"):
        first, second = (rate_difference(measure, PREDICTED, LABELS, GROUPS, [positive]) for positive in (0, 1))
        assert first == pytest.approx(second)


def test_differences_are_undefined_for_one_group_and_for_too_few_images():
    assert math.isnan(rate_difference("spd", PREDICTED, LABELS, np.full(50, "a"), [1]))
    few = np.where((GROUPS == "b") & (LABELS == 1) & (np.arange(50) > 23), "c", GROUPS)
    assert math.isnan(rate_difference("eod", PREDICTED[:24], LABELS[:24], few[:24], [0]))
