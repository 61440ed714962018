"""`dualfair study`: does the inherited score rank as training does, whichever way supernets are trained?"""

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, config_options, images_option, machine, machine_options
from dualfair.runs.options import ProtocolOptions, TrainOptions
from dualfair.studies.supernets import StudyOptions
from dualfair.supernet.training.recipe import Recipe


@click.command()
@images_option(required=True)
@click.option("--out", type=PATH, required=True, help="Folder to make or to continue.")
@click.option(
    "--variants",
    type=PATH,
    help="TOML file with a table of changed options for each variant, or 'comparison' for the one that comes along.",
)
@click.option(
    "--standalone-table",
    type=PATH,
    help="CSV file with columns network, error (or other objectives) and possibly seed: rank by it, train no networks.",
)
@config_options(StudyOptions, TrainOptions, Recipe, ProtocolOptions)
@machine_options
def command(
    faces: Path, out: Path, variants: Path | None, standalone_table: Path | None, preset: str | None, **given: object
) -> None:
    """Rank the same networks by several supernets and by training them: tau with intervals for every variant."""
    from dualfair.runs.config import build_configs
    from dualfair.runs.devices import working
    from dualfair.studies.supernets.study import study, variants_of

    kinds = (StudyOptions, TrainOptions, Recipe, ProtocolOptions)
    options, *trained_by = build_configs(given, preset, *kinds, stage="train")
    compared = variants_of(*trained_by, variants)
    with (
        watching(finishing=True) as watched,
        working(out, make=True, say=watched.pop("say"), **machine(given)) as place,
    ):
        study(place, faces, compared, options, standalone_table=standalone_table, **watched)
