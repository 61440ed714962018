import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualfair.evaluation.statistics.reliability import Reliability, reliability

COMPONENTS = ("network", "seed", "identities", "residual")
SD = {"network": 2.0, "seed": 0.7, "gallery": 3.0, "identities": 1.2, "residual": 0.5}


def simulated(networks, seeds, k, rng, sd=SD, network=None):
    """Values of the model; `network` are effects to take instead of drawn ones."""
    network = sd["network"] * rng.normal(size=networks) if network is None else network
    return (
        10
        + network[:, None, None]
        + sd["seed"] * rng.normal(size=(networks, seeds, 1))
        + sd["gallery"] * rng.normal(size=k)
        + sd["identities"] * rng.normal(size=(networks, 1, k))
        + sd["residual"] * rng.normal(size=(networks, seeds, k))
    )


def components_by_loops(values):
    """Sums of squares from raw totals of Python's floats; expected mean squares as linear equations."""
    n, s, k = len(values), len(values[0]), len(values[0][0])
    cells = list(itertools.product(range(n), range(s), range(k)))
    whole = sum(values[i][j][g] for i, j, g in cells)
    correction = whole**2 / (n * s * k)

    def squares(key, size):
        totals = {}
        for i, j, g in cells:
            totals[key(i, j, g)] = totals.get(key(i, j, g), 0.0) + values[i][j][g]
        return sum(total**2 for total in totals.values()) / size

    networks, gallery = squares(lambda i, j, g: i, s * k), squares(lambda i, j, g: g, n * s)
    pairs, seeds = squares(lambda i, j, g: (i, g), s), squares(lambda i, j, g: (i, j), k)
    ss = {
        "network": (networks - correction, n - 1),
        "seed": (seeds - networks, n * (s - 1)),
        "gallery": (gallery - correction, k - 1),
        "identities": (pairs - networks - gallery + correction, (n - 1) * (k - 1)),
        "residual": (sum(values[i][j][g] ** 2 for i, j, g in cells) - seeds - pairs + networks, n * (s - 1) * (k - 1)),
    }
    expected = [
        [s * k, k, 0, s, 1],
        [0, k, 0, 0, 1],
        [0, 0, n * s, s, 1],
        [0, 0, 0, s, 1],
        [0, 0, 0, 0, 1],
    ]
    return dict(zip(ss, np.linalg.solve(expected, [sum_ / freedom for sum_, freedom in ss.values()]), strict=True))


@given(st.integers(0, 10_000), st.integers(2, 7), st.integers(2, 4), st.integers(2, 5))
@settings(max_examples=40)
def test_components_equal_an_analysis_of_variance_by_loops(seed, networks, seeds, k):
    values = simulated(networks, seeds, k, np.random.default_rng(seed))
    result, expected = reliability(values), components_by_loops(values.tolist())
    for name in COMPONENTS:
        assert getattr(result, name) ** 2 == pytest.approx(max(expected[name], 0), rel=1e-6, abs=1e-9)


def test_a_table_worked_by_hand():
    # Networks 0 and 4, seeds +-1, galleries +-3: nothing else, so the residual and the choice of identities are 0.
    values = np.array([0, 4])[:, None, None] + np.array([-1, 1])[:, None] + np.array([-3, 3])
    result = reliability(values)
    # Variance between the seeds' means: 2, between the networks' means: 8 = network + seed/2.
    assert (result.network**2, result.seed**2) == pytest.approx((7, 2))
    assert (result.identities, result.residual) == (0, 0)
    assert result.of_mean() == result.of_mean(1, 50) == pytest.approx(7 / 9)
    assert result.of_mean(2, 1) == pytest.approx(7 / 8)
    assert (result.galleries_needed(0.75), result.galleries_needed(0.8)) == (1, None)


def test_known_components_are_recovered():
    rng = np.random.default_rng(0)
    result = reliability(simulated(600, 3, 8, rng))
    for name in ("network", "seed", "identities", "residual"):
        assert getattr(result, name) == pytest.approx(SD[name], rel=0.08), name


@pytest.mark.parametrize(("seeds", "k"), [(1, 1), (1, 4), (3, 2)])
def test_reliability_is_the_correlation_of_means_over_fresh_seeds_and_galleries(seeds, k):
    rng = np.random.default_rng(1)
    true = SD["network"] * rng.normal(size=20_000)
    first, again = (simulated(len(true), seeds, k, rng, network=true).mean(axis=(1, 2)) for _ in range(2))
    exact = Reliability(*(SD[name] for name in COMPONENTS))
    assert np.corrcoef(first, again)[0, 1] == pytest.approx(exact.of_mean(seeds, k), abs=0.015)
    assert np.corrcoef(first, true)[0, 1] ** 2 == pytest.approx(exact.of_mean(seeds, k), abs=0.015)


@given(st.floats(0.1, 5), st.floats(0, 3), st.floats(0, 5), st.floats(0, 3), st.floats(0.05, 0.95))
def test_the_galleries_needed_are_the_fewest_that_reach_the_target(network, seed, identities, residual, target):
    result = Reliability(network, seed, identities, residual)
    needed = result.galleries_needed(target)
    if needed is None:
        assert result.of_mean(galleries=10**9) < target + 1e-6
    else:
        assert result.of_mean(galleries=needed) >= target - 1e-9
        assert needed == 1 or result.of_mean(galleries=needed - 1) < target + 1e-9


def test_galleries_needed_worked_by_hand():
    result = Reliability(network=1.0, seed=0.4, identities=1.0, residual=0.0)
    # 0.8 leaves 0.25 of noise, of which the seed takes 0.16: 1 / 0.09 = 11.1 galleries. 0.9 leaves 0.111 < 0.16.
    assert (result.galleries_needed(0.8), result.galleries_needed(0.9)) == (12, None)
    assert Reliability(1.0, 0.0, 1.0, 0.0).galleries_needed(0.8) == 4
    # The seed takes all that 0.9 leaves: 2.28^2 / 9 = 0.76^2.
    assert Reliability(2.28, 0.76, 1.83, 0.0).galleries_needed(0.9) is None
    assert Reliability(2.28, 0.76, 0.0, 0.0).galleries_needed(0.9) == 1


def test_one_seed_leaves_the_seeds_component_unknown():
    rng = np.random.default_rng(2)
    result = reliability(simulated(800, 1, 6, rng))
    assert (result.seed, result.residual) == (None, None)
    assert result.network == pytest.approx(np.hypot(SD["network"], SD["seed"]), rel=0.08)
    assert result.identities == pytest.approx(np.hypot(SD["identities"], SD["residual"]), rel=0.05)
    assert result.of_mean(seeds=2) is None
    exact = Reliability(*(SD[name] for name in COMPONENTS))
    assert result.of_mean(1, 4) > exact.of_mean(1, 4)


@given(st.integers(0, 1000), st.floats(-50, 50), st.floats(0.01, 100))
@settings(max_examples=30)
def test_what_galleries_add_for_all_networks_changes_only_their_own_component(seed, shift, scale):
    rng = np.random.default_rng(seed)
    values = simulated(8, 2, 4, rng)
    plain, moved = reliability(values), reliability(scale * (values + 20 * rng.normal(size=4) + shift))
    for name in ("network", "seed", "identities", "residual"):
        assert getattr(moved, name) == pytest.approx(scale * getattr(plain, name), rel=1e-5, abs=1e-5 * scale)
    assert moved.of_mean(2, 3) == pytest.approx(plain.of_mean(2, 3), abs=1e-6)


def test_a_negative_estimate_is_0():
    # The two seeds of each network differ in opposite ways on the two galleries: less spread of means than residual.
    values = np.array([0.0, 5.0, 9.0])[:, None, None] + np.array([[1, -1], [-1, 1]])
    result = reliability(values)
    assert (result.seed, result.identities) == (0, 0)
    assert result.residual**2 == pytest.approx(12 / 3)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=5), st.integers(1, 3), st.integers(2, 6))
def test_rounding_is_not_a_negative_component(effects, seeds, k):
    galleries_only = np.array(effects)[:, None, None] + np.linspace(0.1, 0.7, k) + np.zeros((1, seeds, 1))
    result = reliability(galleries_only)
    assert (result.identities, result.seed or 0, result.residual or 0) == (0, 0, 0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_values_that_are_all_alike_have_no_reliability(value):
    result = reliability(np.full((7, 3, 3), value))
    assert [getattr(result, name) for name in COMPONENTS] == [0] * 4
    assert (result.of_mean(), result.galleries_needed(0.8)) == (None, None)


def test_networks_that_do_not_differ_have_reliability_0():
    result = Reliability(0.0, 0.1, 0.1, 0.1)
    assert (result.of_mean(3, 100), result.galleries_needed(0.1)) == (0, None)


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 2, 1), (3, 0, 2), (3, 4)])
def test_a_table_that_says_nothing_about_reliability_is_refused(shape):
    with pytest.raises(ValueError) as caught:
        reliability(np.zeros(shape))
    assert f"at least 2 networks and 2 galleries, got {shape}" in str(caught.value)


def test_undefined_values_are_refused_and_located():
    values = np.zeros((3, 2, 4))
    values[1, 0, 2], values[2, 1, 3] = np.inf, np.nan
    with pytest.raises(ValueError, match=r"2 of 24 are nan or inf, the first of network, seed and gallery \(1, 0, 2\)"):
        reliability(values)
