"""A statement of a report: a headline, how far the data show it, what it rests on, and what to do next."""

from dataclasses import dataclass

SHOWN, PARTLY, NOT_SHOWN, CONTRADICTED = "shown", "partly shown", "not shown", "contradicted"
UNDECIDED, UNKNOWN = "undecided", "not known"
"""How far the data show what a reader hopes for: that the network is better than the others, that cheap scores rank as
training does, that the front holds. Undecided is a choice that they do not support, not known what was not measured."""


@dataclass(frozen=True)
class Step:
    """What to do, and the command that does it."""

    what: str
    command: str


@dataclass(frozen=True)
class Statement:
    """A `headline` that is as certain as `certainty` says, the `sentences` that it rests on, and the `next` steps."""

    headline: str
    certainty: str
    sentences: tuple[str, ...] = ()
    next: tuple[Step, ...] = ()
