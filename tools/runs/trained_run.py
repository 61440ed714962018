"""What the stages behind training start from: the trained supernet of a run directory, its space and its faces."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dualfair.evaluation.scoring.embedding import network_input
from dualfair.presentation.format import quoted
from dualfair.runs.architectures import open_space, skeleton_of
from dualfair.runs.config import numbers
from dualfair.runs.devices import working
from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import TrainOptions
from dualfair.runs.records.training import TrainConfig
from dualfair.runs.standalone import load_weights
from dualfair.supernet.images.image_set import ImageSet, TooFewPeople
from dualfair.supernet.images.manifest import fold_of
from dualfair.supernet.images.splits import decided, divide_people, open_splits
from dualfair.supernet.images.store import FaceStore, open_store
from dualfair.supernet.network import Supernet
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.checkpoint import newest_intact, read_record
from dualfair.supernet.training.process_group import ProcessGroup


@dataclass(frozen=True)
class Setting:
    """What a run is about: the space, the skeleton and the splits of the faces.

    The splits are "train", "validation", which the search sees, "confirmation", validation people that it does not
    see, and "test". Without "confirmation", `unconfirmed` says why. `decided` are sentences on labels that are unknown,
    or not the same on all images of a person.
    """

    space: SearchSpace
    skeleton: Skeleton
    splits: dict[str, ImageSet]
    faces_fingerprint: str
    unconfirmed: str = ""
    decided: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainedRun:
    """A run directory whose supernet is trained; `digest` identifies the supernet's weights."""

    directory: RunDirectory
    config: TrainConfig
    setting: Setting
    supernet: Supernet
    digest: str
    processes: ProcessGroup

    @property
    def device(self) -> torch.device:
        """Where this rank computes."""
        return self.processes.device


def open_setting(options: TrainOptions, store: FaceStore) -> Setting:
    """The space, skeleton and splits of faces that training options name. Raises ValueError where they do not fit."""
    skeleton = skeleton_of(options)
    space = open_space(options.space, skeleton, options.heads)
    fractions = numbers(options.split, ",", float, "split")
    splits = open_splits(
        store,
        group_column=options.group_column,
        fractions=fractions,
        seed=options.split_seed,
        size=skeleton.image_size,
        crop_from=skeleton.crop_from,
        drop_unknown=options.drop_unknown,
        fold=fold_of(options.fold, options.folds),
    )
    unconfirmed = keep_people(splits, options.confirm, options.split_seed)
    return Setting(space, skeleton, splits, store.fingerprint, unconfirmed, tuple(decided(store, options.group_column)))


def keep_people(splits: dict[str, ImageSet], share: float, seed: int) -> str:
    """Move a share, in [0, 1), of the validation people of every group to the split "confirmation".

    Returns why none were moved, "" where they were. Raises ValueError for another share.
    """
    if not 0 <= share < 1:
        raise ValueError(f"confirm must be a share of the validation people, 0 or more and below 1, got {share}")
    units = splits["validation"].units
    if share == 0:
        return f"no {units} are kept to confirm the front: trained with --confirm 0"
    try:
        splits["validation"], splits["confirmation"] = divide_people(splits["validation"], share, seed)
    except TooFewPeople as error:
        return f"too few {units} to confirm: {error}"
    return ""


def open_trained(directory: RunDirectory, processes: ProcessGroup) -> TrainedRun:
    """The trained supernet of a run directory. Raises ValueError when training is missing or unfinished."""
    stage = directory.layout.train
    newest = newest_intact(stage.folder, directory.say, set_aside=True) if processes.leads else None
    name = processes.broadcast(newest[0].name if newest else "")
    return _opened(directory, processes, stage.folder / name if name else None)


def _opened(directory: RunDirectory, processes: ProcessGroup, checkpoint: Path | None) -> TrainedRun:
    """The supernet in a checkpoint of a run directory. Raises ValueError as `open_trained` does."""
    config, path = directory.config(directory.layout.train, TrainConfig), finished(directory.path, checkpoint)
    setting = recorded_setting(directory.path, config)
    supernet = Supernet(setting.skeleton, setting.splits["train"].class_count, setting.space.heads)
    load_weights(supernet, path)
    supernet = supernet.to(processes.device, memory_format=torch.channels_last).eval()
    digest = weights_digest(supernet.state_dict())
    processes.agree("the weights of the supernet", digest)
    return TrainedRun(directory, config, setting, supernet, digest, processes)


def open_folds(run: TrainedRun) -> list[TrainedRun]:
    """The other supernets of a run that rotates its validation people, each for this rank alone; none where it has one.

    Raises ValueError as `open_trained` does.
    """
    options, alone, folds = run.config.options, ProcessGroup(device=run.device), []
    for number in range(1, options.folds if options.fold == 0 else 0):
        place = RunDirectory(run.directory.layout.fold(number).path, run.directory.leads, run.directory.show)
        newest = newest_intact(place.layout.train.folder, run.directory.say)
        folds.append(_opened(place, alone, newest[0] if newest else None))
    return folds


def finished(run: Path, checkpoint: Path | None) -> Path:
    """The checkpoint of a run's supernet. Raises ValueError where there is none, or training is not at its end."""
    if checkpoint is None:
        raise ValueError(f"{run} has no trained supernet; run 'dualfair train' first")
    record = read_record(checkpoint)
    if not record.finished:
        raise ValueError(
            f"training in {run} is at step {record.step} of {record.steps}; run the same 'dualfair train' command "
            "again to finish it"
        )
    return checkpoint


@contextmanager
def working_on(run: Path | str, **how: object) -> Iterator[TrainedRun]:
    """Hold a run directory and compute, as of `devices.working`, on its trained supernet."""
    with working(run, **how) as place:
        yield open_trained(place.directory, place.processes)


def recorded_setting(run: Path, config: TrainConfig) -> Setting:
    """What a run is about. Raises ValueError where its faces are not at hand, or no longer those it was trained on."""
    return open_setting(config.options, recorded_store(run, config))


def recorded_store(run: Path, config: TrainConfig) -> FaceStore:
    """The faces of a run. Raises ValueError where they are not at hand, or no longer those it was trained on."""
    folder = faces_of(run, config)
    if not folder.exists():
        parent = "" if folder.parent.is_dir() else f"mkdir -p {quoted(folder.parent)} && "
        raise ValueError(
            f"the run's faces are not in {folder}; put them there again, or if they lie in another folder, link it: "
            f"{parent}ln -sfn /FULL/PATH/OF/FACES {quoted(folder)}"
        )
    store = open_store(folder)
    if store.fingerprint != config.faces_fingerprint:
        raise ValueError(f"the faces in {folder} are not those that {run} was trained on; put the old ones there again")
    return store


def faces_of(run: Path, config: TrainConfig) -> Path:
    """The faces folder of a run: its configuration holds the way there from the run directory."""
    return Path(os.path.normpath(run / config.faces))


def calibration_images(run: TrainedRun, images: int) -> torch.Tensor | None:
    """The run's sample of training images on which BN statistics are measured; None for 0 images."""
    faces = run.setting.splits["train"]
    if images < 0:
        raise ValueError(f"calibrate must be 0 or more images, got {images}")
    if images == 0:
        return None
    chosen = np.sort(np.random.default_rng(run.config.options.seed).permutation(len(faces))[:images])
    return network_input(faces, chosen, run.device)


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over all weights and buffers of a network's state."""
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
