"""Checkpoints that are whole or not there, each with a record beside it that says what it is and its SHA-256.

`step-00000123.pt` holds the state of a training, `step-00000123.json` its record. The last two are kept and the one
with the least loss. Records are read without torch.
"""

import hashlib
import json
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

from dualfair.supernet.files import remove_temporaries, replacing, write_json

DAMAGED = ".damaged"
"""The ending of a checkpoint that was found to be damaged and set aside."""

_NAME = re.compile(r"step-(\d+)\.pt")
_KEPT = 2
_LIBRARIES = ("dualfair", "torch")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a checkpoint is: updates done (`step`) of those planned, and the SHA-256 and length of its file.

    `seconds` of training led to it, over all restarts. `loss` is the mean since the checkpoint before; None while
    margins still grow, when losses do not compare. `configuration` identifies what was asked for. Machine: `device`,
    `threads` of the CPU, `ranks`, and `versions` of Python and of the libraries.
    """

    step: int
    steps: int
    sha256: str
    bytes: int
    seconds: float
    loss: float | None
    configuration: str
    device: str
    threads: int
    ranks: int
    versions: dict[str, str]

    @property
    def finished(self) -> bool:
        """Whether the training that it belongs to is done."""
        return self.step >= self.steps


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a training's numbers depend on."""
    return {"python": platform.python_version(), **{library: version(library) for library in _LIBRARIES}}


def save_checkpoint(folder: Path, state: dict, **about: object) -> Path:
    """Write `state` and its record (`about`: the fields of `Record` but for sha256, bytes, versions).

    Then all are dropped but the last two and the one with the least loss. After a kill at any instant, and when the
    disk is full, the checkpoints before are whole. Raises `supernet.files.NoRoom` in the latter case.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{about['step']:08d}.pt"
    with replacing(path, _size(state)) as file:
        torch.save(state, file)
        file.sync()
        # The record comes first: a checkpoint is never without one.
        record = Record(sha256=file.sha256, bytes=file.written, versions=versions(), **about)
        write_json(_record_path(path), asdict(record))
    _drop(folder)
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first, intact or not."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in paths if _NAME.fullmatch(path.name))


def read_record(path: Path) -> Record:
    """The record beside a checkpoint. Raises ValueError when it is missing or damaged."""
    try:
        values = json.loads(_record_path(path).read_text(encoding="utf-8"))
        record = Record(**{field.name: values[field.name] for field in fields(Record)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"its record {_record_path(path).name} is missing or damaged") from error
    numbers = (record.step, record.steps, record.bytes, record.seconds)
    if not all(isinstance(number, (int, float)) for number in numbers) or not isinstance(record.versions, dict):
        raise ValueError(f"its record {_record_path(path).name} is damaged")
    return record


def verified(path: Path) -> Record:
    """The record of a checkpoint whose file has the length and the SHA-256 that it states; else ValueError."""
    if not path.is_file():
        raise ValueError("there is no such file")
    record = read_record(path)
    size = path.stat().st_size
    if size != record.bytes:
        raise ValueError(f"it has {size:,} bytes instead of {record.bytes:,}")
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
            raise ValueError("its SHA-256 is not the one recorded")
    return record


def newest_intact(folder: Path, say: Callable[[str], object], *, set_aside: bool = False) -> tuple[Path, Record] | None:
    """The newest checkpoint that is as it was written, and its record; None where there is none.

    `say` gets a sentence for each damaged one that was passed over. With `set_aside` these are renamed, and what
    killed writers left is removed: only for the one process that writes in the folder.
    """
    if set_aside and folder.is_dir():
        remove_temporaries(folder)
    for path in reversed(checkpoints(folder)):
        try:
            return path, verified(path)
        except ValueError as error:
            fate = f"set aside as {path.name}{DAMAGED}" if set_aside else "passed over"
            say(f"Warning: checkpoint {path} is damaged ({error}); {fate}")
            if set_aside:
                for file in (path, _record_path(path)):
                    with suppress(FileNotFoundError):
                        file.replace(file.with_name(file.name + DAMAGED))
    return None


def load_checkpoint(path: Path) -> dict:
    """The state in a checkpoint, on the CPU; nothing in the file is executed. Raises ValueError when unreadable."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"there is no checkpoint {path}; run the stage before first") from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"checkpoint {path} cannot be read ({reason})") from error


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a training whose weights nobody needs any more, with their records."""
    for path in checkpoints(folder):
        for each in (path, _record_path(path)):
            each.unlink(missing_ok=True)


def _drop(folder: Path) -> None:
    """Delete all checkpoints but the last and the best, and records without a checkpoint."""
    paths = checkpoints(folder)
    losses = {path: loss for path in paths if (loss := _loss(path)) is not None}
    kept = {*paths[-_KEPT:], *sorted(losses, key=losses.__getitem__)[:1]}
    for path in paths:
        if path not in kept:
            path.unlink()
    for record in folder.glob("step-*.json"):
        if not record.with_suffix(".pt").exists():
            record.unlink()


def _loss(path: Path) -> float | None:
    try:
        return read_record(path).loss
    except ValueError:
        return None


def _record_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _size(state: object) -> int:
    """Bytes of all tensors in a state."""
    return sum(tensor.nbytes for tensor in _tensors(state))


def _tensors(state: object) -> Iterator:
    import torch

    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, (dict, list, tuple)):
        for inner in state.values() if isinstance(state, dict) else state:
            yield from _tensors(inner)
