"""A trained standalone network on disk: its checkpoints, and beside them a description of what it is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from dualfair.runs.architectures import open_skeleton
from dualfair.runs.config import code_of
from dualfair.runs.layout import TrainingLayout
from dualfair.runs.records.training import NetworkDescription, TrainedOn
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.families.sized import SizedGenotype
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import Network, build
from dualfair.supernet.production.exported import ABOUT, read_export
from dualfair.supernet.production.quantisation import quantised
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.training.checkpoint import load_checkpoint, newest_intact


@dataclass(frozen=True)
class Standalone:
    """A trained network in evaluation mode: its training with the seed that was drawn from, and its people.

    `classes` are named, in order, where the network is judged by their scores. `before` are the people that its weights
    were trained on before these, newest first; `bits` are those that it is fake-quantised to, None: it is not,
    by images with the fingerprint `tuned_on`; those that it was repaired by have the fingerprint `repaired_on`."""

    network: Network
    training: TrainingSpec
    identities: int
    trained_on: TrainedOn
    classes: tuple[str, ...] = ()
    before: tuple[TrainedOn, ...] = ()
    bits: int | None = None
    tuned_on: str = ""
    repaired_on: str = ""

    def refuse_quantised(self, folder: Path) -> None:
        """Raise ValueError where the network is fake-quantised, for whatever cannot take it so."""
        if self.bits:
            raise ValueError(
                f"{folder} is quantised to {self.bits} bits in simulation; take the training that it was made of"
            )

    @property
    def seen(self) -> tuple[TrainedOn, ...]:
        """All people that the network's weights were ever trained on, newest first."""
        return (self.trained_on, *self.before)

    def seen_of(self, fingerprint: str) -> TrainedOn | None:
        """Whom of the images with a fingerprint its weights were trained on; None: it never saw them."""
        return next((people for people in self.seen if people.faces_fingerprint == fingerprint), None)


def build_network(network: Genotype | Backbone | SizedGenotype, skeleton: Skeleton, identities: int) -> Network:
    """The network of a genotype, of one on a skeleton of its own, or of a backbone, freshly initialised from torch's
    global generator.

    `identities` and ValueError as in `supernet.network.build` and `supernet.families.backbone_network.build_backbone`.
    """
    if isinstance(network, SizedGenotype):
        return build(network.genotype, network.skeleton_like(skeleton), identities)
    builder = build_backbone if isinstance(network, Backbone) else build
    return builder(network, skeleton, identities)


def describe_network(
    training: TrainingSpec,
    skeleton: Skeleton,
    identities: int,
    trained_on: TrainedOn,
    classes: tuple[str, ...] = (),
    before: tuple[TrainedOn, ...] = (),
) -> NetworkDescription:
    """What a standalone network is, as its folder says it; `training` has the seed that is drawn from."""
    heads = [head.source for head in skeleton.own_heads if head.name == training.network.head]
    return NetworkDescription(
        training,
        skeleton.name,
        tuple(skeleton.blocks),
        skeleton.image_size,
        ",".join(heads),
        identities,
        trained_on,
        classes,
        code_of(heads) or None,
        before,
        skeleton.neck,
        skeleton.crop_from,
    )


def open_standalone(folder: Path, device: torch.device, say: Callable[[str], object]) -> Standalone:
    """The network of a training's folder (its newest intact checkpoint), or of an export; `say` hears of damaged ones.

    Raises ValueError when there is none, when it is not finished, or when it does not fit its description.
    """
    about, file = folder / ABOUT, TrainingLayout(folder).description
    if about.is_file():
        return _open_exported(folder, device)
    if not file.is_file():
        problem = f"{folder} holds no trained network ({file.name} is not there)"
        raise ValueError(
            f"{problem if folder.is_dir() else f'there is no folder {folder}'}; name one that 'dualfair retrain' made, "
            "such as RUN/retrain/GENOTYPE/seed-0, or one that 'dualfair export' made"
        )
    description = NetworkDescription.read(file, "train the network again")
    try:
        blocks = "-".join(map(str, description.blocks))
        shape = description.skeleton, blocks, description.size, description.heads
        skeleton = open_skeleton(*shape, description.neck, description.crop_from)
        network = build_network(description.training.network, skeleton, description.identities)
        network = quantised(network, description.bits) if description.bits else network
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{file} is damaged ({error}); train the network again") from error
    newest = newest_intact(folder, say)
    if newest is None:
        raise ValueError(f"{folder} has no intact checkpoint; run the same 'dualfair retrain' command again")
    path, record = newest
    if not record.finished:
        raise ValueError(
            f"training of {folder} is at step {record.step} of {record.steps}; run the same 'dualfair retrain' "
            "command again to finish it"
        )
    load_weights(network, path)
    network = network.to(device, memory_format=torch.channels_last).eval()
    return Standalone(
        network,
        description.training,
        description.identities,
        description.trained_on,
        description.classes,
        description.before,
        description.bits,
        description.tuned_on,
        description.repaired_on,
    )


def load_weights(network: torch.nn.Module, checkpoint: Path) -> None:
    """Give a network the weights of a checkpoint. Raises ValueError where it does not fit them."""
    state = load_checkpoint(checkpoint)
    try:
        network.load_state_dict(state["network"])
    except (KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"checkpoint {checkpoint} does not fit the network of its folder: {reason}") from error


def _open_exported(folder: Path, device: torch.device) -> Standalone:
    """The network of an export, as `dualfair export` wrote it from a training."""
    export = read_export(folder)
    try:
        trained = export.about["trained"]
        training = TrainingSpec.of_label(export.about["training"], trained["seed"])
        trained_on, identities = TrainedOn.from_json(trained), int(trained["identities"])
        before = tuple(map(TrainedOn.from_json, trained.get("trained_on_before", ())))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / ABOUT} is damaged ({error}); export the network again") from error
    network = export.network.to(device, memory_format=torch.channels_last).eval()
    later = export.about.get("bits"), export.about.get("tuned_on", ""), export.about.get("repaired_on", "")
    return Standalone(network, training, identities, trained_on, tuple(export.about["classes"]), before, *later)
