"""All checks of a machine, each when it is done, and one verdict on them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dualfair.doctor import environment
from dualfair.doctor.environment import FAILED, OK, WARNING, Finding, anonymous, reason
from dualfair.doctor.self_test import SelfTest
from dualfair.doctor.shadowing import imports


@dataclass(frozen=True)
class Check:
    """What was found under a name, and the seconds that finding it took."""

    name: str
    state: str
    text: str
    seconds: float


def checks(device: str) -> Iterator[Check]:
    """Every check when it is done: first what is there, then whether it computes what it should."""
    here, entries = Path.cwd(), [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    looks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("Python", environment.python),
        ("imports", lambda: imports(here, entries)),
        ("libraries", environment.libraries),
        ("processors", environment.cpu),
        ("accelerators", environment.accelerators),
        ("memory", environment.memory),
        ("disks", lambda: environment.disks(here)),
        ("export", environment.export),
    )
    for name, look in looks:
        yield _timed(name, look)
    with tempfile.TemporaryDirectory(prefix="dualfair-doctor-") as folder:
        for name, test in SelfTest(Path(folder), device).checks:
            check = _timed(f"self-test: {name}", lambda test=test: Finding(OK, test()))
            yield check
            if check.state == FAILED:
                # The others would only fail for lack of what this one should have made.
                return


def failed(done: Sequence[Check]) -> bool:
    """Whether something does not work."""
    return any(check.state == FAILED for check in done)


def verdict(done: Sequence[Check]) -> str:
    """One plain sentence on all checks."""
    failures = [check for check in done if check.state == FAILED]
    warnings = [check for check in done if check.state == WARNING]
    if failures:
        more = f" ({len(failures) - 1} more failed)" if len(failures) > 1 else ""
        return f"Does not work: {failures[0].name}: {failures[0].text}{more}."
    if warnings:
        count = f"{len(warnings)} warning" + ("s" if len(warnings) > 1 else "")
        return f"Works, with {count}: {', '.join(check.name for check in warnings)}."
    return "Everything works."


def line(check: Check) -> str:
    """A check as a line of text."""
    lasted = f"  ({check.seconds:.1f} s)" if check.seconds >= 0.05 else ""
    return f"{check.name:<23} {check.state:<8} {check.text}{lasted}"


def shareable(done: Sequence[Check]) -> dict[str, object]:
    """The verdict and all checks for a report of a fault: no user is named, and no absolute path is in it."""
    rows = [{**asdict(check), "text": anonymous(check.text), "seconds": round(check.seconds, 2)} for check in done]
    return {"verdict": anonymous(verdict(done)), "checks": rows}


def _timed(name: str, look: Callable[[], Finding]) -> Check:
    start = time.perf_counter()
    try:
        finding = look()
    except Exception as error:
        # Whatever is wrong with a machine is what this command is there to say.
        finding = Finding(FAILED, str(error) if isinstance(error, ValueError) else reason(error))
    return Check(name, finding.state, " ".join(finding.text.split()), time.perf_counter() - start)
