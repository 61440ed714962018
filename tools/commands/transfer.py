"""`dualfair transfer`: networks trained on one face set, measured on others and by other attributes."""

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, config_options, machine, machine_options
from dualfair.studies.transfer import TransferOptions


@click.command()
@click.option(
    "--run", "runs", type=PATH, multiple=True, required=True, help="Run whose networks are measured; may be repeated."
)
@click.option("--to", "targets", type=PATH, multiple=True, help="Other faces folder; may be repeated.")
@click.option("--group", "columns", multiple=True, help="Column of groups; may be repeated.  [default: group]")
@click.option("--out", type=PATH, required=True, help="Folder for the results.")
@config_options(TransferOptions)
@machine_options
def command(
    runs: tuple[Path, ...], targets: tuple[Path, ...], columns: tuple[str, ...], out: Path, **given: object
) -> None:
    """Measure all retrained networks of runs on other faces and by other attributes, without fine-tuning.

    One table: error and disparity by network and population, as mean and standard error over training seeds, beside
    what they are at home, on the test people of the faces that they were trained on; and whether the networks' ranking
    carries over. Of other faces, all people are measured. Writes transfer.json and transfer.csv.
    """
    from dualfair.runs.config import build_configs
    from dualfair.runs.devices import joined
    from dualfair.runs.directory import RunDirectory
    from dualfair.studies.transfer.study import transfer

    (options,) = build_configs(given, given["preset"], TransferOptions, stage="transfer")
    with watching() as watched, joined(**machine(given)) as processes:
        directories = [RunDirectory(run, processes.leads) for run in runs]
        columns = columns or ("group",)
        transfer(directories, targets, columns, options, out, processes=processes, say=watched["say"])
