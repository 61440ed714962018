"""The run of all benchmarks, or of those that are named."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from dualfair.benchmarks import BENCHMARKS
from dualfair.benchmarks.contest import Setting
from dualfair.benchmarks.contests import CONTESTS
from dualfair.evaluation.latency import processor
from dualfair.runs.devices import describe
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import write_json


def run_benchmarks(
    setting: Setting, only: Sequence[str] = (), json_file: Path | None = None, say: Say = silent
) -> dict[str, object]:
    """Run benchmarks by their names, or all; say each result, and write all so far to a file, as it is known.

    Returns all numbers: the environment, the setting, and by benchmark its contests. Raises ValueError for an unknown
    name, and where there is no folder for the file, before anything is measured.
    """
    if unknown := [name for name in only if name not in BENCHMARKS]:
        raise ValueError(f"unknown benchmark {unknown[0]!r}; choose from {', '.join(BENCHMARKS)}")
    if json_file and not json_file.absolute().parent.is_dir():
        raise ValueError(f"--json {json_file}: there is no folder {json_file.absolute().parent}; make it first")
    start, machine = time.monotonic(), environment(setting.device)
    say("; ".join(f"{name} {value}" for name, value in machine.items()))
    say(
        f"skeleton {setting.skeleton}, {setting.shape.image_size} px, batch {setting.batch}; ratio = plain seconds / "
        "our seconds, pair by pair; peak memory on top of the imported libraries"
    )
    benchmarks: dict[str, list] = {}
    report = {"environment": machine, "setting": asdict(setting), "benchmarks": benchmarks}
    for name in [name for name in BENCHMARKS if name in only or not only]:
        contests = CONTESTS[name](setting)
        benchmarks[name] = [{**asdict(contest), "ratio": contest.ratio} for contest in contests]
        for contest in contests:
            for line in ("", *contest.lines()):
                say(line)
        if json_file:
            write_json(json_file, report)
    say("")
    say(f"Measured in {time.monotonic() - start:.0f} s.")
    return report


def environment(device: str) -> dict[str, object]:
    """The machine and torch, for the head of the report."""
    return {
        "device": describe(torch.device(device)),
        "cpu": processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "load average": os.getloadavg()[0],
    }
