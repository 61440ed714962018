"""Where a repair begins: a network and the images that it was trained on, or a table."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dualfair.runs.devices import Workplace
from dualfair.runs.trained_run import weights_digest
from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.images import image_task, open_source, write_repaired
from dualfair.studies.repair.study import RepairStudy, chosen_strategies, judge_of, repair
from dualfair.studies.repair.tabular import Table, table_task
from dualfair.supernet.images.store import open_store


def repair_network(
    network: Path, images: Path, protected: str, strategies: Sequence[str], options: RepairOptions, place: Workplace
) -> RepairStudy:
    """Repair a training's network. Raises ValueError for what cannot be repaired, see `images.image_task`."""
    standalone = open_source(network, place.processes.device, place.directory.say)
    classes = len(standalone.classes)
    asked, judge = chosen_strategies(strategies, classes == 2), judge_of(options, classes)
    task = image_task(standalone, network, images, protected, judge, options)
    digest = f"{weights_digest(standalone.network.state_dict())} {open_store(images).fingerprint} {protected}"
    of = (
        f"{standalone.training.label}, seed {standalone.training.seed}, by {protected}: {len(task.tuning):,} images "
        f"tuned on, {len(task.test):,} tested on"
    )
    write = partial(write_repaired, standalone, network)
    return repair(lambda _: task, asked, judge, options, place, of, digest, write)


def repair_table(
    path: Path, label: str, protected: str, strategies: Sequence[str], options: RepairOptions, place: Workplace
) -> RepairStudy:
    """Train a network on a table, each seed its own, and repair it. Raises ValueError for what is no table."""
    asked, judge, table = (
        chosen_strategies(strategies, binary=True),
        judge_of(options, 2),
        Table(path, label, protected),
    )
    if table.left_out:
        place.directory.say(f"Left out, as they say {label} over again: {', '.join(table.left_out)}")
    digest = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {label} {protected}"
    of = f"{path.name}, {label} by {protected}: {len(table.labels):,} rows, a network a seed"

    def task_of(seed: int):
        return table_task(table, judge, options, seed, place.processes.device)

    return repair(task_of, asked, judge, options, place, of, digest)
