from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dualfair.supernet.images import loader
from dualfair.supernet.images.loader import PrefetchingLoader, ResidentLoader, open_loader
from dualfair.supernet.training.batches import BatchSampler

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", [ResidentLoader, PrefetchingLoader])
def test_a_loader_gives_what_was_asked_for_whatever_was_announced(faces, kind):
    rng = np.random.default_rng(0)
    announced = rng.integers(0, 96, 7)
    source = kind(faces, CPU)
    for turn in range(12):
        requested = announced if turn % 3 else rng.integers(0, 96, 5)
        announced = rng.integers(0, 96, 7)
        assert torch.equal(source.take(requested, announced), faces.read(requested))


def test_faces_stay_on_the_device_where_they_take_at_most_half_of_what_is_free(faces, monkeypatch):
    size = 96 * 24 * 24 * 3
    for free, sharers, kind in (
        (2 * size, 1, ResidentLoader),
        (2 * size - 1, 1, PrefetchingLoader),
        (2 * size, 2, PrefetchingLoader),
    ):
        monkeypatch.setattr(loader, "free_memory", lambda _device, free=free: free)
        assert isinstance(open_loader(faces, CPU, sharers), kind)


def test_prefetching_reads_ahead_and_reads_nothing_twice(faces):
    class Counted:
        labels = faces.labels
        reads = 0

        def read(self, images):
            Counted.reads += len(images)
            return faces.read(images)

    source, sampler = PrefetchingLoader(Counted(), CPU), BatchSampler(96, 16, 0)
    for _ in range(20):
        source.take(sampler.deal(), sampler.upcoming())
    source._sender.shutdown()
    assert Counted.reads == 21 * 16


def test_a_read_that_fails_is_raised_where_its_batch_is_taken(faces):
    class Broken:
        labels = faces.labels

        def read(self, images):
            if 7 in images:
                raise OSError("disk gone")
            return faces.read(images)

    source = PrefetchingLoader(Broken(), CPU)
    source.take(np.array([1]), np.array([7]))
    with pytest.raises(OSError, match="disk gone"):
        source.take(np.array([7]), np.array([2]))


@pytest.mark.parametrize("readers", [1, 3, 8])
def test_the_order_does_not_depend_on_how_many_read(faces, monkeypatch, readers):
    monkeypatch.setattr(loader, "_READERS", readers)
    smaller = replace(faces, size=faces.size // 2)
    chosen = np.random.default_rng(0).integers(0, 96, 7)
    for source in (faces, smaller):
        assert torch.equal(PrefetchingLoader(source, CPU).take(chosen, chosen), source.read(chosen))


def test_a_batch_travels_beside_what_is_computed_and_is_waited_for(faces, monkeypatch):
    """Only that batch: the next one is asked for behind the wait. Its memory stays until it was computed with."""
    events = []

    def stream(name):
        return SimpleNamespace(name=name, wait_stream=lambda other: events.append(f"{name} waits for {other.name}"))

    @contextmanager
    def on(stream):
        events.append(f"on {stream.name}")
        yield
        events.append(f"off {stream.name}")

    def pinned(pixels):
        events.append("pinned")
        return pixels

    def sent(pixels, device, non_blocking=False):
        assert device.type == "cuda" and non_blocking
        events.append("sent")
        return pixels

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream("copies"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream("main"))
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
    monkeypatch.setattr(torch.Tensor, "to", sent)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda pixels, stream: events.append(f"kept for {stream.name}"))
    source = PrefetchingLoader(faces, SimpleNamespace(type="cuda"))
    first, second = np.arange(5), np.arange(9, 2, -1)
    for chosen, upcoming in ((first, second), (second, first)):
        assert torch.equal(source.take(chosen, upcoming), faces.read(chosen))
    source._sender.shutdown()
    sending = ["on copies", "pinned", "sent", "off copies"]
    assert events == 2 * [*sending, "main waits for copies", "kept for main"] + sending
