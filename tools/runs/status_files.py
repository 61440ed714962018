"""What `runs.status` reads from the files of a run directory: damage is told and never stops the reading."""

from __future__ import annotations

import json
from pathlib import Path

from dualfair.evolution.archive import glance
from dualfair.supernet.files import read_json
from dualfair.supernet.training.checkpoint import checkpoints, read_record

ENDLESS = 2**53
"""Larger numbers in a file are damage."""


def newest_checkpoint(folder: Path, problems: list[str]) -> tuple[int, int | None, float | None]:
    """Steps done, steps planned and seconds a step by the newest checkpoint of the length that its record states.

    Its SHA-256 is left to those who load it. (0, None, None) where there is none.
    """
    for path in reversed(checkpoints(folder)):
        try:
            record, size = read_record(path), path.stat().st_size
            if size != record.bytes:
                raise ValueError(f"it has {size:,} bytes instead of {record.bytes}")
            if not 0 < record.step <= record.steps < ENDLESS:
                raise ValueError(f"its record says step {record.step} of {record.steps}")
        except FileNotFoundError:
            # A command at work has just dropped it for a newer one.
            continue
        except ValueError as error:
            if path.exists():
                problems.append(f"{path} will be passed over: {error}")
            continue
        seconds = seconds_in(record.seconds)
        return record.step, record.steps, None if seconds is None else seconds / record.step
    return 0, None, None


def scores(path: Path, config: dict, problems: list[str]) -> tuple[int, float | None]:
    """How many scores an archive holds that were last measured as `config` says, and mean seconds of one."""
    if not path.is_file():
        return 0, None
    try:
        for name, evaluations, seconds in glance(path):
            said = json.loads(name)
            if all(config[key] == said[key] for key in config.keys() & said.keys()):
                return evaluations, seconds
    except (ValueError, TypeError, AttributeError) as error:
        problems.append(f"{path} cannot be read ({error}); the next search looks after it")
    return 0, None


def has_begun(folder: Path) -> bool:
    return any((folder / file).is_file() for file in ("config.json", "commands.jsonl"))


def read_object(path: Path, problems: list[str]) -> dict | None:
    """The object in a file, None when there is no such file or it is damaged, which is told in `problems`."""
    if not path.exists():
        return None
    try:
        value = read_json(path)
        if not isinstance(value, dict):
            raise ValueError(f"it holds a {type(value).__name__}")
    except ValueError as error:
        problems.append(f"{path} is damaged: {error}")
        return None
    return value


def texts(value: object) -> list[str]:
    """The texts of a list that was read from a file."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def seconds_in(value: object) -> float | None:
    """A number of seconds that was read from a file, None when it is none."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < ENDLESS
    return value if usable else None
