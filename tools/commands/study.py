"""`dualfair study`: does the inherited score rank as training does, whichever way supernets are trained?"""

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, config_options, deterministic_option, device_option
from dualfair.runs.options import TrainOptions
from dualfair.runs.protocol import ProtocolOptions
from dualfair.studies.supernets import StudyOptions
from dualfair.supernet.training.recipe import Recipe


@click.command()
@click.option("--faces", type=PATH, required=True, help="Faces folder.")
@click.option("--out", type=PATH, required=True, help="Folder to make or to continue.")
@click.option(
    "--variants",
    type=PATH,
    help="TOML file with a table of changed options for each variant, or 'comparison' for the one that comes along.",
)
@config_options(StudyOptions, TrainOptions, Recipe, ProtocolOptions)
@device_option
@deterministic_option
def command(
    faces: Path,
    out: Path,
    variants: Path | None,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Rank the same networks by several supernets and by training them: tau with intervals for every variant."""
    from dualfair.runs.config import build_configs
    from dualfair.runs.context import working
    from dualfair.studies.supernets.study import study, variants_of

    options, *trained_by = build_configs(
        given, preset, StudyOptions, TrainOptions, Recipe, ProtocolOptions, stage="train"
    )
    compared = variants_of(*trained_by, variants)
    with watching(finishing=True) as watched:
        say, progress, should_stop = watched["say"], watched["progress"], watched["should_stop"]
        with working(out, make=True, device=device, deterministic=deterministic, say=say) as place:
            study(place, faces, compared, options, progress=progress, should_stop=should_stop)
