"""A statement of a report: a headline, how far the data show it, what it rests on, and what to do next."""

from collections.abc import Sequence

SHOWN, PARTLY, NOT_SHOWN, CONTRADICTED = "shown", "partly shown", "not shown", "contradicted"
UNDECIDED, UNKNOWN = "undecided", "not known"
"""How far the data show what a reader hopes for: that the network is better than the others, that cheap scores rank as
training does, that the front holds. Undecided is a choice that they do not support, not known what was not measured."""


def statement(
    headline: str, certainty: str, sentences: Sequence[str], steps: Sequence[tuple[str, str]] = ()
) -> dict[str, object]:
    """A statement as data: {"headline", "certainty", "sentences", "details": these joined, "next": [{"what",
    "command"}]}; empty sentences are left out."""
    sentences = [text for text in sentences if text]
    steps = [{"what": what, "command": command} for what, command in steps]
    named = {"headline": headline, "certainty": certainty, "sentences": sentences, "details": " ".join(sentences)}
    return {**named, "next": steps}
