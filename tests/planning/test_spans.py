"""Measured quantities with their spread: worked examples."""

import pytest

from dualfair.planning.spans import Span, data_parallel, kilograms, kilowatt_hours, rounds


def test_devices_share_a_training_at_their_efficiency_and_trainings_in_rounds():
    assert data_parallel(1, 0.5) == 1
    assert data_parallel(4, 0.5) == 0.5
    assert [rounds(8, n) * 8 for n in (1, 3, 8, 20)] == [8, 3, 1, 1]


def test_the_studys_emissions_come_out():
    assert kilograms(88_493 * 3600, 250, 0.373) == pytest.approx(8251.97, abs=0.005)
    assert kilowatt_hours(7200, 500) == 1


def test_a_span_is_median_and_quartiles_and_one_value_has_no_spread():
    assert Span.of([5, 1, 3, 2, 4]) == Span(2, 3, 4)
    assert Span.of([7]) == Span(7, 7, 7)
    assert Span(1, 2, 3) + Span(0, 1, 5) * 2 == Span(1, 4, 13)
