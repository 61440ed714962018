"""A training's checkpoints: all that moves is saved, and continued from where the newest intact one was taken."""

import math
from collections.abc import Callable
from pathlib import Path

import torch

from dualfair.supernet.training.checkpoint import (
    Record,
    load_checkpoint,
    newest_intact,
    read_record,
    save_checkpoint,
    versions,
)
from dualfair.supernet.training.trainer import Trainer


def save(
    trainer: Trainer, folder: Path, *, seconds: float = 0.0, loss: float = math.nan, configuration: str = ""
) -> Path:
    """Write a checkpoint of a training, on the leading rank.

    `seconds` of training so far, `loss` the mean over the steps since the last checkpoint, `configuration` identifies
    what was asked for. Raises `supernet.files.NoRoom` when the disk is full; the checkpoints before are whole then.
    """
    comparable = trainer.step >= trainer.margin_steps and math.isfinite(loss)
    return save_checkpoint(
        folder,
        trainer.state_dict(),
        step=trainer.step,
        steps=trainer.steps,
        seconds=seconds,
        loss=loss if comparable else None,
        configuration=configuration,
        **_machine(trainer),
    )


def resume(
    trainer: Trainer, folder: Path, *, configuration: str = "", say: Callable[[str], object] = lambda _: None
) -> Record | None:
    """Continue from the newest intact checkpoint of a folder; its record, or None when there is none.

    The leading rank looks, sets damaged ones aside and says so by `say`; all ranks load the same. `say` also gets
    a sentence when the machine is another, so that numbers may differ in rounding. Raises ValueError for a checkpoint
    of another `configuration` or of another network.
    """
    leads = trainer.processes.leads
    newest = newest_intact(folder, say, set_aside=True) if leads else None
    name = trainer.processes.broadcast(newest[0].name if newest else "")
    if not name:
        return None
    path = folder / name
    record = read_record(path)
    if record.configuration != configuration:
        raise ValueError(f"checkpoint {path} belongs to a training with another configuration; take it away")
    try:
        trainer.load_state_dict(load_checkpoint(path))
    except (KeyError, RuntimeError) as error:
        # The first line of torch's list only names the class.
        lines = str(error).splitlines()
        reason = (lines[1] if len(lines) > 1 else lines[0]).strip()
        raise ValueError(f"checkpoint {path} does not fit this network: {reason}") from error
    if leads and (changes := _changes(record, trainer)):
        redrawn = trainer.layers_draw and record.device != trainer.device.type
        drawn = ", and layers draw anew what they draw at random" if redrawn else ""
        say(
            f"Warning: {path.name} was written with {changes}: numbers may differ in rounding from an unbroken run"
            f"{drawn}"
        )
    return record


def _changes(record: Record, trainer: Trainer) -> str:
    """In words, what was another when the checkpoint was written, of all that rounding depends on."""
    current = {**_machine(trainer), **versions()}
    recorded = {"device": record.device, "threads": record.threads, "ranks": record.ranks, **record.versions}
    return ", ".join(
        f"{name} {recorded.get(name)} (here {value})" for name, value in current.items() if recorded.get(name) != value
    )


def _machine(trainer: Trainer) -> dict[str, object]:
    return {"device": trainer.device.type, "threads": torch.get_num_threads(), "ranks": trainer.processes.size}
