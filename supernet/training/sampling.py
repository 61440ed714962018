"""Which paths a training step takes: strictly fair (FairNAS, algorithm 1) or uniform (SPOS). Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np


class _Deck:
    """A deck of `size` cards, dealt one by one and shuffled again whenever it is used up."""

    def __init__(self, size: int) -> None:
        self.cards = np.arange(size)
        self.next = size

    def deal(self, rng: np.random.Generator) -> int:
        if self.next == len(self.cards):
            self.cards = rng.permutation(len(self.cards))
            self.next = 0
        self.next += 1
        return int(self.cards[self.next - 1])


class StrictFairSampler:
    """Deals the paths of strict-fairness steps for choice blocks of the given `sizes`, equal or not.

    A step deals `paths` paths, by default M = max(sizes). Every choice block has a shuffled deck of its choices and
    every path takes the next card of each deck. Hence after any number of paths the counts of two choices of a block
    differ by at most one, and they are equal after every multiple of the block's size: with 9 operations and 3 heads,
    each operation once and each head three times in nine paths. FairNAS pads smaller blocks with random repeats, which
    is only approximately fair; decks are exact.

    >>> paths = StrictFairSampler([9, 3], seed=0).deal()
    >>> paths.shape, np.bincount(paths[:, 0]).tolist(), np.bincount(paths[:, 1]).tolist()
    ((9, 2), [1, 1, 1, 1, 1, 1, 1, 1, 1], [3, 3, 3])
    """

    def __init__(self, sizes: Sequence[int], seed: int = 0, paths: int | None = None) -> None:
        self.sizes = _checked_sizes(sizes)
        self.paths = max(self.sizes) if paths is None else paths
        self._rng = np.random.default_rng(seed)
        self._decks = [_Deck(size) for size in self.sizes]

    def deal(self) -> np.ndarray:
        """The paths of one step: integers of shape (paths, choice blocks), a choice of each block in every row."""
        return np.array([[deck.deal(self._rng) for deck in self._decks] for _ in range(self.paths)])

    def state_dict(self) -> dict:
        """All that moves, as JSON-able values: the generator and the decks."""
        decks = [{"cards": deck.cards.tolist(), "next": deck.next} for deck in self._decks]
        return {"rng": self._rng.bit_generator.state, "decks": decks}

    def load_state_dict(self, state: dict) -> None:
        """Continue exactly where `state_dict` was taken. Raises ValueError when the sizes differ."""
        saved = tuple(len(deck["cards"]) for deck in state["decks"])
        if saved != self.sizes:
            raise ValueError(f"dealer state is for choice blocks of sizes {saved}, this space has {self.sizes}")
        self._rng.bit_generator.state = state["rng"]
        for deck, values in zip(self._decks, state["decks"], strict=True):
            deck.cards = np.asarray(values["cards"])
            deck.next = int(values["next"])


class UniformSampler:
    """Deals one uniformly random path a step (single path one-shot, SPOS): fair in expectation only."""

    def __init__(self, sizes: Sequence[int], seed: int = 0) -> None:
        self.sizes = _checked_sizes(sizes)
        self._rng = np.random.default_rng(seed)

    def deal(self) -> np.ndarray:
        """The path of one step: integers of shape (1, choice blocks)."""
        return self._rng.integers(0, self.sizes)[np.newaxis]

    def state_dict(self) -> dict:
        """The generator's state, as JSON-able values."""
        return {"rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state["rng"]


SAMPLERS = {"strict": StrictFairSampler, "sequential": partial(StrictFairSampler, paths=1), "uniform": UniformSampler}
"""Samplers of training paths by name. "sequential" deals as "strict" does, but makes an update after every path: counts
are equal after every ninth update, and an operation that comes later meets weights that the earlier ones moved."""


def paths_per_step(sampler: str, sizes: Sequence[int]) -> int:
    """How many paths one step of `sampler` passes through the supernet."""
    return max(sizes) if sampler == "strict" else 1


def updates_per_batch(sampler: str, sizes: Sequence[int]) -> int:
    """How many updates of `sampler` make as many path passes as a strict step: all samplers cost the same an epoch."""
    return max(sizes) // paths_per_step(sampler, sizes)


def _checked_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    checked = tuple(int(size) for size in sizes)
    if not checked or min(checked) < 1:
        raise ValueError(f"sizes must be one positive number a choice block, got {list(sizes)}")
    return checked
