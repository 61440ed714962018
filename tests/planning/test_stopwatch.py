"""Timing: one call again and again."""

from dualfair.planning.stopwatch import repeated


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
