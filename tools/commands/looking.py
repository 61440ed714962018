"""What is there, in words and pictures: of a run, of several, and of one network. These commands only read."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from dualfair.commands.console import say
from dualfair.commands.options import PATH
from dualfair.runs.status import Stage, Status
from dualfair.runs.status import status as status_of


@click.command()
@click.argument("run", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def status(run: Path, as_json: bool) -> None:
    """What of a run is finished, what is missing, and what it will cost. Only reads, also while a command works."""
    run_status = status_of(run)
    for line in json.dumps(asdict(run_status), indent=2).splitlines() if as_json else lines(run_status):
        say(line)


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


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, default=Path("report/report.html"), show_default=True, help="The page.")
@click.option("--watts", default=250.0, show_default=True, help="Power of a device; the DPN study's.")
@click.option("--grams-per-kwh", default=373.0, show_default=True, help="Carbon intensity; the DPN study's.")
def report(runs: tuple[Path, ...], out: Path, watts: float, grams_per_kwh: float) -> None:
    """Write what the run directories RUNS found as one page that needs no network, and its numbers as JSON and CSV."""
    from dualfair.reporting.cost import Factors
    from dualfair.reporting.report import report as write_report

    data = write_report(runs, out, Factors(watts, grams_per_kwh / 1000))
    for run in data["runs"]:
        for part in (run["answer"][name] for name in ("take", "cheap", "held")):
            say(f"{run['name']}: {part['headline']} [{part['certainty']}] {' '.join(part['sentences'])}".rstrip())
            for step in part["next"]:
                say(f"  {step['what']}: {step['command']}")
        for problem in run["problems"]:
            say(f"{run['name']}: {problem}", err=True)
    say(f"Report: {out}   numbers: {out.with_suffix('.json')} and {out.stem}-*.csv beside it")


@click.command()
@click.argument("genotype")
@click.option("--skeleton", default="nano", show_default=True, help="As of 'dualfair train'.")
@click.option("--blocks", default="", help="Blocks of every stage, e.g. 3-4-20-3.  [default: 1-1-1-1]")
@click.option("--size", default=0, help="Side of the input in pixels.  [default: the skeleton's]")
@click.option("--heads", default="", help="Heads of your own as module:function, joined by ','.")
@click.option("--svg", type=PATH, help="Draw it into this file, whose name ends in .svg.")
def show(genotype: str, svg: Path | None, **shape: object) -> None:
    """Describe the network of GENOTYPE, e.g. 101-101-000-680:cosface, or 101:cosface for the same in every block.

    A backbone of timm's is named like timm.resnet18:cosface, a network that was grown like ir-d8-w64/1:adaface, which
    names its skeleton. The folder of a trained network, such as
    RUN/retrain/GENOTYPE/seed-0, is described as it was trained, whatever the options say.
    """
    from dualfair.presentation import figures
    from dualfair.presentation.network import network_figure, network_title
    from dualfair.reporting.architecture import describe, lines
    from dualfair.supernet.files import write_bytes

    if svg is not None and svg.suffix != ".svg":
        raise ValueError(f"svg must name a file that ends in .svg, got {str(svg)!r}")
    network = describe(genotype, say=lambda line: click.echo(line, err=True), **shape)
    for line in lines(network):
        say(line)
    if svg is not None:
        write_bytes(svg, figures.svg(network_figure(network), network_title(network)).encode())
        say(f"drawn: {svg}")
