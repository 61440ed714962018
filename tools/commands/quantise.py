"""`dualfair quantise`: trained networks in fewer bits, and what that does to groups of people."""

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, config_options, machine, machine_options
from dualfair.studies.quantise import OWN, QuantiseOptions


@click.command()
@click.argument("networks", type=PATH, nargs=-1, required=True, metavar="TRAINING...")
@click.option("--faces", type=PATH, required=True, help="Faces that networks are judged on.")
@click.option("--bits", type=int, multiple=True, default=(8,), show_default=True, help="Bits; may be repeated.")
@click.option(
    "--data",
    multiple=True,
    default=(OWN,),
    show_default=True,
    help="What is learnt on: own, the networks' training people, or a faces folder, labels unused; may be repeated.",
)
@click.option("--out", type=PATH, required=True, help="Folder for networks and results.")
@config_options(QuantiseOptions)
@machine_options
def command(
    networks: tuple[Path, ...], faces: Path, bits: tuple[int, ...], data: tuple[str, ...], out: Path, **given: object
) -> None:
    """Round weights and activations of trained networks to fewer bits, and measure what that changes, group by group.

    A TRAINING is such as RUN/retrain/GENOTYPE/seed-0. A copy of it with simulated quantisation learns, without labels,
    to embed images as it does. Then both are judged on the same people: test people of the faces that it was trained
    on, or all of others. Writes quantise.json and quantise.csv with every measure, its interval over people and the
    difference to 32 bits with an interval of its own, quantise.png with the accuracies of groups, and networks that
    'dualfair evaluate' and 'dualfair export' open as any other. The same command continues what was stopped.
    """
    from dualfair.runs.config import build_configs
    from dualfair.runs.devices import working
    from dualfair.studies.quantise.study import quantise

    (options,) = build_configs(given, given["preset"], QuantiseOptions, stage="quantise")
    with (
        watching(finishing=True) as watched,
        working(out, make=True, say=watched.pop("say"), **machine(given)) as place,
    ):
        quantise(networks, faces, bits, data, options, place, **watched)
