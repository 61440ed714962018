"""`dualfair status`: what of a run is finished, what is missing, what it will cost. Only reads; needs no torch."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from dualfair.runs.status import Stage, Status, status

_FEW = 4
"""So many trainings are named one by one; of more, only the number is said."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(run: Path, as_json: bool) -> None:
    """What of a run is finished, what is missing, and what it will cost. Only reads, also while a command works."""
    run_status = status(run)
    for line in [json.dumps(asdict(run_status), indent=2)] if as_json else lines(run_status):
        click.echo(line)


def lines(run_status: Status) -> list[str]:
    """The status as lines of text."""
    text = []
    for stage in run_status.stages:
        words = [_amount(stage)]
        if stage.half_done:
            words.append(f"half done: {_named(stage.half_done)}")
        if stage.not_begun:
            words.append(f"not begun: {_named(stage.not_begun)}")
        if stage.state != "finished":
            words.append(f"left: {_hours(stage.hours_left)}")
        text.append(f"{stage.name:<10} {stage.state:<12} {'; '.join([*words, *stage.notes])}")
    if holder := run_status.running:
        text.append(f"running    {holder.command}, process {holder.pid} on host {holder.host}")
    text += [f"set aside  {name}" for name in run_status.damaged]
    text += [f"attention  {problem}" for problem in run_status.problems]
    unknown = f"unknown for {', '.join(run_status.unknown)}" if run_status.unknown else ""
    known = f"{_hours(run_status.hours_left)} at the speed measured so far" if run_status.hours_left else ""
    if known or unknown:
        text.append(f"left       {'; '.join(filter(None, (known, unknown)))}")
    if run_status.next:
        text.append(f"Next: {run_status.next}")
    return text


def _amount(stage: Stage) -> str:
    if stage.total is None:
        return f"{stage.done:,} {stage.unit}" + ("" if stage.state == "not begun" else ", of how many is not known")
    return f"{stage.done:,} of {stage.total:,} {stage.unit}"


def _named(trainings: tuple[str, ...]) -> str:
    return ", ".join(trainings) if len(trainings) <= _FEW else str(len(trainings))


def _hours(hours: float | None) -> str:
    if hours is None:
        return "unknown"
    return "under 0.01 hours" if 0 < hours < 0.01 else f"{hours:,.2f} hours"
