import itertools

import numpy as np
import pytest

from dualfair.evolution.halving import Rungs, Turn, next_turn, ranking


def play(values, trials, rungs, eta):
    """One worker: turns in the order that they are taken; values(turn) are the objectives."""
    done = {}
    while (turn := next_turn(done, [], trials, rungs, eta)) is not None:
        done[turn] = values(turn)
    return done


def test_rungs_of_the_published_study():
    assert Rungs(first=25, last=100, eta=2).budgets == (25, 50, 100)


@pytest.mark.parametrize(
    "first, last, eta, budgets", [(5, 20, 4, (5, 20)), (5, 21, 2, (5, 10, 21)), (3, 12, 3, (3, 12)), (7, 7, 2, (7,))]
)
def test_the_last_rung_is_as_given_and_none_lies_right_below_it(first, last, eta, budgets):
    assert Rungs(first=first, last=last, eta=eta).budgets == budgets


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"first": 0, "last": 5}, "first rung must be above 0 and at most the last (5), got 0"),
        ({"first": 6, "last": 5}, "first rung must be above 0 and at most the last (5), got 6"),
        ({"first": 1, "last": 5, "eta": 1}, "eta must be 2 or more, got 1"),
    ],
)
def test_impossible_rungs_are_refused(wrong, text):
    with pytest.raises(ValueError) as error:
        Rungs(**wrong)
    assert text in str(error.value)


@pytest.mark.parametrize("trials, eta, rungs", [(16, 2, 3), (27, 3, 3), (10, 4, 2), (5, 2, 1)])
def test_a_single_worker_ends_with_every_promotion_that_the_rungs_allow(trials, eta, rungs):
    rng = np.random.default_rng(trials)
    quality = rng.random((trials, 2))
    done = play(lambda turn: quality[turn.trial], trials, rungs, eta)
    reached = [{turn.trial for turn in done if turn.rung == rung} for rung in range(rungs)]
    assert reached[0] == set(range(trials))
    for below, above in itertools.pairwise(reached):
        assert above <= below
        # Those promoted early may be displaced later: never fewer than 1/eta, and whoever is best at the end is there.
        assert len(above) >= len(below) // eta
        names = sorted(below)
        best = ranking(quality[names])[: len(below) // eta]
        assert {names[place] for place in best} <= above


def test_with_one_objective_the_order_is_that_of_its_values():
    values = np.random.default_rng(0).permutation(20).astype(float)
    assert ranking(values[:, None])[:1].tolist() == [int(values.argmin())]
    done = play(lambda turn: (values[turn.trial],), 20, 3, 2)
    assert int(values.argmin()) in {turn.trial for turn in done if turn.rung == 2}


def test_promotions_come_before_new_trials_and_from_the_highest_rung_first():
    done = {Turn(0, 0): (1.0,), Turn(1, 0): (2.0,)}
    assert next_turn(done, [], 9, 3, 2) == Turn(0, 1)
    assert next_turn(done, [Turn(0, 1)], 9, 3, 2) == Turn(2, 0)
    done |= {Turn(0, 1): (1.0,), Turn(2, 0): (3.0,), Turn(3, 0): (0.5,), Turn(3, 1): (0.5,)}
    assert next_turn(done, [], 9, 3, 2) == Turn(3, 2)


def test_a_worker_waits_while_others_run_and_the_trials_are_used_up():
    done = {Turn(0, 0): (1.0,)}
    assert next_turn(done, [Turn(1, 0)], 2, 2, 2) is None
    assert next_turn({**done, Turn(1, 0): (0.0,)}, [], 2, 2, 2) == Turn(1, 1)


def test_a_failed_trial_is_never_promoted_but_counts_as_ended():
    done = {Turn(0, 0): (float("nan"), 0.0), Turn(1, 0): (5.0, 5.0)}
    assert next_turn(done, [], 2, 2, 2) == Turn(1, 1)
    assert next_turn({Turn(0, 0): (float("inf"), 0.0), Turn(1, 0): (float("nan"), 0.0)}, [], 2, 2, 2) is None


def test_fronts_come_one_behind_the_other():
    points = np.random.default_rng(3).random((40, 2))
    order = ranking(points).tolist()
    assert sorted(order) == list(range(40))
    depth = {}
    remaining = set(range(40))
    for number in itertools.count():
        if not remaining:
            break
        front = {
            a
            for a in remaining
            if not any((points[b] <= points[a]).all() and (points[b] < points[a]).any() for b in remaining)
        }
        depth |= dict.fromkeys(front, number)
        remaining -= front
    assert [depth[place] for place in order] == sorted(depth.values())
    ends = {int(points[:, 0].argmin()), int(points[:, 1].argmin())}
    assert set(order[:2]) == ends


def test_equal_trials_stay_in_their_order():
    assert ranking(np.ones((4, 2))).tolist() == [0, 1, 2, 3]
