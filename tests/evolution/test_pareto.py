import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dualfair.evolution.pareto
from dualfair.evolution.pareto import front_agreement, hypervolume, knee, non_dominated, reference_point

# Few different values, so that ties and duplicates are the rule.
point_sets = st.integers(2, 4).flatmap(
    lambda m: st.lists(st.tuples(*[st.sampled_from([-1.5, 0.0, 0.1, 0.3, 7.0])] * m), min_size=1, max_size=30)
)


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


@given(point_sets)
@settings(deadline=None, max_examples=200)
def test_front_is_that_of_the_double_loop_with_ties_and_duplicates(points):
    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert non_dominated(np.array(points)).tolist() == expected


def test_large_sets_agree_with_the_double_loop_too():
    rng = np.random.default_rng(0)
    for m in (2, 3, 4):
        points = rng.integers(0, 12, size=(300, m)).astype(float)
        no_worse = (points[:, None] <= points[None]).all(axis=2)
        better = (points[:, None] < points[None]).any(axis=2)
        assert (non_dominated(points) == ~(no_worse & better).any(axis=0)).all()


def test_no_points_have_no_front_and_no_volume():
    assert non_dominated(np.empty((0, 2))).shape == (0,)
    assert hypervolume(np.empty((0, 3)), (1, 1, 1)) == 0.0


@given(point_sets)
@settings(deadline=None, max_examples=50)
def test_hypervolume_is_that_of_counted_cells(points):
    points = np.array(points)[:8]
    reference = np.full(points.shape[1], 1.0)
    edges = [np.unique([*points[:, axis], 1.0]) for axis in range(points.shape[1])]
    volume = 0.0
    for cell in itertools.product(*(range(len(edge) - 1) for edge in edges)):
        low = np.array([edge[place] for edge, place in zip(edges, cell, strict=True)])
        high = np.array([edge[place + 1] for edge, place in zip(edges, cell, strict=True)])
        if (high <= reference).all() and (points <= low).all(axis=1).any():
            volume += np.prod(high - low)
    assert hypervolume(points, reference) == pytest.approx(volume)


def test_points_behind_the_reference_add_nothing():
    assert hypervolume(np.array([[0.0, 0.0], [-9.0, 1.0], [5.0, -5.0]]), (1, 1)) == 1.0


def test_reference_point_lies_a_tenth_of_the_range_behind_the_worst():
    assert reference_point(np.array([[20, 5], [30, 5]])) == (31.0, 6.0)


def test_knee_of_one_point_and_of_two():
    assert knee(np.array([[3, 4]])) == 0
    assert knee(np.array([[0, 1], [1, 0]])) == 0
    assert knee(np.array([[2, 2], [2, 2]])) == 0


def test_knee_is_farthest_from_the_line_between_the_extremes():
    front = np.array([[0.0, 1.0], [0.1, 0.7], [0.3, 0.2], [0.6, 0.15], [1.0, 0.0]])
    distances = (1 - front.sum(axis=1)) / np.sqrt(2)
    assert knee(front) == distances.argmax() == 2


@pytest.mark.parametrize("m", [2, 3, 4])
def test_knee_is_the_bulge_of_a_plane_front_whatever_the_units(m):
    front = np.random.default_rng(m).dirichlet(np.ones(m), size=40)
    front = np.concatenate([np.eye(m), front])
    front[20] = 0.15
    assert knee(front) == 20
    assert knee(front * np.arange(1, m + 1) * 1000 - 77) == 20


def test_knee_looks_at_all_objectives_not_at_the_worst_one():
    assert knee(np.array([[0.0, 10.0], [1.0, 4.0], [3.5, 3.5], [10.0, 0.0]])) == 1


def test_equally_good_sums_give_the_most_balanced_point():
    assert knee(np.array([[0, 10], [2, 8], [5, 5], [10, 0]])) == 2


@pytest.mark.parametrize("function", [non_dominated, knee, reference_point, lambda v: hypervolume(v, (1, 1))])
def test_values_that_are_not_finite_or_no_table_are_refused(function):
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="values must be finite; leave out"):
            function(np.array([[0, 1], [bad, 1]]))
    with pytest.raises(ValueError, match=r"must be an array \(points, objectives\), got shape \(2,\)"):
        function(np.array([0, 1]))


def test_an_empty_front_has_no_knee_and_a_reference_needs_every_objective():
    with pytest.raises(ValueError, match="a knee needs at least one point"):
        knee(np.empty((0, 2)))
    with pytest.raises(ValueError, match="a reference point needs at least one point"):
        reference_point(np.empty((0, 2)))
    for reference in ((1,), (1, 1, 1), (1, np.nan)):
        with pytest.raises(ValueError, match="reference must be 2 finite numbers, one an objective"):
            hypervolume(np.array([[0, 0]]), reference)


def test_front_agreement_is_the_share_of_the_true_hypervolume_that_the_chosen_networks_hold():
    truth = np.array([[0.0, 1.0], [1.0, 0.0], [0.4, 0.4], [1.0, 1.0]])
    assert front_agreement(truth, truth) == 1
    # The cheap scores take the third for dominated: its corner of 0.6 x 0.6 between the other two is lost.
    cheap = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    box = 1.1 * 0.1 * 2 - 0.1**2
    assert front_agreement(cheap, truth) == pytest.approx(box / (box + 0.6 * 0.6))
    # Choosing all of them, whatever their scores, is never wrong; scales and offsets of either do not matter.
    assert front_agreement(np.zeros((4, 2)), truth) == 1
    assert front_agreement(5 * cheap - 3, truth) == front_agreement(cheap, truth)
    assert front_agreement(cheap, 7 * truth + 2) == pytest.approx(front_agreement(cheap, truth))
    assert front_agreement(np.zeros((1, 2)), np.ones((1, 2))) == 1


def test_front_agreement_refuses_scores_of_other_networks():
    with pytest.raises(ValueError, match="of the same networks, got 3 and 2"):
        front_agreement(np.zeros((3, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="at least one point"):
        front_agreement(np.zeros((0, 2)), np.zeros((0, 2)))


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(dualfair.evolution.pareto).failed == 0
