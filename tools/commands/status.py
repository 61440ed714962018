"""`dualfair status`: what of a run is finished, what is missing, what it will cost. Only reads; needs no torch."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from dualfair.commands.options import PATH
from dualfair.runs.status import Stage, Status, status


@click.command()
@click.argument("run", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(run: Path, as_json: bool) -> None:
    """What of a run is finished, what is missing, and what it will cost. Only reads, also while a command works."""
    run_status = status(run)
    for line in [json.dumps(asdict(run_status), indent=2)] if as_json else lines(run_status):
        click.echo(line)


def lines(run_status: Status) -> list[str]:
    """The status as lines of text."""
    text = [f"{stage.name:<10} {stage.state:<12} {'; '.join(_words(stage))}" for stage in run_status.stages]
    if holder := run_status.running:
        text.append(f"running    {holder.command}, process {holder.pid} on host {holder.host}")
    text += [f"set aside  {name}" for name in run_status.damaged]
    text += [f"attention  {problem}" for problem in run_status.problems]
    return [*text, f"Next: {run_status.next}"] if run_status.next else text


def _words(stage: Stage) -> list[str]:
    if stage.total is not None:
        amount = f"{stage.done:,} of {stage.total:,} {stage.unit}"
    else:
        amount = f"{stage.done:,} {stage.unit}" + ("" if stage.state == "not begun" else ", of how many is not known")
    if stage.state == "finished":
        return [amount, *stage.notes]
    hours = "unknown" if stage.hours_left is None else f"{stage.hours_left:,.2f} hours"
    return [amount, *stage.notes, f"left: {hours}"]
