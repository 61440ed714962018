import itertools

import numpy as np
import pytest

from dualfair.evolution.halving import Rungs, Turn, asha, bracket_sizes, hyperband, ranking


def play(values, trials, rungs, eta, schedule=asha):
    """One worker: turns in the order that they are taken; values(turn) are the objectives."""
    done = {}
    while (turn := schedule(done, [], trials, rungs, eta)) is not None:
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
    assert asha(done, [], 9, 3, 2) == Turn(0, 1)
    assert asha(done, [Turn(0, 1)], 9, 3, 2) == Turn(2, 0)
    done |= {Turn(0, 1): (1.0,), Turn(2, 0): (3.0,), Turn(3, 0): (0.5,), Turn(3, 1): (0.5,)}
    assert asha(done, [], 9, 3, 2) == Turn(3, 2)


def test_a_worker_waits_while_others_run_and_the_trials_are_used_up():
    done = {Turn(0, 0): (1.0,)}
    assert asha(done, [Turn(1, 0)], 2, 2, 2) is None
    assert asha({**done, Turn(1, 0): (0.0,)}, [], 2, 2, 2) == Turn(1, 1)


def test_a_failed_trial_is_never_promoted_but_counts_as_ended():
    done = {Turn(0, 0): (float("nan"), 0.0), Turn(1, 0): (5.0, 5.0)}
    assert asha(done, [], 2, 2, 2) == Turn(1, 1)
    assert asha({Turn(0, 0): (float("inf"), 0.0), Turn(1, 0): (float("nan"), 0.0)}, [], 2, 2, 2) is None


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


@pytest.mark.parametrize(
    "rungs, eta, sizes",
    [(3, 2, (4, 3, 3)), (1, 2, (1,)), (2, 4, (4, 2)), (5, 3, (81, 34, 15, 8, 5))],
)
def test_brackets_are_those_of_the_paper(rungs, eta, sizes):
    """Rungs 25, 50, 100 are the study's; with five rungs and eta 3 they are table 1 of Li et al. (2018)."""
    assert bracket_sizes(rungs, eta) == sizes


def test_a_round_of_hyperband_is_what_the_study_spent_on_it():
    done = play(lambda turn: (float(turn.trial), 0.0), 20, 3, 2, hyperband)
    assert [turn.rung for turn in done].count(2) == 10
    first = [turn for turn in done if turn.trial < 10]
    assert len(first) == 14 and sum((25, 50, 100)[turn.rung] for turn in first) == 850
    # In brackets: 4 at 25, the better 2 at 50, the best at 100; 3 at 50, the best at 100; 3 at 100.
    assert list(done)[:7] == [*(Turn(t, 0) for t in range(4)), Turn(0, 1), Turn(1, 1), Turn(0, 2)]
    assert list(done)[7:14] == [*(Turn(t, 1) for t in (4, 5, 6)), Turn(4, 2), *(Turn(t, 2) for t in (7, 8, 9))]


def test_who_waits_for_a_rung_of_hyperband_begins_with_the_next_bracket():
    done = {Turn(trial, 0): (float(trial),) for trial in (0, 2, 3)}
    assert hyperband(done, [Turn(1, 0)], 20, 3, 2) == Turn(4, 1)
    assert hyperband(done, [Turn(1, 0)], 4, 3, 2) is None
    assert hyperband({**done, Turn(1, 0): (0.5,)}, [], 20, 3, 2) == Turn(0, 1)


def test_hyperband_promotes_no_failed_trial_and_from_a_bracket_that_is_not_full():
    nan = float("nan")
    done = play(lambda turn: (nan if turn.trial == 0 else float(turn.trial), 0.0), 3, 3, 2, hyperband)
    assert [*done] == [Turn(0, 0), Turn(1, 0), Turn(2, 0), Turn(1, 1)]
    assert [*play(lambda turn: (nan,), 8, 3, 2, hyperband)] == [
        *(Turn(trial, 0) for trial in range(4)),
        *(Turn(trial, 1) for trial in range(4, 7)),
        Turn(7, 2),
    ]
