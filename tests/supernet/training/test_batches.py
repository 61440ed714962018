import numpy as np
import pytest

from dualfair.supernet.training.batches import BatchSampler


def test_every_epoch_shows_every_image_at_most_once():
    sampler = BatchSampler(50, 16, seed=0)
    epochs = [np.concatenate([sampler.deal() for _ in range(3)]) for _ in range(4)]
    assert all(len(set(epoch.tolist())) == 48 for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    with pytest.raises(ValueError, match="batch of 64 needs at least as many training images; there are 50"):
        BatchSampler(50, 64, seed=0)


def test_upcoming_is_what_is_dealt_next_across_epochs():
    sampler = BatchSampler(20, 6, 3)
    for _ in range(15):
        upcoming = sampler.upcoming().tolist()
        assert sampler.upcoming().tolist() == upcoming == sampler.deal().tolist()
