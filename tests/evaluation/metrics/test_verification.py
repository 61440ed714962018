from math import isclose, nextafter, sqrt
from statistics import fmean, stdev

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import det_curve, roc_curve
from torchmetrics.functional.classification import binary_accuracy, binary_roc

from dualfair.evaluation.metrics.disparity import DISPARITIES, GroupValue
from dualfair.evaluation.metrics.pair_disparity import rates_at
from dualfair.evaluation.metrics.pairs import pair_scores
from dualfair.evaluation.metrics.verification import eer, group_ten_fold, roc, tar_at_far, ten_fold

TIED = st.integers(-4, 4).map(lambda number: number / 4)


@st.composite
def scored_pairs(draw, folds=1, least=1):
    """Scores with many ties, and genuine and impostor pairs in every fold."""
    size = draw(st.integers(2 * least, 12))
    scores = np.array(draw(st.lists(TIED, min_size=folds * size, max_size=folds * size)))
    same = np.array(draw(st.lists(st.booleans(), min_size=folds * size, max_size=folds * size)))
    fold = np.arange(folds * size) % folds
    for name in range(folds):
        same[np.flatnonzero(fold == name)[: 2 * least]] = [True, False] * least
    return scores, same, fold


def accuracy(scores, same, threshold):
    return fmean((score >= threshold) == truth for score, truth in zip(scores, same, strict=True))


def best_threshold(scores, same):
    """Every cut by brute force: the strictest of the best, midway between the scores it separates."""
    distinct = sorted(set(scores.tolist()))
    cuts = [nextafter(distinct[-1], np.inf)]
    cuts += [(low + high) / 2 for low, high in zip(distinct[-2::-1], distinct[:0:-1], strict=True)] + [distinct[0]]
    best = max(accuracy(scores, same, cut) for cut in cuts)
    return next(cut for cut in cuts if accuracy(scores, same, cut) == best)


@given(scored_pairs(folds=3))
def test_folds_are_judged_at_the_best_threshold_of_the_other_folds(pairs):
    scores, same, folds = pairs
    result = ten_fold(scores, same, folds)
    thresholds = [best_threshold(scores[folds != fold], same[folds != fold]) for fold in range(3)]
    accuracies = [accuracy(scores[folds == f], same[folds == f], t) for f, t in enumerate(thresholds)]
    assert result.thresholds == pytest.approx(thresholds, abs=1e-15)
    assert result.accuracies == pytest.approx(accuracies, abs=1e-15)
    assert isclose(result.accuracy, fmean(accuracies), abs_tol=1e-12)
    assert isclose(result.sd, stdev(accuracies), abs_tol=1e-12)
    assert (result.n, result.genuine) == (len(scores), same.sum())


@given(scored_pairs(folds=3), st.integers(0, 2), st.data())
def test_the_fold_that_is_judged_is_never_looked_at(pairs, fold, data):
    scores, same, folds = pairs
    own = folds == fold
    before = ten_fold(scores, same, folds)
    scores[own] = data.draw(st.lists(TIED, min_size=int(own.sum()), max_size=int(own.sum())))
    same[own] = ~same[own]
    assert ten_fold(scores, same, folds).thresholds[fold] == before.thresholds[fold]


@pytest.mark.parametrize("embedding", [np.ones(512, np.float32), np.zeros(4), np.array([0.3, -0.7, 0.1])])
def test_a_collapsed_network_has_exactly_one_half(embedding):
    left, right = np.arange(60), np.arange(60)[::-1]
    scores = pair_scores(np.tile(embedding, (60, 1)), left, right)
    same = np.arange(60) % 6 < 3
    assert ten_fold(scores, same, np.arange(60) // 6).accuracy == 0.5
    assert eer(scores, same) == 0.5
    assert tar_at_far(scores, same, 0.999).tar == 0


def test_a_threshold_lies_midway_between_the_scores_it_separates():
    scores, same = np.tile([0.9, 0.5, 0.2, -0.1], 2), np.tile([True, True, False, False], 2)
    result = ten_fold(scores, same, np.repeat(["x", "y"], 4))
    assert result.thresholds == (0.35, 0.35)
    assert (result.accuracy, result.sd) == (1, 0)


def test_neighbouring_floats_are_separated():
    low, high = 0.5, nextafter(0.5, 1)
    result = ten_fold(np.array([low, high, low, high]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]))
    assert result.accuracy == 1 and result.thresholds == (high, high)


@pytest.mark.parametrize(
    ("scores", "same", "folds", "message"),
    [
        ([0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], "folds must be at least two"),
        ([0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1], "folds must be one label for each of 4 pairs"),
        ([0, 1, 0, 1], [0, 1, 1, 1], [0, 0, 1, 1], "the folds beside 0 must hold genuine and impostor pairs"),
        ([0, np.nan, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1], "scores must be finite"),
        ([], [], [], "folds must be at least two"),
    ],
)
def test_what_cannot_be_folded_is_said(scores, same, folds, message):
    with pytest.raises(ValueError) as caught:
        ten_fold(np.array(scores), np.array(same), np.array(folds))
    assert message in str(caught.value)


@given(scored_pairs(folds=2), scored_pairs(folds=2))
def test_a_groups_own_thresholds_are_those_of_the_group_alone(first, second):
    scores, same, folds = (np.concatenate(both) for both in zip(first, second, strict=True))
    groups = np.repeat(["a", "b"], [len(first[0]), len(second[0])])
    own = group_ten_fold(scores, same, folds, groups, shared=False)
    assert own == {"a": ten_fold(*first), "b": ten_fold(*second)}
    shared = group_ten_fold(scores, same, folds, groups, shared=True)
    together = ten_fold(scores, same, folds)
    for name, (s, y, f) in {"a": first, "b": second}.items():
        assert shared[name].thresholds == together.thresholds
        expected = [accuracy(s[f == fold], y[f == fold], together.thresholds[fold]) for fold in (0, 1)]
        assert shared[name].accuracies == pytest.approx(expected, abs=1e-15)
        assert (shared[name].n, shared[name].genuine) == (len(s), y.sum())


def values_of(folds):
    return {group: GroupValue(result.accuracy, result.n) for group, result in folds.items()}


def test_a_shared_threshold_shows_what_own_thresholds_hide():
    # Both groups are told apart without error, one at a cosine of 0.6 and one at 0.2.
    base, same = np.array([0.1, -0.1]), np.array([True, False])
    scores = np.concatenate([np.tile(0.6 + base, 4), np.tile(0.2 + base, 4)])
    folds, groups = np.tile([0, 0, 0, 0, 1, 1, 1, 1], 2), np.repeat(["a", "b"], 8)
    own = group_ten_fold(scores, np.tile(same, 8), folds, groups, shared=False)
    shared = group_ten_fold(scores, np.tile(same, 8), folds, groups, shared=True)
    assert [result.accuracy for result in own.values()] == [1, 1]
    # Of the cuts at 0.6 (a right, b's genuine pairs lost) and 0.2 the strictest is taken.
    assert [result.accuracy for result in shared.values()] == [1, 0.5]
    assert DISPARITIES["std"].reduce(values_of(shared)).value == pytest.approx(50 / sqrt(2))
    assert DISPARITIES["std"].reduce(values_of(own)).value == 0
    assert DISPARITIES["ser"].reduce(values_of(own)).value == 1
    assert own["a"].n == 8


def test_pairs_across_groups_do_not_take_part_in_group_accuracies():
    rng = np.random.default_rng(0)
    scores, same, folds = rng.normal(size=40), np.arange(40) % 2 == 0, np.arange(40) // 10
    groups = np.repeat(np.array(["a", "b"])[rng.permutation(40) % 2][:, None], 2, axis=1)
    groups[5::8, 0] = np.where(groups[5::8, 0] == "a", "b", "a")
    within = groups[:, 0] == groups[:, 1]
    assert 0 < np.count_nonzero(~within) < 10
    for shared in (True, False):
        assert group_ten_fold(scores, same, folds, groups, shared=shared) == group_ten_fold(
            scores[within], same[within], folds[within], groups[within, 0], shared=shared
        )


def test_a_group_that_cannot_be_folded_is_named():
    scores, same = np.array([0, 1, 0, 1, 0, 1]), np.array([0, 1, 0, 1, 0, 1])
    folds, groups = np.array([0, 0, 1, 1, 1, 1]), np.array(list("aaaabb"))
    with pytest.raises(ValueError, match="group 'b' has no pair in fold 0; every fold must hold all groups"):
        group_ten_fold(scores, same, folds, groups, shared=True)
    with pytest.raises(ValueError, match="group 'b': the folds beside 0 must hold genuine and impostor pairs"):
        group_ten_fold(scores, same, np.array([0, 0, 1, 1, 0, 1]), groups, shared=False)


@settings(max_examples=50)
@given(scored_pairs(least=2))
def test_the_curve_is_that_of_scikit_learn(pairs):
    scores, same, _ = pairs
    curve = roc(scores, same)
    far, tar, thresholds = roc_curve(same, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.far, far, rtol=0, atol=1e-12)
    np.testing.assert_allclose(curve.tar, tar, rtol=0, atol=1e-12)
    assert curve.thresholds[1:].tolist() == thresholds[1:].tolist()
    assert curve.thresholds[0] == nextafter(scores.max(), np.inf)
    fmr, fnmr, thresholds = det_curve(same, scores)
    ours = dict(zip(curve.thresholds.tolist(), zip(curve.fmr, curve.fnmr, strict=True), strict=True))
    # scikit-learn leaves out the ends of the curve, and names the threshold that accepts nothing infinity.
    for threshold, point in zip(thresholds.tolist(), zip(fmr, fnmr, strict=True), strict=True):
        key = curve.thresholds[0] if np.isinf(threshold) else threshold
        assert ours[key] == pytest.approx(point, abs=1e-12)


@given(scored_pairs(least=2), st.sampled_from([0, 0.1, 0.25, 1 / 3, 0.5, 2 / 3, 0.9, 1]))
def test_tar_is_the_largest_at_a_far_and_its_threshold_the_strictest(pairs, far):
    scores, same, _ = pairs
    thresholds = [nextafter(scores.max(), np.inf), *sorted(set(scores.tolist()), reverse=True)]
    points = [(np.mean(scores[same] >= t), np.mean(scores[~same] >= t), t) for t in thresholds]
    best = max(tar for tar, reached, _ in points if reached <= far)
    expected = next(point for point in points if point[0] == best)
    result = tar_at_far(scores, same, far)
    assert (result.tar, result.far, result.threshold) == expected
    assert np.mean(scores[~same] >= result.threshold) == result.far
    assert (result.genuine, result.impostors) == (same.sum(), (~same).sum())


def test_ties_between_genuine_and_impostor_scores_are_accepted_together_or_not_at_all():
    scores, same = np.array([0.9, 0.5, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 1, 0])
    result = tar_at_far(scores, same, 0.4)
    assert (result.tar, result.far, result.threshold) == (pytest.approx(1 / 3), 0, 0.9)
    result = tar_at_far(scores, same, 0.5)
    assert (result.tar, result.far, result.threshold) == (1, 0.5, 0.5)


@pytest.mark.parametrize("impostors", [10, 30, 70, 3000])
def test_a_far_that_is_a_whole_number_of_impostors_is_reached(impostors):
    scores = np.concatenate([np.linspace(0, 1, impostors), [0.5, 0.2]])
    same = np.arange(impostors + 2) >= impostors
    for hits in range(0, 10):
        result = tar_at_far(np.where(same, -1, scores), same, hits / 10)
        curve = roc(np.where(same, -1, scores), same)
        assert hits / 10 in curve.far and result.tar == 0
    assert tar_at_far(np.where(same, 0.0, scores), same, 1).tar == 1


def test_a_far_of_too_few_impostors_is_warned_of():
    scores, same = np.linspace(0, 1, 2000), np.arange(2000) % 2 == 0
    assert tar_at_far(scores, same, 0.01).warning == ""
    warning = tar_at_far(scores, same, 0.0099).warning
    assert warning.startswith("FAR 0.0099 of 1000 impostor pairs is 9.9 false accepts; take a higher FAR or more pairs")
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="far must be 0 to 1, the share of impostor pairs to accept at most"):
            tar_at_far(scores, same, wrong)


@given(scored_pairs())
def test_the_equal_error_rate_lies_on_the_curve_where_both_errors_are_equal(pairs):
    scores, same, _ = pairs
    curve, result = roc(scores, same), eer(scores, same)
    # A point on the curve at a share of its length is where FMR rises through it: FNMR there is linear in between.
    segments = zip(curve.fmr, curve.fnmr, curve.fmr[1:], curve.fnmr[1:], strict=False)
    on_curve = [
        abs((x1 - x0) * (result - y0) - (y1 - y0) * (result - x0)) < 1e-12
        and min(x0, x1) - 1e-12 <= result <= max(x0, x1) + 1e-12
        and min(y0, y1) - 1e-12 <= result <= max(y0, y1) + 1e-12
        for x0, y0, x1, y1 in segments
    ]
    assert any(on_curve)
    assert eer(-scores, ~same) == pytest.approx(result, abs=1e-12)
    assert eer(-scores, same) == pytest.approx(1 - result, abs=1e-12)


def test_equal_error_rates_worked_by_hand():
    assert eer(np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 1, 0, 0])) == 0
    assert eer(np.array([0.9, 0.8, 0.2, 0.1]), np.array([0, 0, 1, 1])) == 1
    assert eer(np.array([0.9, 0.5, 0.3, 0.2, 0.1]), np.array([1, 0, 1, 0, 0])) == pytest.approx(1 / 3)
    # From (0, 1/2) to (1/2, 0), a tie of one genuine and one impostor pair: both errors are 1/4 in between.
    assert eer(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 0])) == 0.25


def test_curve_and_accuracy_agree_with_torchmetrics_to_its_single_precision():
    rng = np.random.default_rng(5)
    same = rng.random(500) < 0.4
    scores = np.clip(rng.normal(0.2 + 0.3 * same, 0.25), 0, 1).astype(np.float32).astype(np.float64)
    tensors = torch.tensor(scores, dtype=torch.float32), torch.tensor(same, dtype=torch.int64)
    far, tar, _ = binary_roc(*tensors, thresholds=None)
    curve = roc(scores, same)
    for point in range(len(far)):
        nearest = np.argmin(np.abs(curve.far - far[point].item()) + np.abs(curve.tar - tar[point].item()))
        np.testing.assert_allclose((curve.far[nearest], curve.tar[nearest]), (far[point], tar[point]), atol=1e-6)
    threshold = 0.35
    accuracy = binary_accuracy(*tensors, threshold=threshold).item()
    assert np.mean((scores >= threshold) == same) == pytest.approx(accuracy, abs=1e-6)
    rates = rates_at(scores, same, np.full(500, "all"), threshold).groups["all"]
    assert rates.accuracy.value == pytest.approx(accuracy, abs=1e-6)
