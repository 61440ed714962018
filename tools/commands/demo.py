"""`dualfair demo`: an honest small run of all four stages on generated faces, with the comparisons that matter."""

from __future__ import annotations

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, deterministic_option, device_option


@click.command()
@click.option("--out", type=PATH, default=Path("dualfair-demo"), show_default=True, help="Folder.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same result.")
@device_option
@deterministic_option
def command(out: Path, seed: int, device: str, deterministic: bool) -> None:
    """All four stages on generated faces: a few minutes on 2 CPU cores, no downloads."""
    from dualfair.commands.faces_import import describe
    from dualfair.reporting.report import report
    from dualfair.runs.context import working, working_beside
    from dualfair.studies.compare.study import compare
    from dualfair.studies.demo import DemoLayout, Neighbours, demonstrate, summary

    layout = DemoLayout(out)
    with watching(finishing=True) as watched:
        watching_studies = {name: watched[name] for name in ("progress", "should_stop")}
        neighbours = Neighbours(
            describe=describe,
            compare=lambda run, seeds: compare(run, seeds, **watching_studies).sentence,
            report=lambda run, page: report([run], page),
        )
        with (
            working(layout.run, make=True, device=device, deterministic=deterministic, say=watched["say"]) as place,
            working_beside(place, layout.uniform, make=True) as uniform,
        ):
            for line in summary(demonstrate(layout, place, uniform, seed, neighbours, **watched), layout):
                click.echo(line)
