"""`dualfair report`: what one or several runs found, as one page for everybody, with all its numbers beside it."""

from pathlib import Path

import click

from dualfair.commands.options import PATH

WATTS, GRAMS_PER_KWH = 250.0, 373.0


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, default=Path("report/report.html"), show_default=True, help="The page.")
@click.option("--watts", type=float, default=WATTS, show_default=True, help="Power of a device; the DPN study's.")
@click.option(
    "--grams-per-kwh", type=float, default=GRAMS_PER_KWH, show_default=True, help="Carbon intensity; the DPN study's."
)
def command(runs: tuple[Path, ...], out: Path, watts: float, grams_per_kwh: float) -> None:
    """Write what the run directories RUNS found as one page that needs no network, and its numbers as JSON and CSV."""
    from dualfair.reporting.cost import Factors
    from dualfair.reporting.report import report

    data = report(runs, out, Factors(watts, grams_per_kwh / 1000))
    for run in data["runs"]:
        for part in (run["answer"][name] for name in ("take", "cheap", "held")):
            click.echo(
                f"{run['name']}: {part['headline']} [{part['certainty']}] {' '.join(part['sentences'])}".rstrip()
            )
            for step in part["next"]:
                click.echo(f"  {step['what']}: {step['command']}")
        for problem in run["problems"]:
            click.echo(f"{run['name']}: {problem}", err=True)
    click.echo(f"Report: {out}   numbers: {out.with_suffix('.json')} and {out.stem}-*.csv beside it")
