"""Calls a score, a few genotypes at a time, and finds out whose fault it is when the score raises.

A call that raises is made once more. If it raises again, its genotypes are scored one by one, each with a second try.
A genotype that fails alone twice is infeasible, with the error as the reason. But that is only said when the score is
known to work: after the failure it scored another genotype of the call, or once more one that it had scored before. A
score that no longer works for anything, a graphics card that is gone for instance, stops the run: then nothing is kept
of its failures, and the same command tries again.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dualfair.evolution.archive import Archive
from dualfair.supernet.genotype import Genotype

Score = Callable[[list[Genotype]], np.ndarray]
"""Genotypes to float values (n, columns): objectives first, all minimised, then details. The values of a genotype
may not depend on the genotypes beside it."""

_REASON_LENGTH = 300


class Scored(NamedTuple):
    """What a score call came to: `values` (n, columns), or None and the `reason`. `seconds` are a genotype's share."""

    genotypes: tuple[Genotype, ...]
    values: np.ndarray | None
    seconds: float
    reason: str | None = None


class Attempts:
    """A score with patience: call it with genotypes, get their `Scored` one after another as they become known.

    Its values have to fit the columns of `archive`, to which nothing is written here. A score call gets at most `batch`
    genotypes (all of them for None), in the order of genotypes: those with a common beginning are neighbours, and a run
    that was killed goes on in the same order. KeyboardInterrupt and SystemExit are not caught.
    """

    def __init__(self, score: Score, archive: Archive, batch: int | None) -> None:
        self._score, self._archive, self._batch = score, archive, batch
        self._witness: Genotype | None = None

    def trust(self, genotypes: Iterable[Genotype]) -> None:
        """Learn of genotypes that this score scored in an earlier run."""
        self._witness = next(iter(genotypes), self._witness)

    def __call__(self, genotypes: Sequence[Genotype]) -> Iterator[Scored]:
        """The values of distinct genotypes, or the reasons.

        Raises ValueError when score returns anything but a number for every column of every genotype, or when it
        raises for everything.
        """
        ordered = sorted(genotypes)
        size = self._batch or max(len(ordered), 1)
        doubtful: list[Scored] = []
        for start in range(0, len(ordered), size):
            for scored in self._call(tuple(ordered[start : start + size])):
                if scored.reason is not None:
                    doubtful.append(scored)
                    continue
                self._witness = scored.genotypes[-1]
                yield from doubtful
                yield scored
                doubtful = []
            if doubtful and self._witness is not None:
                self._ask_witness(doubtful[0])
                yield from doubtful
                doubtful = []
        if doubtful:
            raise ValueError(
                f"score failed for all {len(doubtful)} genotypes that it was asked for: {doubtful[0].reason}; nothing "
                "is kept of that; repair the scorer, then repeat the command"
            )

    def _call(self, genotypes: tuple[Genotype, ...]) -> Iterator[Scored]:
        together = self._try(genotypes)
        if together.reason is None or len(genotypes) == 1:
            yield together
        else:
            yield from (self._try((genotype,)) for genotype in genotypes)

    def _ask_witness(self, doubtful: Scored) -> None:
        retried = self._try((self._witness,))
        if retried.reason is not None:
            raise ValueError(
                f"score failed for {doubtful.genotypes[0]} ({doubtful.reason}) and then for {self._witness} too, "
                f"which it had scored before ({retried.reason}); nothing is kept of these failures; repair the scorer, "
                "then repeat the command"
            )

    def _try(self, genotypes: tuple[Genotype, ...]) -> Scored:
        """One call, and a second one if it raises."""
        for _ in range(2):
            start, returned, reason = time.perf_counter(), None, None
            try:
                returned = self._score(list(genotypes))
            except Exception as error:
                reason = reason_of(error)
            seconds = (time.perf_counter() - start) / len(genotypes)
            if reason is None:
                returned = checked_values(returned, len(genotypes), self._archive)
                break
        return Scored(genotypes, returned, seconds, reason)


def reason_of(error: Exception) -> str:
    """The type and the first line of an error, printable and at most 300 characters long.

    >>> reason_of(RuntimeError("out of memory\\ndetails"))
    'RuntimeError: out of memory'
    """
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return "".join(character if character.isprintable() else " " for character in text)[:_REASON_LENGTH]


def checked_values(values: object, rows: int, archive: Archive) -> np.ndarray:
    """What a score returned as float64 (rows, columns of the archive). Raises ValueError when it is anything else."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"score must return an array of numbers, got {type(values).__name__}: {error}") from error
    columns = archive.columns
    if array.shape != (rows, len(columns)):
        raise ValueError(
            f"score returned shape {array.shape} for {rows} genotypes, expected {(rows, len(columns))}: a row a "
            f"genotype, a column each for {', '.join(columns)}; name every column that score returns in columns"
        )
    return array
