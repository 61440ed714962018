"""A trained standalone network on disk: its checkpoints, and beside them `network.json`, which says what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from dualfair.runs.architectures import open_skeleton
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.families.backbone_network import BackboneNetwork, build_backbone
from dualfair.supernet.files import read_json, write_json
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import StandaloneNetwork, build
from dualfair.supernet.production.exported import ABOUT, read_export
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.training.checkpoint import Record, load_checkpoint, newest_intact, verified

DESCRIPTION = "network.json"
_TRAINED_ON = {"faces_fingerprint": str, "group_column": str, "split": str, "split_seed": int}


@dataclass(frozen=True)
class Standalone:
    """A trained network in evaluation mode, with its training's label, its seed and what is known of its faces."""

    network: StandaloneNetwork | BackboneNetwork
    name: str
    seed: int
    identities: int
    trained_on: dict


def build_network(network: Genotype | Backbone, skeleton: Skeleton, identities: int):
    """The network of a genotype or of a backbone, freshly initialised from torch's global generator.

    `identities` and ValueError as in `supernet.network.build` and `supernet.families.backbone_network.build_backbone`.
    """
    builder = build_backbone if isinstance(network, Backbone) else build
    return builder(network, skeleton, identities)


def write_description(
    folder: Path, label: str, skeleton: Skeleton, identities: int, seed: int, trained_on: dict
) -> None:
    """Write what a network is, so that its folder can be opened wherever it lies; the label is under "genotype"."""
    write_json(
        folder / DESCRIPTION,
        {
            "genotype": label,
            "skeleton": skeleton.name,
            "blocks": skeleton.blocks,
            "size": skeleton.image_size,
            "heads": ",".join(head.source for head in skeleton.own_heads),
            "identities": identities,
            "seed": seed,
            "trained_on": trained_on,
        },
    )


def open_standalone(path: Path, device: torch.device, tell: Callable[[str], object]) -> Standalone:
    """The network of a checkpoint, or the newest intact one of a training's folder; `tell` hears of damaged ones.

    The folder may also be an export. Raises ValueError when there is none, when it is not finished, or when it does not
    fit its description.
    """
    if not path.exists():
        raise ValueError(
            f"there is no {path}; name a folder that 'dualfair retrain' made, such as RUN/retrain/GENOTYPE/seed-0, or "
            "one that 'dualfair export' made"
        )
    folder = path if path.is_dir() else path.parent
    if path == folder and (folder / ABOUT).is_file():
        return _open_exported(folder, device)
    file = folder / DESCRIPTION
    if not file.is_file():
        raise ValueError(
            f"{folder} holds no trained network ({DESCRIPTION} is not there); name a folder that 'dualfair retrain' "
            "made, such as RUN/retrain/GENOTYPE/seed-0"
        )
    try:
        about = read_json(file)
        blocks = "-".join(map(str, about["blocks"]))
        skeleton = open_skeleton(about["skeleton"], blocks, about["size"], about["heads"])
        training = TrainingSpec.of_label(about["genotype"])
        network = build_network(training.network, skeleton, about["identities"])
        seed, identities = int(about["seed"]), int(about["identities"])
        trained_on = {name: _of(kind, about["trained_on"][name]) for name, kind in _TRAINED_ON.items()}
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{file} is damaged ({error}); train the network again") from error
    chosen, record = _intact(path, tell)
    if not record.finished:
        raise ValueError(
            f"training of {folder} is at step {record.step} of {record.steps}; run the same 'dualfair retrain' "
            "command again to finish it"
        )
    state = load_checkpoint(chosen)
    try:
        network.load_state_dict(state["network"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"checkpoint {chosen} does not fit the network in {file}: {reason}") from error
    network = network.to(device, memory_format=torch.channels_last).eval()
    return Standalone(network, training.label, seed, identities, trained_on)


def _open_exported(folder: Path, device: torch.device) -> Standalone:
    """The network of an export, as `dualfair export` wrote it from a training."""
    export = read_export(folder)
    try:
        trained = export.about["trained"]
        label, seed, identities = export.about["training"], int(trained["seed"]), int(trained["identities"])
        trained_on = {name: _of(kind, trained[name]) for name, kind in _TRAINED_ON.items()}
        TrainingSpec.of_label(label)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / ABOUT} is damaged ({error}); export the network again") from error
    network = export.network.to(device, memory_format=torch.channels_last).eval()
    return Standalone(network, label, seed, identities, trained_on)


def _of(kind: type, value: object) -> object:
    if type(value) is not kind:
        raise TypeError(f"expected a {kind.__name__}, got {str(value)[:40]!r}")
    return value


def _intact(path: Path, tell: Callable[[str], object]) -> tuple[Path, Record]:
    """The checkpoint that is meant, and its record."""
    if path.is_dir():
        found = newest_intact(path, tell)
        if found is None:
            raise ValueError(f"{path} has no intact checkpoint; run the same 'dualfair retrain' command again")
        return found
    try:
        return path, verified(path)
    except ValueError as error:
        raise ValueError(f"checkpoint {path} is damaged ({error}); name its folder to take an intact one") from None
