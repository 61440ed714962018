"""Memory: how much is free at this moment, and batches of images that are halved when it runs out.

Needs no torch until a device or an error is looked at.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SHORTAGES = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "bad_alloc",
    "could not create a primitive",
    "could not create a memory",
)
"""What the errors of devices, of the CPU's allocator and of the libraries behind them (cuDNN, oneDNN) say."""


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, with what torch keeps for itself there and does not use; on a CPU, those of the
    machine's RAM."""
    if device.type == "cuda":
        import torch

        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return available_ram()


def available_ram() -> int:
    """Bytes of RAM that programs could have, caches given back, in a container within its limit; elsewhere than on
    Linux, what no program uses."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return min([int(fields["MemAvailable"].split()[0]) * 1024, *_left_by_control_groups()])
    except (OSError, KeyError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_by_control_groups() -> Iterator[int]:
    """Bytes that every control group around this process which has a limit still allows, caches given back."""
    for file in control_group_files("memory.max"):
        limit = file.read_text(encoding="ascii").strip()
        if limit != "max":
            kept = dict(line.split() for line in (file.parent / "memory.stat").read_text(encoding="ascii").splitlines())
            used = int((file.parent / "memory.current").read_text(encoding="ascii"))
            yield max(0, int(limit) - used + int(kept.get("inactive_file", 0)))


def control_group_files(name: str) -> list[Path]:
    """A file of every control group (version 2) around this process that has it, innermost first."""
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    inner = root / next((line.split("::", 1)[1] for line in lines if line.startswith("0::")), "/").lstrip("/")
    return [
        group / name for group in (inner, *inner.parents) if group.is_relative_to(root) and (group / name).is_file()
    ]


@dataclass
class Batch:
    """How many images are worked on at once: `size`, 1 or more, halved for good whenever memory runs out.

    `say` is called with a sentence whenever that happens; by default it is a warning.
    """

    size: int
    say: Callable[[str], object] = warnings.warn

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"batch must be 1 or more images at once, got {self.size}")

    def over(self, images: int, work: Callable[[slice], object]) -> None:
        """Call `work` on consecutive places among `images`, `size` at a time.

        Where memory runs out, caches are freed and the very same images are worked on again, half as many at a time;
        what was done before stays done. Raises ValueError when a single image does not fit.
        """
        start = 0
        while start < images:
            place = slice(start, min(start + self.size, images))
            shortage, tried = _shortage(work, place), place.stop - place.start
            if shortage is None:
                start = place.stop
                continue
            if tried == 1:
                raise ValueError(
                    f"not even one image at a time fits into memory ({shortage}); free memory, use a device with more, "
                    "or a smaller --size or skeleton"
                )
            self.size = tried // 2
            free_caches()
            self.say(f"memory ran out with {tried} images at once ({shortage}); going on with {self.size}")


def _shortage(work: Callable[[slice], object], place: slice) -> str | None:
    """Do the work; why memory did not suffice, or None. The error itself would keep what was allocated alive."""
    try:
        work(place)
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        return reason_of(error)
    return None


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory, of a device or of the machine, ran out."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SHORTAGES)


def reason_of(error: BaseException) -> str:
    """The beginning of an error's message, for a sentence of ours: one line, 160 letters at most."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def free_caches() -> None:
    """Give memory back that nothing refers to any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
