"""What `runs.status` reads from the files of a run directory: damage is told and never stops the reading."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from dualfair.evolution.storage import glance
from dualfair.runs.protocol import measured_alike
from dualfair.runs.records.codec import Record, read_intact
from dualfair.runs.records.search import SearchConfig
from dualfair.supernet.training.checkpoint import checkpoints, read_record

Kind = TypeVar("Kind", bound=Record)

ENDLESS = 2**53
"""Larger numbers in a file are damage."""


def newest_checkpoint(folder: Path, problems: list[str]) -> tuple[int, int | None, float | None]:
    """Steps done, steps planned and seconds a step by the newest checkpoint of the length that its record states.

    Its SHA-256 is left to those who load it. (0, None, None) where there is none.
    """
    for path in reversed(checkpoints(folder)):
        try:
            about, size = read_record(path), path.stat().st_size
            if size != about.bytes:
                raise ValueError(f"it has {size:,} bytes instead of {about.bytes}")
            if not 0 < about.step <= about.steps < ENDLESS:
                raise ValueError(f"its record says step {about.step} of {about.steps}")
        except FileNotFoundError:
            # A command at work has just dropped it for a newer one.
            continue
        except ValueError as error:
            if path.exists():
                problems.append(f"{path} will be passed over: {error}")
            continue
        seconds = seconds_in(about.seconds)
        return about.step, about.steps, None if seconds is None else seconds / about.step
    return 0, None, None


def scores(path: Path, config: SearchConfig | None, faces: str | None, problems: list[str]) -> tuple[int, float | None]:
    """How many scores an archive holds that were last measured as a search does on some faces, and mean seconds of one.

    Without its configuration scores on these faces count.
    """
    if not path.is_file():
        return 0, None
    known = {**(config.to_json() if config else {}), "faces": faces}
    if config and not config.scored_on:
        # An older search does not say on whom it scored.
        del known["scored on"]
    try:
        for measurement, evaluations, seconds in glance(path):
            if measured_alike(measurement, known):
                return evaluations, seconds
    except (ValueError, TypeError) as error:
        problems.append(f"{path} cannot be read ({error}); the next search looks after it")
    return 0, None


def record(kind: type[Kind], path: Path, problems: list[str]) -> Kind | None:
    """The record in a file, None when there is no such file or it is damaged, which is told in `problems`."""
    return read_intact(path, kind.from_json, lambda error: problems.append(f"{path} is damaged: {error}"))


def seconds_in(value: object) -> float | None:
    """A number of seconds that was read from a file, None when it is none."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < ENDLESS
    return value if usable else None
