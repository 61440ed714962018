"""A teacher: another network whose embeddings of the very images trainings learn to agree with.

Shape legend: M images of a store, T numbers of an embedding.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dualfair.evaluation.scoring.embedding import embed
from dualfair.runs.embeddings import read_embeddings
from dualfair.runs.initial_weights import refuse_judged
from dualfair.runs.layout import TrainingLayout
from dualfair.runs.records.training import Origin, TrainedOn
from dualfair.runs.standalone import open_standalone
from dualfair.runs.trained_run import weights_digest
from dualfair.runs.watching import Say, silent
from dualfair.supernet.images import IDENTIFICATION
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.image_set import ImageSet
from dualfair.supernet.images.store import FaceStore
from dualfair.supernet.production.exported import ABOUT
from dualfair.supernet.production.foreign_network import open_foreign


@dataclass(frozen=True, eq=False)
class Teacher:
    """The embeddings (M, T) that the network of a `place` has of all images of a store, and its recorded `origin`."""

    place: Path
    origin: Origin
    embeddings: np.ndarray

    def of(self, images: ImageSet) -> np.ndarray:
        """Its embeddings (N, T) of some of the store's images."""
        return self.embeddings[images.rows]


def open_teacher(
    place: Path,
    run: Path,
    store: FaceStore,
    trained_on: TrainedOn,
    *,
    size: int,
    device: torch.device | str = "cpu",
    say: Say = silent,
) -> Teacher:
    """The teacher of a place: a training's folder or an export of ours, an .onnx file, a folder of timm's, or .npy
    embeddings with a row an image, in the order of the manifest.

    It is for trainings of the directory `run` on some people of the store, on images of `size` pixels. Raises
    ValueError where there is none, it does not fit the images, or it was trained on people that would be judged on.
    """
    if store.task != IDENTIFICATION:
        raise ValueError(
            f"{store.folder} holds labelled images, whose classes no teacher's embeddings tell; leave it out"
        )
    seen: tuple[TrainedOn, ...] = ()
    if place.suffix == ".npy":
        embeddings, digest = read_embeddings(place), _digest(place)
        if len(embeddings) != len(store.manifest):
            raise ValueError(
                f"{place} has {len(embeddings):,} embeddings for the {len(store.manifest):,} images of {store.folder}; "
                "it needs one a row of manifest.csv, in its order"
            )
    else:
        if (place / ABOUT).is_file() or TrainingLayout(place).description.is_file():
            trained = open_standalone(place, torch.device("cpu"), say)
            network, seen, size = trained.network, trained.seen, trained.network.skeleton.image_size
            crop_from = network.skeleton.crop_from
            refuse_judged(place, seen, trained_on)
            digest = weights_digest(network.state_dict())
        else:
            network = open_foreign(place, size)
            size, crop_from, digest = network.size, 0, _digest(place)
        store.require_size(crop_from or size, place)
        rows = np.arange(len(store.manifest))
        nothing = np.full(len(rows), "")
        embeddings = embed(network.to(device), FaceSet(store.pixels, rows, nothing, nothing, size, crop_from=crop_from))
    return Teacher(place, Origin(place=os.path.relpath(place, run), weights=digest, trained_on=seen), embeddings)


def _digest(place: Path) -> str:
    """SHA-256 of a file, or of the weights in a folder."""
    with open(place / "model.safetensors" if place.is_dir() else place, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
