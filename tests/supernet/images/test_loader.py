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
            Counted.reads += 1
            return faces.read(images)

    source, sampler = PrefetchingLoader(Counted(), CPU), BatchSampler(96, 16, 0)
    for _ in range(20):
        source.take(sampler.deal(), sampler.upcoming())
    source._reader.shutdown()
    assert Counted.reads == 21


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
