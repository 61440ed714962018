"""A command as it was typed, with what its numbers depend on besides: a line of a stage's commands."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dualfair.runs.layout import StageLayout
from dualfair.runs.records.codec import Record


@dataclass(frozen=True, kw_only=True)
class RecordedCommand(Record):
    """When a command was typed, on which device it ran, and the versions of Python and of the libraries."""

    time: str = ""
    command: str
    device: str = ""
    python: str = ""
    dualfair: str = ""
    torch: str = ""
    timm: str = ""
    numpy: str = ""
    pymoo: str = ""

    @classmethod
    def last_of(cls, stage: StageLayout) -> RecordedCommand | None:
        """The last command of a stage, None where none is recorded. Raises ValueError where it cannot be read."""
        try:
            lines = stage.commands.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(error.strerror) from None
        if not lines:
            raise ValueError("it is empty")
        return cls.from_json(json.loads(lines[-1]))
