"""A quantised network from a trained one, without labels: a copy with quantisers learns to embed as that does."""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from dualfair.runs.devices import Workplace, seeded
from dualfair.runs.layout import TrainingLayout
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.runs.records.training import Failure, NetworkDescription
from dualfair.runs.standalone import Standalone
from dualfair.runs.trained_run import weights_digest
from dualfair.runs.training_spec import folder_of_label
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.training import run_training
from dualfair.studies.quantise import QuantiseOptions
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.store import FaceStore
from dualfair.supernet.production.exported import model_of
from dualfair.supernet.production.folding import fold
from dualfair.supernet.production.onnx_model import to_onnx
from dualfair.supernet.production.quantisation import quantised
from dualfair.supernet.training.trainer import NonFinite, Trainer

_OTHER = "choose another directory with --out"


@dataclass(frozen=True, eq=False)
class Source:
    """A trained network that is quantised, the folder that it is of, and its name in this study."""

    name: str
    place: Path
    standalone: Standalone

    @property
    def dimensions(self) -> int:
        """How many numbers an embedding has."""
        network = self.standalone.network
        return network.heads[network.spec.head].neck.embedding

    @cached_property
    def onnx(self) -> bytes:
        """The network as an ONNX file in 32 bits, as `dualfair export --format onnx --fold-bn` makes it."""
        network = copy.deepcopy(self.standalone.network).cpu()
        fold(network)
        model = model_of(network, scored=False).to(memory_format=torch.contiguous_format)
        return to_onnx(model, network.skeleton.image_size)


@dataclass(frozen=True, eq=False)
class Data:
    """Images that networks are tuned on: some rows of a store. `name` is that of the data in this study."""

    name: str
    store: FaceStore
    rows: np.ndarray

    def images(self, standalone: Standalone) -> FaceSet:
        """The images at the size of a network. Nobody is told apart: no label counts."""
        skeleton, nothing = standalone.network.skeleton, np.full(len(self.rows), "")
        return FaceSet(
            self.store.pixels, self.rows, nothing, nothing, skeleton.image_size, crop_from=skeleton.crop_from
        )

    @property
    def digest(self) -> str:
        """What identifies the images."""
        rows = np.ascontiguousarray(self.rows, dtype=np.int64).tobytes()
        return hashlib.sha256(self.store.fingerprint.encode() + rows).hexdigest()


@dataclass(frozen=True, eq=False)
class Tuning:
    """A source in so many bits, tuned on data from a seed."""

    source: Source
    bits: int
    data: Data
    seed: int

    def __str__(self) -> str:
        return f"{self.source.name} in {self.bits} bits, data {self.data.name}, seed {self.seed}"

    def layout(self, out: Path) -> TrainingLayout:
        """Its folder, which opens as any training does: OUT/NETWORK/8-bits-own/seed-0."""
        network = folder_of_label(self.source.name).replace(" ", "-")
        return TrainingLayout(out / network / f"{self.bits}-bits-{self.data.name}" / f"seed-{self.seed}")


def tunings(
    sources: Sequence[Source], bits: Sequence[int], data: Sequence[Data], options: QuantiseOptions
) -> Iterator[Tuning]:
    """Every source in every number of bits by all data and seeds, in this order."""
    for source in sources:
        for each in bits:
            for images in data:
                yield from (Tuning(source, each, images, seed) for seed in range(options.seeds))


def tune(
    tuning: Tuning,
    options: QuantiseOptions,
    place: Workplace,
    *,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> None:
    """Tune a network to its end, from where an earlier command left it, on one rank: ranges are of all that it sees.
    One that leaves the finite numbers is left out for good: why stands in its folder.

    Equal steps for all data; ranges of activations are fixed by the first `quantisation.RANGE_UPDATES` of them. Raises
    ValueError where the folder holds another tuning, and for what cannot be tuned.
    """
    standalone = tuning.source.standalone
    images, layout = tuning.data.images(standalone), tuning.layout(place.directory.path)
    recipe = options.recipe(len(images), tuning.source.dimensions)
    layout.folder.mkdir(parents=True, exist_ok=True)
    made_of = NetworkDescription.read(TrainingLayout(tuning.source.place).description, "train the network again")
    description = replace(made_of, bits=tuning.bits, tuned_on=tuning.data.store.fingerprint)
    if layout.description.is_file():
        there = NetworkDescription.read(layout.description, _OTHER)
        # The data are part of the checkpoint's configuration; earlier versions did not say them here.
        if replace(there, tuned_on=description.tuned_on) != description:
            raise ValueError(f"{layout.folder} holds another network; {_OTHER}")
    description.write(layout.description)
    parts = weights_digest(standalone.network.state_dict()), tuning.data.digest, tuning.bits, recipe
    with seeded(tuning.seed):
        trainer = Trainer(
            quantised(standalone.network, tuning.bits),
            images,
            recipe,
            seed=tuning.seed,
            device=place.processes.device,
            teacher=standalone.network,
        )
        try:
            run_training(
                trainer,
                layout.folder,
                configuration=hashlib.sha256(repr(parts).encode()).hexdigest(),
                minutes=CHECKPOINT_MINUTES,
                say=place.directory.say,
                progress=progress,
                should_stop=should_stop,
                label=str(tuning),
            )
        except NonFinite as error:
            Failure.of(error).write(layout.failure)
