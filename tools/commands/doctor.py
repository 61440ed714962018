"""`dualfair doctor`: whether everything works here, check by check, with one verdict."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from dualfair.doctor.environment import FAILED, OK, WARNING, Finding, anonymous, reason
from dualfair.runs.devices import device_option


@dataclass(frozen=True)
class Check:
    """What was found under a name, and the seconds that finding it took."""

    name: str
    state: str
    text: str
    seconds: float


@click.command()
@device_option
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here, for a report of a fault.")
def command(device: str, report: Path | None) -> None:
    """Check this machine and run a self-test of some seconds, without the network.

    The exit status is 1 where something does not work, and 0 otherwise. The file of --json names no user and holds no
    absolute paths and no environment variables.
    """
    done = []
    for check in checks(device):
        done.append(check)
        lasted = f"  ({check.seconds:.1f} s)" if check.seconds >= 0.05 else ""
        click.echo(f"{check.name:<23} {check.state:<8} {check.text}{lasted}")
    said = verdict(done)
    click.echo(said)
    if report is not None:
        from dualfair.supernet.files import write_json

        rows = [{**asdict(check), "text": anonymous(check.text), "seconds": round(check.seconds, 2)} for check in done]
        write_json(report, {"verdict": anonymous(said), "checks": rows})
    if any(check.state == FAILED for check in done):
        raise SystemExit(1)


def checks(device: str) -> Iterator[Check]:
    """Every check when it is done: first what is there, then whether it computes what it should."""
    from dualfair.doctor import environment as found
    from dualfair.doctor.self_test import SelfTest
    from dualfair.doctor.shadowing import imports

    here, entries = Path.cwd(), [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    looks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("Python", found.python),
        ("imports", lambda: imports(here, entries)),
        ("libraries", found.libraries),
        ("processors", found.cpu),
        ("accelerators", found.accelerators),
        ("memory", found.memory),
        ("disks", lambda: found.disks(here)),
        ("export", found.export),
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


def verdict(done: Sequence[Check]) -> str:
    """One plain sentence on all checks."""
    failed = [check for check in done if check.state == FAILED]
    warned = [check for check in done if check.state == WARNING]
    if failed:
        more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        return f"Does not work: {failed[0].name}: {failed[0].text}{more}."
    if warned:
        count = f"{len(warned)} warning" + ("s" if len(warned) > 1 else "")
        return f"Works, with {count}: {', '.join(check.name for check in warned)}."
    return "Everything works."


def _timed(name: str, look: Callable[[], Finding]) -> Check:
    start = time.perf_counter()
    try:
        found = look()
    except Exception as error:
        # Whatever is wrong with a machine is what this command is there to say.
        found = Finding(FAILED, str(error) if isinstance(error, ValueError) else reason(error))
    return Check(name, found.state, " ".join(found.text.split()), time.perf_counter() - start)
