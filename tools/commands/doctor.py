"""`dualfair doctor`: whether everything works here, check by check, with one verdict."""

from pathlib import Path

import click

from dualfair.commands.console import say
from dualfair.commands.options import PATH, device_option


@click.command()
@device_option
@click.option("--json", "report", type=PATH, help="Also write it here, for a report of a fault.")
def command(device: str, report: Path | None) -> None:
    """Check this machine and run a self-test of some seconds, without the network.

    The exit status is 1 where something does not work, and 0 otherwise. The file of --json names no user and holds no
    absolute paths and no environment variables.
    """
    from dualfair.doctor.checks import FAILED, checks, shareable, verdict

    done = []
    for check in checks(device):
        done.append(check)
        say(check.line())
    say(verdict(done))
    if report is not None:
        from dualfair.supernet.files import write_json

        write_json(report, shareable(done))
    if any(check.state == FAILED for check in done):
        raise SystemExit(1)
