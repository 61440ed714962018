"""The order in which training images come: batch after batch, every epoch shuffled anew. Needs numpy only."""

import copy

import numpy as np


class BatchSampler:
    """Endless batches of image numbers: every epoch a new order, the incomplete last batch dropped."""

    def __init__(self, images: int, batch: int, seed: int) -> None:
        if images < batch:
            raise ValueError(f"a batch of {batch} needs at least as many training images; there are {images}")
        self.images, self.batch = images, batch
        self._rng = np.random.default_rng(seed)
        self._order = self._rng.permutation(images)
        self._next = 0

    @property
    def batches_per_epoch(self) -> int:
        return self.images // self.batch

    def deal(self) -> np.ndarray:
        """Image numbers of the next batch, shape (B,)."""
        if self._next + self.batch > self.images:
            self._order = self._rng.permutation(self.images)
            self._next = 0
        self._next += self.batch
        return self._order[self._next - self.batch : self._next]

    def upcoming(self) -> np.ndarray:
        """What the next `deal` will give."""
        following = self._next + self.batch
        return self._order[self._next : following] if following <= self.images else copy.deepcopy(self).deal()

    def state_dict(self) -> dict:
        """Generator, order and place, as JSON-able values."""
        return {"rng": self._rng.bit_generator.state, "order": self._order.tolist(), "next": self._next}

    def load_state_dict(self, state: dict) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state["rng"]
        self._order = np.asarray(state["order"])
        self._next = int(state["next"])
