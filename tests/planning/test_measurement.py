"""Timing: one call again and again."""

import itertools
from dataclasses import replace

import pytest
import torch

from dualfair.planning import measurement
from dualfair.planning.measurement import GENOTYPES, REPETITIONS, Span, measure, repeated
from dualfair.supernet.training.trainer import Trainer


def ticking(*durations):
    """A clock that advances by one of the durations a run, by the last one for good, and the run that moves it."""
    time = [0.0]
    following = itertools.chain(durations, itertools.repeat(durations[-1]))

    def run():
        time[0] += next(following)

    return run, lambda: time[0]


def test_the_first_run_warms_up_and_does_not_count():
    run, clock = ticking(20, 1)
    assert repeated(run, 4, clock=clock) == [1, 1, 1, 1]
    run, clock = ticking(4, 1)
    assert repeated(run, 1e9, clock=clock) == [1] * REPETITIONS


def test_a_run_longer_than_the_time_given_is_measured_once():
    run, clock = ticking(90, 50)
    assert repeated(run, 10, clock=clock) == [50]


def test_a_span_is_median_and_quartiles_and_one_value_has_no_spread():
    assert Span.of([5, 1, 3, 2, 4]) == Span(2, 3, 4)
    assert Span.of([7]) == Span(7, 7, 7)
    assert Span(1, 2, 3) + Span(0, 1, 5) * 2 == Span(1, 4, 13)


@pytest.mark.parametrize(("step", "ranks", "expected"), [("graph", 1, "auto"), ("auto", 2, "paths")])
def test_steps_are_timed_the_way_that_they_will_go(planned, monkeypatch, step, ranks, expected):
    asked = []

    def trainer(*parts, **options):
        asked.append(options["step"])
        return Trainer(*parts, **options)

    monkeypatch.setattr(measurement, "Trainer", trainer)
    shared = replace(planned, retraining=replace(planned.retraining, ranks_per_job=ranks))
    measure(shared, torch.device("cpu"), 0.01, step)
    assert asked == [step, *[expected] * GENOTYPES]
