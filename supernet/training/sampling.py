"""Which paths a training step takes: strictly fair (FairNAS, algorithm 1) or uniform (SPOS). Needs numpy only."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np


class PathSampler(Protocol):
    """What deals the paths of training steps; the same seed deals the same paths.

    A step passes `paths_per_step` paths through the supernet, and an epoch makes `updates_per_batch` steps for every
    batch that it has. The built-in samplers choose the latter so that an epoch costs as many path passes with any.
    """

    paths_per_step: int
    updates_per_batch: int

    def deal(self) -> np.ndarray:
        """The paths of one step: integers of shape (paths_per_step, choice blocks), a choice of each block a row."""

    def state_dict(self) -> dict:
        """All that moves, as JSON-able values."""

    def load_state_dict(self, state: dict) -> None:
        """Continue exactly where `state_dict` was taken."""


SamplerFactory = Callable[[Sequence[int], int], PathSampler]
"""Makes a sampler for choice blocks of some sizes, by a seed."""


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
        self.paths_per_step = max(self.sizes) if paths is None else paths
        self.updates_per_batch = max(self.sizes) // self.paths_per_step
        self._rng = np.random.default_rng(seed)
        self._decks = [_Deck(size) for size in self.sizes]

    def deal(self) -> np.ndarray:
        """The next paths of every deck, of shape (paths_per_step, choice blocks)."""
        return np.array([[deck.deal(self._rng) for deck in self._decks] for _ in range(self.paths_per_step)])

    def state_dict(self) -> dict:
        """The generator and the decks."""
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

    paths_per_step = 1

    def __init__(self, sizes: Sequence[int], seed: int = 0) -> None:
        self.sizes = _checked_sizes(sizes)
        self.updates_per_batch = max(self.sizes)
        self._rng = np.random.default_rng(seed)

    def deal(self) -> np.ndarray:
        """A path, of shape (1, choice blocks)."""
        return self._rng.integers(0, self.sizes)[np.newaxis]

    def state_dict(self) -> dict:
        """The generator's state."""
        return {"rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state["rng"]


SAMPLERS: dict[str, SamplerFactory] = {
    "strict": StrictFairSampler,
    "sequential": partial(StrictFairSampler, paths=1),
    "uniform": UniformSampler,
}
"""Samplers of training paths by name. "sequential" deals as "strict" does, but makes an update after every path: counts
are equal after every ninth update, and an operation that comes later meets weights that the earlier ones moved."""


def check_sampler(make: SamplerFactory, sizes: Sequence[int]) -> None:
    """Try a sampler out on choice blocks of some sizes. Raises ValueError with what training would stumble over."""
    try:
        sampler, twin = make(sizes, 0), make(sizes, 0)
        for name in ("paths_per_step", "updates_per_batch"):
            if type(number := getattr(sampler, name)) is not int or number < 1:
                raise ValueError(f"{name} must be a whole number, 1 or more, got {number!r}")
        if not _deal_alike(sampler, twin, sizes):
            raise ValueError("one seed deals different paths; draw from numpy's default_rng(seed) and nothing else")
        resumed = make(sizes, 1)
        resumed.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
        if not _deal_alike(sampler, resumed, sizes):
            raise ValueError("it goes on with other paths behind load_state_dict; state_dict must hold all that moves")
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"trying it failed: {type(error).__name__}: {error}") from error


def _deal_alike(sampler: PathSampler, other: PathSampler, sizes: Sequence[int]) -> bool:
    """Whether two samplers deal the same paths for three steps. Raises ValueError where these are no paths."""
    shape = sampler.paths_per_step, len(sizes)
    for _ in range(3):
        paths = np.asarray(sampler.deal())
        if paths.shape != shape or paths.dtype.kind != "i":
            raise ValueError(
                f"deal must give whole numbers of shape {shape} (paths_per_step, choice blocks), got {paths.dtype} of "
                f"shape {paths.shape}"
            )
        if (paths < 0).any() or (paths >= np.asarray(sizes)).any():
            raise ValueError(f"deal must give choices from 0 to below {list(sizes)}, got {paths.tolist()}")
        if not np.array_equal(paths, other.deal()):
            return False
    return True


def _checked_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    checked = tuple(int(size) for size in sizes)
    if not checked or min(checked) < 1:
        raise ValueError(f"sizes must be one positive number a choice block, got {list(sizes)}")
    return checked
