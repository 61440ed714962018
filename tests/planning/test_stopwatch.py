"""Timing: contestants in turn, and one call again and again."""

import itertools

from dualfair.planning.stopwatch import Comparison, Spread, calls_in, compare, repeated


class Clock:
    """A clock that stands still until something takes time."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def task(self, name, *seconds):
        lasting = itertools.cycle(seconds)

        def run():
            self.log.append(name)
            self.now += next(lasting)

        return run


def test_contestants_are_timed_in_turn_and_the_order_is_turned_round():
    clock = Clock()
    found = compare(clock.task("A", 6.0), clock.task("B", 2.0), repeats=3, clock=clock)
    assert clock.log == ["A", "B", "A", "B", *"AB", *"BA", *"AB"]
    assert found == Comparison((6.0,) * 3, (2.0,) * 3)
    assert found.ratio == Spread(3.0, 3.0, 3.0, 3)


def test_short_calls_are_repeated_until_they_last_long_enough():
    clock = Clock()
    found = compare(clock.task("A", 0.25), clock.task("B", 1.0), repeats=1, least_seconds=1.0, clock=clock)
    assert clock.log[4:] == ["A"] * 4 + ["B"]
    assert found.ratio.median == 0.25, "ours may be the slower one"
    assert [calls_in(0.2, seconds) for seconds in (1.0, 0.2, 0.15, 0.0)] == [1, 1, 2, 1000]


def test_the_device_is_waited_for_before_the_clock_is_read():
    clock = Clock()
    waited = clock.task("wait", 1.0)
    found = compare(clock.task("A", 1.0), clock.task("B", 3.0), repeats=1, synchronise=waited, clock=clock)
    assert found == Comparison((2.0,), (4.0,)), "the wait behind a call belongs to it, the one before does not"


def test_the_ratio_is_taken_pair_by_pair():
    found = Comparison((2.0, 4.0, 12.0, 8.0, 10.0), (1.0, 4.0, 4.0, 2.0, 2.0))
    assert found.ratio == Spread(3.0, 2.0, 4.0, 5)
    assert found.plain == Spread(8.0, 4.0, 10.0, 5)


def ticking(*durations):
    """A clock that advances by one of the durations a run, and the run that moves it."""
    time = [0.0]
    following = iter(durations)

    def run():
        time[0] += next(following)

    return run, lambda: time[0]


def test_the_first_run_warms_up_and_does_not_count():
    run, clock = ticking(2, 1, 1, 1, 1, 1, 1)
    assert repeated(run, 6, clock=clock) == [1, 1, 1, 1]
    run, clock = ticking(4, 1, 1, 1, 1, 1, 1)
    assert repeated(run, 100, most=3, clock=clock) == [1, 1, 1]


def test_a_run_longer_than_the_time_given_is_measured_once():
    run, clock = ticking(50)
    assert repeated(run, 10, clock=clock) == [50]
