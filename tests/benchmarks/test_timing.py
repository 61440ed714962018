"""Contestants are timed in turn, and their memory is measured in processes of their own."""

import itertools
from functools import partial

import pytest

from dualfair.benchmarks import timing
from dualfair.benchmarks.scoring import ranking
from dualfair.benchmarks.timing import Comparison, Peak, Spread, calls_in, compare, compare_apart, peak


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
    assert clock.log == ["A", "A", "B", "B", *"AB", *"BA", *"AB"]
    assert found == Comparison((6.0,) * 3, (2.0,) * 3)
    assert found.ratio == Spread(3.0, 3.0, 3.0, 3)


def test_short_calls_are_repeated_until_they_last_long_enough():
    clock = Clock()
    found = compare(clock.task("A", 0.25), clock.task("B", 1.0), repeats=1, least_seconds=1.0, clock=clock)
    assert clock.log[4:] == ["A"] * 4 + ["B"]
    assert found.ratio.median == 0.25, "ours may be the slower one"
    assert [calls_in(0.2, seconds) for seconds in (1.0, 0.2, 0.15, 0.0)] == [1, 1, 2, 1000]


def test_the_device_is_waited_for_before_the_clock_is_read(monkeypatch):
    clock = Clock()
    waited = clock.task("wait", 1.0)
    monkeypatch.setattr(timing, "synchronise", lambda device: waited())
    found = compare(clock.task("A", 1.0), clock.task("B", 3.0), repeats=1, clock=clock)
    assert found == Comparison((2.0,), (4.0,)), "the wait behind a call belongs to it, the one before does not"


def test_the_ratio_is_taken_pair_by_pair():
    found = Comparison((2.0, 4.0, 12.0, 8.0, 10.0), (1.0, 4.0, 4.0, 2.0, 2.0))
    assert found.ratio == Spread(3.0, 2.0, 4.0, 5)
    assert found.plain == Spread(8.0, 4.0, 10.0, 5)


def test_a_peak_is_measured_in_a_process_of_its_own():
    images = 2000
    measured = peak(partial(ranking, images, 0, True), calls=1)
    assert 12 * images**2 < measured.bytes < 60 * images**2
    assert measured.seconds > 0


def runs_out():
    raise MemoryError("no\nmore")


def test_a_process_that_fails_is_reported_in_one_line():
    with pytest.raises(ValueError, match=r"^in a process of its own: MemoryError: no more; measure something smaller$"):
        peak(runs_out, calls=1)


def test_contestants_of_their_own_processes_are_timed_in_turn(monkeypatch):
    asked = []

    def peak(make, calls, device):
        asked.append(make)
        return Peak(len(asked), float(len(asked)))

    monkeypatch.setattr(timing, "peak", peak)
    comparison, (plain, ours) = compare_apart("plain", "ours", repeats=3, calls=4)
    assert asked == ["plain", "ours", "ours", "plain", "plain", "ours"]
    assert comparison == Comparison((1.0, 4.0, 5.0), (2.0, 3.0, 6.0)) and (plain.bytes, ours.bytes) == (5, 6)
