"""Benchmarks one after the other, on one setting."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dualfair.benchmarks.setting import Setting, environment
from dualfair.benchmarks.table import BENCHMARKS
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import write_json


def chosen_benchmarks(only: Sequence[str]) -> list[str]:
    """The benchmarks to run, in their order; all of them where none is named. Raises ValueError for an unknown name."""
    unknown = [name for name in only if name not in BENCHMARKS]
    if unknown:
        raise ValueError(f"unknown benchmark {unknown[0]!r}; choose from {', '.join(BENCHMARKS)}")
    return [name for name in BENCHMARKS if name in only or not only]


def run_benchmarks(
    setting: Setting, names: Sequence[str], json_file: Path | None = None, say: Say = silent
) -> dict[str, object]:
    """Run benchmarks by their names; say each result, and write all so far to a file, as it is known.

    Returns all numbers: the environment, the setting, the seconds, and by benchmark its results. Raises ValueError
    where there is no folder for the file, before anything is measured.
    """
    if json_file and not json_file.absolute().parent.is_dir():
        raise ValueError(f"--json {json_file}: there is no folder {json_file.absolute().parent}; make it first")
    start = time.monotonic()
    machine = environment(setting)
    say("; ".join(f"{name} {value}" for name, value in machine.items()))
    say(
        f"skeleton {setting.skeleton}, {setting.size} px, batch {setting.batch}; ratio = plain seconds / our seconds, "
        "pair by pair; peak memory on top of the imported libraries"
    )
    results_by_name: dict[str, list] = {}
    report = {"environment": machine, "setting": asdict(setting), "seconds": 0.0, "benchmarks": results_by_name}
    for name in names:
        results = importlib.import_module(f"dualfair.benchmarks.{name}").run(setting)
        results_by_name[name] = [result.to_dict() for result in results]
        for result in results:
            say("\n" + "\n".join(result.lines()))
        report["seconds"] = time.monotonic() - start
        if json_file:
            write_json(json_file, report)
    say(f"\nMeasured in {report['seconds']:.0f} s.")
    return report
