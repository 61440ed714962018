"""Proposals by a model: costs by hand, the model against an independent one, and searches that it shortens."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from dualfair.evolution import parego
from dualfair.evolution.configurations import Categorical, ConfigurationSpace, LogUniform
from dualfair.evolution.parego import Results, Surrogate, log_expected_improvement, propose, scalarised

SPACE = ConfigurationSpace(
    [
        *(Categorical(name=f"block {place}", choices=(*range(6),), group="blocks") for place in range(4)),
        Categorical(name="optimizer", choices=("sgd", "adam")),
        LogUniform(name="sgd.lr", low=0.05, high=0.8, when=("optimizer", "sgd")),
        LogUniform(name="adam.lr", low=1e-5, high=1e-2, when=("optimizer", "adam")),
    ]
)
NONE = np.empty((0, len(SPACE.dimensions)))


def test_the_scalar_is_the_largest_weighted_objective_and_a_little_of_all():
    objectives = np.array([[0.2, 10.0], [0.4, 0.0], [0.6, 5.0], [np.inf, np.nan]])
    # Scaled to 0..1: (0, 1), (0.5, 0), (1, 0.5); what failed counts as the worst in both.
    by_hand = [0.7 + 0.05 * 0.7, 0.15 + 0.05 * 0.15, 0.35 + 0.05 * (0.3 + 0.35), 0.7 + 0.05 * 1.0]
    np.testing.assert_allclose(scalarised(objectives, np.array([0.3, 0.7])), by_hand)


def test_a_constant_objective_counts_nothing():
    objectives = np.array([[0.2, 3.0], [0.4, 3.0]])
    np.testing.assert_allclose(scalarised(objectives, np.array([0.5, 0.5])), [0.0, 0.525])


def test_expected_improvement_is_that_of_many_draws_and_goes_on_far_away():
    rng = np.random.default_rng(0)
    for mean, deviation in ((0.0, 1.0), (1.5, 1.0), (-2.0, 0.3)):
        draws = np.maximum(0.0 - rng.normal(mean, deviation, 400_000), 0).mean()
        [value] = np.exp(log_expected_improvement(np.array([mean]), np.array([deviation]), 0.0))
        assert value == pytest.approx(draws, rel=0.02)
    far = log_expected_improvement(np.array([20.0, 29.0, 31.0, 200.0]), np.ones(4), 0.0)
    assert np.isfinite(far).all() and (np.diff(far) < 0).all()
    # phi(z) / z^2 (1 - 3/z^2 + ...), Abramowitz and Stegun 26.2.12.
    assert far[1] == pytest.approx(norm.logpdf(29.0) - 2 * np.log(29.0) + np.log1p(-3 / 29**2), abs=1e-4)
    assert far[2] == pytest.approx(norm.logpdf(31.0) - 2 * np.log(31.0), abs=5e-3)


def test_the_model_is_the_gaussian_process_of_another_program():
    """One position and one budget: scikit-learn's process with the same kernel and these hyper-parameters."""
    line = ConfigurationSpace([LogUniform(name="x", low=1, high=10)])
    rng = np.random.default_rng(1)
    rows, ones = rng.random((12, 1)), np.ones(12)
    cost = np.sin(6 * rows[:, 0]) + rng.normal(0, 0.05, 12)
    model = Surrogate.fitted(line, rows, ones, cost)
    signal, noise, precision = np.exp(model.logarithms[:3])
    kernel = ConstantKernel(signal) * RBF(precision**-0.5) + ConstantKernel(20.0) + WhiteKernel(noise)
    other = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(rows, model.cost)
    new = np.linspace(0, 1, 9)[:, None]
    mean, deviation = other.predict(new, return_std=True)
    found, found_deviation = model.expected(new)
    np.testing.assert_allclose((found - model.centre) / model.spread, mean, atol=1e-8)
    np.testing.assert_allclose(found_deviation / model.spread, np.sqrt(deviation**2 - noise), atol=1e-6)
    assert np.abs(found - np.sin(6 * new[:, 0])).max() < 0.25 and noise < 0.1


def test_hyper_parameters_see_what_matters():
    rng = np.random.default_rng(2)
    rows = SPACE.draw(rng, 120)
    cost = 2.0 * (rows[:, 4] == 1) + rng.normal(0, 0.1, 120)
    model = Surrogate.fitted(SPACE, rows, np.ones(120), cost)
    blocks, optimizer = model.logarithms[2:4]
    assert optimizer > blocks
    means = model.expected(SPACE.draw(rng, 60))[0]
    assert np.isfinite(means).all() and means.std() > 0.5


def test_what_few_epochs_say_counts_for_many():
    """Costs of rung 0 are higher by 1 throughout: the order that they show is that of the last rung."""
    rng = np.random.default_rng(3)
    rows = SPACE.draw(rng, 60)
    worth = (rows[:, :4] == 2).sum(axis=1) * -0.3
    budgets = np.r_[np.zeros(50), np.ones(10)]
    cost = worth + 1.0 * (budgets == 0) + rng.normal(0, 0.03, 60)
    model = Surrogate.fitted(SPACE, rows, budgets, cost)
    new = SPACE.draw(rng, 200)
    expected, _ = model.expected(new)
    truth = (new[:, :4] == 2).sum(axis=1) * -0.3
    assert np.corrcoef(expected, truth)[0, 1] > 0.7
    assert abs((expected - truth).mean()) < 0.2


def test_running_configurations_are_believed_and_not_proposed_again():
    rng = np.random.default_rng(4)
    rows = SPACE.draw(rng, 30)
    model = Surrogate.fitted(SPACE, rows, np.ones(30), rng.random(30))
    running = SPACE.draw(rng, 3)
    before, after = model.expected(running), model.believing(running).expected(running)
    np.testing.assert_allclose(before[0], after[0], atol=0.15)
    assert (after[1] < before[1]).all()


def test_all_of_a_small_space_is_proposed_before_anything_twice(monkeypatch):
    monkeypatch.setattr(parego, "RANDOM_SHARE", 0.0)
    small = ConfigurationSpace(
        [Categorical(name="a", choices=(*range(4),)), Categorical(name="b", choices=(*range(5),))]
    )
    rows = small.draw(np.random.default_rng(0), 10)
    for number in range(10, 30):
        results = Results(rows, np.ones(len(rows)), rows[:, :2] + 1.0)
        row, by_model = propose(small, results, np.empty((0, 2)), number, np.random.default_rng([1, number]))
        rows = np.concatenate([rows, row[None]])
        if len({tuple(each) for each in rows}) == 20 and not by_model:
            break
    assert len({tuple(each) for each in rows}) == 20


def test_a_single_configuration_is_proposed_again():
    one = ConfigurationSpace([Categorical(name="a", choices=("x",))])
    results = Results(np.zeros((12, 1)), np.ones(12), np.random.default_rng(0).random((12, 2)))
    row, _ = propose(one, results, np.empty((0, 1)), 12, np.random.default_rng(1))
    assert row.tolist() == [0.0]


def objectives(row, rng):
    values = SPACE.values(row)
    blocks = np.array([values[f"block {place}"] for place in range(4)])
    rate = (
        np.log10(values["sgd.lr"] / 0.2) ** 2 if "sgd.lr" in values else 0.1 + np.log10(values["adam.lr"] / 1e-3) ** 2
    )
    return 0.1 * (blocks != 2).sum() + rate + rng.normal(0, 0.02), 0.1 * (blocks != 4).sum() + rate / 2 + rng.normal(
        0, 0.02
    )


def searched(seed, by_model, trials=40):
    """The sum of both objectives, the smallest of all trials."""
    noise = np.random.default_rng([9, seed])
    rows, values = [], []
    for number in range(trials):
        rng = np.random.default_rng([5, seed, number])
        results = Results(np.array(rows).reshape(-1, 7), np.ones(len(rows)), np.array(values).reshape(-1, 2))
        row = propose(SPACE, results, NONE, number, rng)[0] if by_model else SPACE.draw(rng, 1)[0]
        rows.append(row)
        values.append(objectives(row, noise))
    return min(map(sum, values))


def test_a_model_finds_better_configurations_than_chance():
    better = [searched(seed, True) < searched(seed, False) for seed in range(4)]
    assert all(better)


def test_a_proposal_is_a_function_of_what_was_seen():
    rng = np.random.default_rng(0)
    results = Results(SPACE.draw(rng, 14), np.ones(14), rng.random((14, 2)))
    one, other = (propose(SPACE, results, NONE, 14, np.random.default_rng(8)) for _ in range(2))
    assert one[1] and other[1] and one[0].tobytes() == other[0].tobytes()
    first = propose(SPACE, Results(NONE, np.empty(0), np.empty((0, 2))), NONE, 0, np.random.default_rng(8))
    assert not first[1] and first[0].tobytes() == SPACE.draw(np.random.default_rng(8), 1)[0].tobytes()


def test_failed_trainings_break_nothing():
    rng = np.random.default_rng(0)
    rows = SPACE.draw(rng, 20)
    values = rng.random((20, 2))
    values[::3] = np.inf
    row, by_model = propose(SPACE, Results(rows, np.ones(20), values), NONE, 20, np.random.default_rng(8))
    assert by_model and SPACE.values(row)
    assert not propose(SPACE, Results(rows, np.ones(20), np.full((20, 2), np.inf)), NONE, 20, np.random.default_rng(8))[
        1
    ]
