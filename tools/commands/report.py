"""`dualfair report`: what one or several runs found, as one page for everybody, with all its numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

WATTS, GRAMS_PER_KWH = 250.0, 373.0


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("report/report.html"), show_default=True, help="The page."
)
@click.option("--watts", type=float, default=WATTS, show_default=True, help="Power of a device; the DPN study's.")
@click.option(
    "--grams-per-kwh", type=float, default=GRAMS_PER_KWH, show_default=True, help="Carbon intensity; the DPN study's."
)
def command(runs: tuple[Path, ...], out: Path, watts: float, grams_per_kwh: float) -> None:
    """Write what the run directories RUNS found as one page that needs no network, and its numbers as JSON and CSV."""
    data = report(runs, out, watts=watts, grams_per_kwh=grams_per_kwh)
    for run in data["runs"]:
        for said in (run["answer"][name] for name in ("take", "cheap", "held")):
            click.echo(f"{run['name']}: {said['headline']} {said['details']}")
        for problem in run["problems"]:
            click.echo(f"{run['name']}: {problem}", err=True)
    click.echo(f"Report: {out}   numbers: {out.with_suffix('.json')} and {out.stem}-*.csv beside it")


def report(runs: Sequence[Path], out: Path, *, watts: float = WATTS, grams_per_kwh: float = GRAMS_PER_KWH) -> dict:
    """Write the report of some run directories; returns its data, {"runs": [...], "comparison": table or None}.

    `out` is the page; its numbers go into a JSON file and CSV files of the same name beside it. Runs are only read, and
    may be unfinished. Energy and emissions are told at `watts` W a device and `grams_per_kwh` g CO2eq a kWh. Raises
    ValueError for no run, one that is given twice or has no supernet, an `out` that does not end in .html, and factors
    that are negative or not finite.
    """
    from dualfair.reporting.collect import collect, csv_files
    from dualfair.reporting.cost import Factors
    from dualfair.reporting.page import page
    from dualfair.reporting.run_files import open_runs
    from dualfair.supernet.files import write_bytes, write_csv, write_json

    if out.suffix != ".html":
        raise ValueError(f"out must be a file that ends in .html, got {str(out)!r}")
    data = collect(open_runs(runs), Factors(watts, grams_per_kwh / 1000))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out.with_suffix(".json"), data)
    for name, rows in csv_files(data).items():
        write_csv(out.with_name(f"{out.stem}-{name}.csv"), rows)
    write_bytes(out, page(data).encode())
    return data
