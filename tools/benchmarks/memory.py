"""Peak memory and time of a contestant in a fresh process: what it needs on top of the imported libraries.

On a CPU it is the growth of the resident memory, on CUDA what torch allocated on the device. Either includes data,
weights and optimizer state.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from statistics import median

from dualfair.benchmarks.setting import Setting
from dualfair.planning.stopwatch import Comparison

Contestant = Callable[[Setting], Callable[[], object]]
"""Builds what is needed and returns what is timed. A benchmark's module lists its own in CONTESTANTS."""


@dataclass(frozen=True)
class Peak:
    """Bytes at the peak, and the median seconds of a call, the first one left out unless it is the only one."""

    bytes: int
    seconds: float


def peaks(setting: Setting, benchmark: str, plain: str = "plain", ours: str = "ours") -> tuple[Peak, Peak] | None:
    """Peaks of two contestants of a benchmark, the plain one first; None where the setting leaves memory out."""
    if not setting.memory:
        return None
    return peak(setting, benchmark, plain), peak(setting, benchmark, ours)


def in_turn(setting: Setting, benchmark: str, calls: int) -> tuple[Comparison, tuple[Peak, Peak]]:
    """The plain way and ours, in turn, every timing in a process of its own: what a contestant sets for its whole
    process, such as the allocator, does not reach the other. The peaks are the highest of all timings.
    """
    taken: dict[str, list[Peak]] = {"plain": [], "ours": []}
    for pair in range(setting.repeats):
        for name in taken if pair % 2 == 0 else reversed(taken):
            taken[name].append(peak(setting, benchmark, name, calls))
    plain, ours = taken.values()
    comparison = Comparison(tuple(each.seconds for each in plain), tuple(each.seconds for each in ours))
    return comparison, (max(plain, key=attrgetter("bytes")), max(ours, key=attrgetter("bytes")))


def peak(setting: Setting, benchmark: str, contestant: str, calls: int = 2) -> Peak:
    """The peak of one contestant over some calls, in a process of its own.

    Raises ValueError with the process's last words when it fails, for example for want of memory.
    """
    request = json.dumps({"setting": asdict(setting), "benchmark": benchmark, "contestant": contestant, "calls": calls})
    process = subprocess.run(
        [sys.executable, "-P", "-m", "dualfair.benchmarks.memory", request],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
    )
    if process.returncode:
        last_words = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
        raise ValueError(
            f"{benchmark}, {contestant}, in a process of its own: {last_words[-1]}; measure something smaller"
        )
    return Peak(**json.loads(process.stdout.splitlines()[-1]))


def measure(setting: Setting, benchmark: str, contestant: str, calls: int) -> Peak:
    """The peak of a contestant over some calls, in this process."""
    import torch

    module = importlib.import_module(f"dualfair.benchmarks.{benchmark}")
    device = torch.device(setting.device)
    before = resident("VmRSS")
    run = module.CONTESTANTS[contestant](setting)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        run()
        setting.synchronise()
        times.append(time.perf_counter() - start)
    seconds = median(times[1:] or times)
    if device.type == "cuda":
        return Peak(torch.cuda.max_memory_allocated(device), seconds)
    return Peak(max(0, resident("VmHWM") - before), seconds)


def resident(field: str) -> int:
    """Bytes of resident memory of this process, VmRSS as it is or VmHWM at its highest.

    Read from /proc because the system's `ru_maxrss` starts, in a fresh process, at the parent's.
    Elsewhere than on Linux both are `ru_maxrss`.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(field))
        return 1024 * int(line.split()[1])
    import resource

    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else 1024 * highest


def main() -> None:
    """Measure what the one argument, JSON, asks for, and print the peak as JSON."""
    request = json.loads(sys.argv[1])
    request["setting"] = Setting(**request["setting"])
    print(json.dumps(asdict(measure(**request))))


if __name__ == "__main__":
    main()
