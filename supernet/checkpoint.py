"""Checkpoints that are whole or not there; the last two are kept."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from supernet.atomic import write_atomically

_NAME = re.compile(r"step-(\d+)\.pt")
_KEPT = 2


def save_checkpoint(folder: Path, step: int, state: dict) -> Path:
    """Write `state` as the checkpoint of `step` (updates done) and drop all but the last two."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    write_atomically(path, lambda file: torch.save(state, file))
    for old in checkpoints(folder)[:-_KEPT]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _NAME.fullmatch(path.name))


def load_checkpoint(path: Path) -> dict:
    """The state in a checkpoint, on the CPU; nothing in the file is executed. Raises ValueError when unreadable."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"there is no checkpoint {path}; run the stage before first") from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"checkpoint {path} cannot be read ({reason}); delete it to continue from the one before"
        ) from error
