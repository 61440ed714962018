"""`dualfair repair`: an unfair classifier mended, by several strategies beside each other."""

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, config_options, machine, machine_options
from dualfair.studies.repair import RepairOptions


@click.command()
@click.argument("network", type=PATH, required=False, metavar="[TRAINING]")
@click.option("--images", type=PATH, help="Labelled images, or faces, that the network was trained on.")
@click.option("--table", type=PATH, help="Instead of a network and images: a CSV of numbers; its network is trained.")
@click.option("--label", default="", help="Column of the table with the label, 0 or 1.")
@click.option("--protected", required=True, help="Column of two groups; of a table 0 and 1.")
@click.option("--strategy", "strategies", multiple=True, help="May be repeated.  [default: all that there are]")
@click.option("--out", type=PATH, required=True, help="Folder for networks and results.")
@config_options(RepairOptions)
@machine_options
def command(
    network: Path | None,
    images: Path | None,
    table: Path | None,
    label: str,
    protected: str,
    strategies: tuple[str, ...],
    out: Path,
    **given: object,
) -> None:
    """Mend a network that treats two groups differently, without new training data.

    A TRAINING is such as RUN/retrain/GENOTYPE:softmax/seed-0. Strategies that alter structure find weights that can go,
    by a learnt mask: prune, noise, internal, external, netaug. Known ones beside them: fine-tuning, perturbation,
    layerwise, adversarial; confusion, domain-independent and retraining from scratch; threshold, reject-option and
    equalised-odds for two classes. All are tuned on validation images and judged on test images; of faces on two halves
    of the validation people. Writes repair.csv with intervals and paired differences to the network as it was, and
    repaired networks as trainings. The same command continues what was stopped.
    """
    from dualfair.runs.config import build_configs
    from dualfair.runs.devices import working
    from dualfair.studies.repair.entry import repair_network, repair_table

    (options,) = build_configs(given, given["preset"], RepairOptions, stage="repair")
    if (table is None) == (network is None):
        raise ValueError("give either a TRAINING with --images, or --table with --label")
    if bool(images) != bool(network) or bool(label) != bool(table):
        raise ValueError("--images goes with a TRAINING, and --label with --table")
    with watching() as watched, working(out, make=True, say=watched["say"], **machine(given)) as place:
        if network:
            repair_network(network, images, protected, strategies, options, place)
        else:
            repair_table(table, label, protected, strategies, options, place)
