"""Where a repair begins: a network and the images that it was trained on, or a table."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dualfair.runs.devices import Workplace
from dualfair.runs.trained_run import weights_digest
from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.faces import face_task
from dualfair.studies.repair.images import image_task, open_source, write_repaired
from dualfair.studies.repair.study import RepairStudy, chosen_strategies, judge_of, repair
from dualfair.studies.repair.tabular import Table, table_task
from dualfair.supernet.images.store import CLASSIFICATION, open_store


def repair_network(
    network: Path, images: Path, protected: str, strategies: Sequence[str], options: RepairOptions, place: Workplace
) -> RepairStudy:
    """Repair a training's network. Raises ValueError for what cannot be repaired, see `images.image_task` and
    `faces.face_task`."""
    standalone, store = open_source(network, place.processes.device, place.directory.say), open_store(images)
    if (store.task == CLASSIFICATION) != bool(standalone.classes):
        raise ValueError(f"{network} and {images} are not of a kind: one is of faces, the other of labelled images")
    classes, task_of = len(standalone.classes), image_task if standalone.classes else face_task
    asked, judge = chosen_strategies(strategies, classes), judge_of(options, classes)
    task = task_of(standalone, network, store, protected, judge, options)
    digest = f"{weights_digest(standalone.network.state_dict())} {store.fingerprint} {protected}"
    of = (
        f"{standalone.training.label}, seed {standalone.training.seed}, by {protected}: {task.tuning.amount} tuned on, "
        f"{task.test.amount} tested on"
    )
    write = partial(write_repaired, standalone, network, store.fingerprint)
    return repair(lambda _: task, asked, judge, options, place, of, digest, write)


def repair_table(
    path: Path, label: str, protected: str, strategies: Sequence[str], options: RepairOptions, place: Workplace
) -> RepairStudy:
    """Train a network on a table, each seed its own, and repair it. Raises ValueError for what is no table."""
    asked, judge, table = (
        chosen_strategies(strategies, 2),
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
