"""Predictions of a score from groups of features, against the same regression computed over weights."""

import numpy as np
import pytest
from scipy.stats import kendalltau, multivariate_normal, norm

from dualfair.evaluation.statistics.prediction import (
    PRIOR_NOISE,
    PRIOR_SPREAD,
    PRIOR_VARIANCE,
    Regression,
    left_out,
)


def networks(n, seed=0, noise=0.3, wide=12):
    """Features of networks, and scores that follow one column of `some`, all of `many` a little, and none of `idle`."""
    rng = np.random.default_rng(seed)
    features = {
        "some": rng.normal(3, 2, size=(n, 2)),
        "many": rng.integers(0, 2, size=(n, wide)).astype(float),
        "idle": rng.normal(size=(n, 3)),
    }
    effects = np.random.default_rng(99).normal(size=wide) / 3
    logarithms = 0.4 * features["some"][:, 0] + features["many"] @ effects + noise * rng.normal(size=n)
    return features, logarithms


def part(features, rows):
    return {name: values[rows] for name, values in features.items()}


def test_predictions_are_those_of_a_regression_over_weights():
    """Bishop, "Pattern Recognition and Machine Learning", equations 3.53, 3.54, 3.58 and 3.59, for given variances."""
    features, scores = networks(40)
    known, new = part(features, slice(0, 30)), part(features, slice(30, None))
    fitted = Regression.fit(known, scores[:30])
    *variances, noise = fitted.variances
    design, others, precisions = [], [], []
    for variance, (name, values) in zip(variances, known.items(), strict=True):
        centred = values - values.mean(axis=0)
        unit = np.linalg.norm(centred) / 30**0.5
        design.append(centred / unit)
        others.append((new[name] - values.mean(axis=0)) / unit)
        precisions += [1 / variance] * values.shape[1]
    design, others = np.hstack(design), np.hstack(others)
    targets = (scores[:30] - scores[:30].mean()) / scores[:30].std()
    covariance = np.linalg.inv(np.diag(precisions) + design.T @ design / noise)
    mean = others @ covariance @ design.T @ targets / noise
    deviation = np.sqrt(noise + np.einsum("ij,jk,ik->i", others, covariance, others))
    expected = [scores[:30].mean() + scores[:30].std() * (mean + z * deviation) for z in (0, -1.96, 1.96)]
    predicted = fitted.predict(new)
    for ours, theirs in zip((predicted.value, predicted.low, predicted.high), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_variances_have_the_largest_evidence_times_prior():
    features, scores = networks(24, seed=3)
    fitted = Regression.fit(features, scores)
    kernels = [*(group.known @ group.known.T for group in fitted.groups), np.eye(24)]
    middles = np.log([PRIOR_VARIANCE] * 3 + [PRIOR_NOISE])

    def worth(variances):
        covariance = sum(variance * kernel for variance, kernel in zip(variances, kernels, strict=True))
        evidence = multivariate_normal(np.zeros(24), covariance).logpdf(fitted.targets)
        return evidence + norm(middles, PRIOR_SPREAD).logpdf(np.log(variances)).sum()

    best = worth(fitted.variances)
    for place in range(4):
        for factor in (0.9, 1.1):
            assert worth(np.where(np.arange(4) == place, factor, 1) * fitted.variances) < best


def test_features_that_say_nothing_take_little_from_those_that_do():
    features, scores = networks(64, seed=1)
    known, rest = slice(0, 32), slice(32, None)
    idle = Regression.fit(part(features, known), scores[known])
    assert dict(zip(features, idle.variances, strict=False))["idle"] < 0.2 * idle.variances[0]
    tau = kendalltau(idle.predict(part(features, rest)).value, scores[rest]).statistic
    assert tau > 0.6


def test_intervals_hold_what_a_training_would_show():
    inside = []
    for seed in range(20):
        features, scores = networks(84, seed=seed)
        scores = np.exp(scores)
        predicted = Regression.fit(part(features, slice(0, 24)), scores[:24]).predict(part(features, slice(24, None)))
        inside += [(predicted.low < scores[24:]) & (scores[24:] < predicted.high)]
    assert 0.88 < np.mean(inside) < 0.98


@pytest.mark.parametrize("shift", [0.0, -5.0])
def test_units_do_not_matter(shift):
    """Of features, and of scores that are above 0 and regressed by their logarithms, or are not."""
    features, scores = networks(20)
    scores = np.exp(scores) + shift
    ours = left_out(features, scores).value
    other = left_out({name: 100 * values - 7 for name, values in features.items()}, 10 * scores).value
    np.testing.assert_allclose(other, 10 * ours, rtol=1e-4)


def test_few_very_bad_networks_do_not_outweigh_the_others():
    features, scores = networks(40, seed=5, noise=0.1)
    scores = np.exp(2 * scores)
    assert kendalltau(left_out(features, scores).value, scores).statistic > 0.75


def test_a_network_that_is_left_out_is_predicted_by_the_others_alone():
    """Features that name every network: a regression that has seen a network knows its score, the others do not."""
    scores = np.random.default_rng(0).normal(size=24)
    names = {"name": np.eye(24)}
    assert kendalltau(Regression.fit(names, scores).predict(names).value, scores).statistic > 0.99
    assert np.abs(left_out(names, scores).value - scores.mean()).max() < 1e-6


def test_leaving_out_does_not_order_networks_backwards_where_nothing_is_known():
    """Means of the others alone would give a tau of -1."""
    taus = []
    for seed in range(20):
        features, _ = networks(20, seed=seed)
        scores = np.random.default_rng(seed).normal(size=20)
        taus.append(kendalltau(left_out(features, scores).value, scores).statistic)
    assert abs(np.mean(taus)) < 0.15


def test_more_networks_than_folds_are_left_out_by_parts():
    features, scores = networks(100)
    assert kendalltau(left_out(features, scores).value, scores).statistic > 0.7


@pytest.mark.parametrize(
    ("n", "changed", "message"),
    [
        (7, {}, "a regression needs 8 trained networks or more, got 7"),
        (9, {"some": np.full((9, 2), np.nan)}, "some must be finite numbers of 9 networks"),
        (9, {"idle": np.zeros((8, 2))}, "idle must be finite numbers of 9 networks"),
    ],
)
def test_what_cannot_be_regressed_is_refused(n, changed, message):
    features, scores = networks(n)
    with pytest.raises(ValueError, match=message):
        left_out({**features, **changed}, scores)


def test_networks_whose_features_are_not_finite_are_not_predicted_and_change_no_other():
    features, scores = networks(20)
    fitted = Regression.fit(features, scores)
    whole = fitted.predict(features).value
    features["some"][3, 0] = np.nan
    predicted = fitted.predict(features)
    assert np.isnan([predicted.value[3], predicted.low[3], predicted.high[3]]).all()
    np.testing.assert_allclose(np.delete(predicted.value, 3), np.delete(whole, 3), rtol=1e-10)
    assert fitted.predict(part(features, slice(0, 0))).value.shape == (0,)


def test_features_that_are_all_alike_and_equal_scores_are_no_trouble():
    features = {"same": np.ones((9, 2)), "none": np.zeros((9, 0))}
    np.testing.assert_allclose(Regression.fit(features, np.full(9, 0.2)).predict(features).value, 0.2)
