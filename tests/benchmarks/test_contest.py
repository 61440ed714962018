"""Contestants are timed in turn, each in a process of its own, where their memory is measured too."""

from concurrent.futures import Future
from functools import partial

import pytest
import torch

from dualfair.benchmarks import contest
from dualfair.benchmarks.contest import Contest, Way, compare, quartiles
from dualfair.benchmarks.contests import counted_ranks, full_sort_ranks, ranking


class InlineProcess:
    """Does at once what it is told, in this process."""

    def __init__(self, workers, context):
        assert workers == 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def submit(self, work, *arguments):
        done = Future()
        done.set_result(work(*arguments))
        return done


def test_contestants_are_timed_in_turn_and_the_order_is_turned_round(monkeypatch):
    asked = []

    def measure(make, calls, warm_up, device):
        asked.append(make)
        assert (calls, warm_up, device) == (4, 2, "cpu")
        return float(len(asked)), 10 * len(asked)

    monkeypatch.setattr(contest, "ProcessPoolExecutor", InlineProcess)
    monkeypatch.setattr(contest, "measure", measure)
    ways = compare({"a loop": "plain", "Trainer": "ours"}, repeats=3, calls=4, warm_up=2)
    assert asked == ["plain", "ours", "ours", "plain", "plain", "ours"]
    assert ways == (Way("a loop", (1.0, 4.0, 5.0), 50), Way("Trainer", (2.0, 3.0, 6.0), 60))


def test_a_contestant_is_made_and_warmed_up_once(monkeypatch):
    monkeypatch.setattr(contest, "_contestant", [])
    log = []

    def make():
        log.append("make")
        return lambda: log.append("call")

    contest.measure(make, 3, 2, "cpu")
    contest.measure(make, 3, 2, "cpu")
    assert log == ["make", *["call"] * 8]


def test_the_device_is_waited_for_before_the_clock_is_read(monkeypatch):
    log = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: log.append("wait"))
    monkeypatch.setattr(contest.time, "perf_counter", lambda: log.append("clock") or 6.0 * log.count("clock"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7)
    monkeypatch.setattr(contest, "_contestant", [0, lambda: log.append("call")])
    assert contest.measure(None, 2, 0, "cuda") == (3.0, 7)
    assert log == ["wait", "clock", "call", "call", "wait", "clock"]


def test_the_ratio_is_taken_pair_by_pair():
    plain, ours = Way("plain", (2.0, 4.0, 12.0, 8.0, 10.0), 0), Way("ours", (1.0, 4.0, 4.0, 2.0, 2.0), 0)
    assert Contest(title="", work=1, unit="", ways=(plain, ours)).ratio == (3.0, 2.0, 4.0)
    assert quartiles(plain.seconds) == (8.0, 4.0, 10.0) and quartiles([7.0]) == (7.0, None, None)


@pytest.mark.slow
def test_the_full_sort_needs_its_memory_and_the_count_does_not():
    images = 2000
    makers = {"sort": partial(ranking, images, full_sort_ranks), "count": partial(ranking, images, counted_ranks)}
    plain, ours = compare(makers, repeats=1, calls=1)
    assert 12 * images**2 < plain.peak < 60 * images**2
    assert ours.peak < plain.peak and plain.seconds[0] > 0


def runs_out():
    raise MemoryError("no\nmore")


@pytest.mark.slow
def test_a_process_that_fails_is_reported_in_one_line():
    with pytest.raises(ValueError, match=r"^in a process of its own: MemoryError: no more; measure something smaller$"):
        compare({"a": runs_out, "b": runs_out}, repeats=1, calls=1)
