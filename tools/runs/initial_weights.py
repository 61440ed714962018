"""Weights that trainings start from: those of another run's supernet, of a trained network, or of an export."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dualfair.runs.layout import RunLayout, TrainingLayout
from dualfair.runs.records.training import Origin, TrainConfig, TrainedOn
from dualfair.runs.standalone import open_standalone
from dualfair.runs.trained_run import finished, weights_digest
from dualfair.runs.watching import Say, silent
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import Network, Supernet
from dualfair.supernet.production.exported import ABOUT
from dualfair.supernet.training.checkpoint import load_checkpoint, newest_intact
from dualfair.supernet.training.initial_weights import fitting, start_from


@dataclass(frozen=True)
class InitialWeights:
    """Weights by their names, and the `place` that they are from; `network` is the one that they are of, None: a
    supernet's, which start any of its networks. `origin` is what is recorded."""

    place: Path
    origin: Origin
    weights: Mapping[str, Tensor]
    network: Genotype | Backbone | None = None

    def starts(self, network: Genotype | Backbone) -> bool:
        """Whether a network starts from these: a supernet has weights of searched networks only."""
        return isinstance(network, Genotype) if self.network is None else network == self.network

    def check(self, network: Supernet | Network) -> None:
        """Raise ValueError where these do not fit a supernet or a network."""
        self._fit(fitting, network)

    def start(self, network: Supernet | Network) -> None:
        """Give these to a supernet or a network, all but class weights. Raises ValueError where they do not fit."""
        self._fit(start_from, network)

    def _fit(self, call: Callable, network: Supernet | Network) -> None:
        try:
            call(network, self.weights)
        except ValueError as error:
            raise ValueError(
                f"the weights of {self.place} do not fit: {error}; train with the skeleton, blocks, heads and neck "
                "that they are of"
            ) from None


def open_initial_weights(place: Path, run: Path, trained_on: TrainedOn, say: Say = silent) -> InitialWeights:
    """The weights of a run's supernet, of RUN/retrain/LABEL/seed-0 or of an export, for trainings on some people.

    These trainings are of the directory `run`. Raises ValueError where there are none, they are not trained to the end,
    or they were trained on other people of the same images: some of those would be judged on.
    """
    if (place / ABOUT).is_file() or TrainingLayout(place).description.is_file():
        trained = open_standalone(place, torch.device("cpu"), say)
        trained.refuse_quantised(place)
        weights, network, before = trained.network.state_dict(), trained.network.spec, trained.seen
    elif RunLayout(place).train.config.is_file():
        stage = RunLayout(place).train
        newest = newest_intact(stage.folder, say)
        path = finished(place, newest[0] if newest else None)
        weights, network, before = load_checkpoint(path)["network"], None, TrainConfig.read(stage.config).seen
    else:
        raise ValueError(
            f"{place} has no weights to start from; name a run directory, RUN/retrain/GENOTYPE/seed-0 or an export"
        )
    refuse_judged(place, before, trained_on)
    origin = Origin(place=os.path.relpath(place, run), weights=weights_digest(weights), trained_on=before)
    return InitialWeights(place, origin, weights, network)


def refuse_judged(place: Path, seen: Sequence[TrainedOn], trained_on: TrainedOn) -> None:
    """Raise ValueError where a network was trained on images that trainings on some people will be judged on."""
    for people in seen:
        if people.faces_fingerprint == trained_on.faces_fingerprint and people != trained_on:
            raise ValueError(
                f"the weights of {place} were trained on these very images, split otherwise: on people that would be "
                "judged on here; train with the same --split, --split-seed and --group-column"
            )
