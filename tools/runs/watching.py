"""How whoever called a stage watches it, and asks it to stop. Needs nothing but Python."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is: `done` of `total` (None where that is not known) in `unit`, and a short `note`."""

    work: str
    done: int
    total: int | None
    unit: str
    note: str = ""


class Stopped(Exception):
    """A stage ended early because it was asked to; all that it had done is saved."""


Say = Callable[[str], object]
"""What a line of text for people goes to."""
ShowProgress = Callable[[Progress], object]
"""What is told how far a piece of work is."""
ShouldStop = Callable[[], bool]
"""Whether a stage should stop where that is safe; asked again and again."""


def silent(_: object) -> None:
    """Say and show nothing."""


def never() -> bool:
    """Never stop."""
    return False


def showing(progress: ShowProgress, work: str, unit: str) -> Callable[[Sequence[Item]], Iterator[Item]]:
    """What passes the items of a sequence on and shows each that is done; those before the start of a range count."""

    def passed_on(items: Sequence[Item]) -> Iterator[Item]:
        first = items.start if isinstance(items, range) else 0
        for done, item in enumerate(items, first + 1):
            yield item
            progress(Progress(work, done, first + len(items), unit))

    return passed_on
