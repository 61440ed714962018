"""`dualfair demo`: an honest small run of all four stages on generated faces, with the comparisons that matter."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, machine_options

if TYPE_CHECKING:
    from dualfair.runs.trained_run import TrainedRun


@click.command()
@click.option("--out", type=PATH, default=Path("dualfair-demo"), show_default=True, help="Folder.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same result.")
@machine_options
def command(out: Path, seed: int, **machine: object) -> None:
    """All four stages on generated faces: a few minutes on 2 CPU cores, no downloads."""
    from dualfair.reporting.report import report
    from dualfair.runs.devices import working
    from dualfair.studies.compare import compare
    from dualfair.studies.demo import DemoLayout, demonstrate, summary

    layout = DemoLayout(out)
    with watching(finishing=True) as watched:
        stopping = {name: watched[name] for name in ("progress", "should_stop")}

        def compare_in_words(run: "TrainedRun", seeds: int) -> str:
            return compare(run, seeds, **stopping).sentence

        with working(layout.run, make=True, say=watched["say"], **machine) as place:
            made_by = {"compare": compare_in_words, "report": lambda run, page: report([run], page)}
            demonstration = demonstrate(layout, place, seed, **made_by, **watched)
            for line in summary(demonstration, layout):
                click.echo(line)
