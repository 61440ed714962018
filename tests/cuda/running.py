"""Checks, each in a process of its own: what crashes, or takes too long, is a row that says so and not the end."""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from dualfair.presentation.table import Column, Table, table
from dualfair.supernet.files import write_json

JSON, TEXT = "cuda.json", "cuda.txt"
"""The files of a folder that results are written to."""


@dataclass(frozen=True)
class Row:
    """A measured value. `bound` says in words what it is held to, `passed` whether it keeps to that; None where nothing
    is demanded."""

    what: str
    value: float | str | None
    unit: str = ""
    bound: str = ""
    passed: bool | None = None


def at_most(what: str, value: float, bound: float, unit: str = "") -> Row:
    """A row that is passed by values up to the bound; NaN does not."""
    return Row(what, value, unit, f"at most {bound:g}", value <= bound)


def at_least(what: str, value: float, bound: float, unit: str = "") -> Row:
    """A row that is passed by values from the bound up; NaN does not."""
    return Row(what, value, unit, f"at least {bound:g}", value >= bound)


Check = Callable[[str], Iterator[Row]]
"""Rows of a check on a device, as they are known. It has to be known by its name, so that a process can be told."""


def run_checks(
    checks: Mapping[str, Check], device: str, out: Path, machine: Mapping[str, object], seconds: float
) -> bool:
    """Run checks within so many seconds in all, and write all rows so far into a folder whenever there is one more.

    Returns whether no row failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    start, rows, taken = time.monotonic(), [], {}
    for name, check in checks.items():
        began = time.monotonic()
        for row in apart(check, device, start + seconds):
            rows.append({"check": name, **asdict(row)})
            taken[name] = round(time.monotonic() - began, 1)
            print(f"{name}: {row.what}  {shown(row.value)} {row.unit}  {mark(row.passed)}", flush=True)
            report = {"machine": machine, "seconds": round(time.monotonic() - start, 1), "checks": taken, "rows": rows}
            write_json(out / JSON, report)
            lines = [*(f"{key}: {value}" for key, value in machine.items()), "", *as_table(rows).lines()]
            (out / TEXT).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return not any(row["passed"] is False for row in rows)


def as_table(rows: list[dict[str, object]]) -> Table:
    """Rows as people read them."""
    columns = [Column(name, "text") for name in ("what", "value", "unit", "demanded", "")]
    cells = [
        (f"{row['check']}: {row['what']}", shown(row["value"]), row["unit"], row["bound"], mark(row["passed"]))
        for row in rows
    ]
    return table(columns, cells)


def shown(value: float | str | None) -> str:
    """A value to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def mark(passed: bool | None) -> str:
    """What became of a demand, in a word."""
    return {None: "", True: "passed", False: "FAILED"}[passed]


def apart(check: Check, device: str, deadline: float) -> Iterator[Row]:
    """The rows of a check by a process that has imported everything but not touched a device."""
    if time.monotonic() >= deadline:
        yield Row("not run: the time was up", None, passed=False)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.cuda.checks"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(check, device, sender))
    process.start()
    sender.close()
    try:
        while receiver.poll(max(0.0, deadline - time.monotonic())):
            yield receiver.recv()
        yield Row("stopped: the time was up", None, passed=False)
        process.kill()
    except EOFError:
        process.join()
        if process.exitcode:
            yield Row(f"its process ended with status {process.exitcode}", None, passed=False)
    finally:
        process.join()


def _work(check: Check, device: str, sender: Connection) -> None:
    try:
        for row in check(device):
            sender.send(row)
    except Exception as error:
        traceback.print_exc()
        message = " ".join(str(error).split())[:300]
        sender.send(Row(f"crashed: {type(error).__name__}: {message}", None, passed=False))
