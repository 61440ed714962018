"""What cannot fit into memory is refused, with what could."""

import dataclasses

import pytest
import torch

from dualfair.planning import limits
from dualfair.planning.limits import largest_that_fits
from dualfair.planning.workload import FaceCounts


def test_what_cannot_fit_is_refused_with_the_largest_batch_that_could(planned, monkeypatch):
    free = limits.checked_memory(planned, torch.device("cpu"))
    there = free["train"].device - 1
    monkeypatch.setattr(limits, "device_memory", lambda device: there)
    with pytest.raises(ValueError, match=r"^train needs .* of RAM, .* are available; the largest --batch") as refused:
        limits.checked_memory(planned, torch.device("cpu"))
    best = int(str(refused.value).split()[-1])
    fits = {batch: limits.MemoryPlan(planned, half=False).train(batch).device <= there for batch in (best, best + 1)}
    assert fits == {best: True, best + 1: False}


def test_a_calibration_sample_too_large_is_named(planned, monkeypatch):
    greedy = dataclasses.replace(planned, calibrate=4000)
    monkeypatch.setattr(limits, "device_memory", lambda device: 60_000_000)
    with pytest.raises(ValueError, match=r"search needs .* the largest --calibrate that could fit is "):
        limits.checked_memory(greedy, torch.device("cpu"))


def test_nothing_fits_into_nothing(planned, monkeypatch):
    monkeypatch.setattr(limits, "device_memory", lambda device: 1000)
    with pytest.raises(ValueError, match="no --batch fits: use a smaller --skeleton, --blocks or --size"):
        limits.checked_memory(planned, torch.device("cpu"))


def test_the_largest_that_fits_is_found():
    for limit in range(2, 64):
        assert largest_that_fits(lambda n, limit=limit: n <= limit, 2, 64) == limit
    assert largest_that_fits(lambda n: True, 2, 64) == 64
    assert largest_that_fits(lambda n: False, 2, 64) is None


def test_a_calibration_sample_of_confirming_that_is_too_large_is_named(planned, monkeypatch):
    kept = dataclasses.replace(
        planned, faces=FaceCounts(training=9000, identities=12, validation=50, test=50, confirmation=50), calibrate=600
    )
    need = limits.checked_memory(kept, torch.device("cpu"))["search"]
    monkeypatch.setattr(limits, "device_memory", lambda device: need.device + need.results - 1)
    with pytest.raises(ValueError, match=r"search needs .* the largest --calibrate that could fit is 599"):
        limits.checked_memory(kept, torch.device("cpu"))
