"""What `dualfair plan` predicts of a small run, beside the time that its parts really take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from dualfair.benchmarks.report import indented, rounded
from dualfair.benchmarks.scoring import SPACE
from dualfair.benchmarks.setting import IDENTITIES, Setting, scored_faces, training_faces
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_embeddings
from dualfair.planning.forecast import forecast
from dualfair.planning.measurement import average_genotypes, measure
from dualfair.planning.spans import Span
from dualfair.planning.workload import FaceCounts, Workload
from dualfair.presentation.table import aligned
from dualfair.runs.records.training import SPLITS
from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.trainer import Trainer

SECONDS = 20.0
"""How long the forecast measures."""

STEPS, POPULATION, BATCHES = 40, 16, 4
"""Training steps, genotypes that are scored, and batches of faces that they are scored on."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predicted seconds, with their range, and measured ones, by stage."""

    title: str
    predicted: dict[str, Span]
    measured: dict[str, float]

    def lines(self) -> list[str]:
        """A line a stage."""
        rows = [["", "predicted, range", "measured", "predicted / measured"]]
        for stage, span in self.predicted.items():
            predicted = f"{rounded(span.middle)} s, {rounded(span.low)} to {rounded(span.high)}"
            measured = self.measured[stage]
            rows.append([stage, predicted, f"{rounded(measured)} s", rounded(span.middle / measured)])
        return [self.title, *indented(aligned(rows))]

    def to_dict(self) -> dict[str, object]:
        """Every number, as JSON takes it."""
        predicted = {stage: asdict(span) for stage, span in self.predicted.items()}
        return {"title": self.title, "predicted seconds": predicted, "measured seconds": self.measured}


def run(setting: Setting) -> list[Predictions]:
    """Forecast a training, the scoring of a generation and the training of one network; then do them."""
    workload = small_workload(setting)
    device = torch.device(setting.device)
    stages = {stage.name: stage for stage in forecast(workload, measure(workload, device, SECONDS)).stages}
    predicted = {
        f"train, {STEPS} steps": stages["train"].seconds,
        f"search, {POPULATION} genotypes": stages["search"].seconds,
        f"retrain, a network, {STEPS} steps": stages["retrain"].seconds * (1 / workload.trainings),
    }
    works = (train, search, retrain)
    measured = {name: _seconds(work, workload, setting) for name, work in zip(predicted, works, strict=True)}
    return [Predictions(title="prediction: dualfair plan beside reality", predicted=predicted, measured=measured)]


def small_workload(setting: Setting) -> Workload:
    """A run of seconds, on random pixels."""
    faces = training_faces(setting)
    images = BATCHES * setting.batch
    epochs = STEPS / (len(faces.labels) // setting.batch)
    recipe = replace(setting.recipe, epochs=epochs)
    return Workload(
        space=dpn_space(SPACE, sum(setting.shape.blocks)),
        skeleton=setting.shape,
        faces=FaceCounts(training=len(faces.labels), identities=IDENTITIES, validation=images, test=images),
        train=recipe,
        retrain=recipe,
        population=POPULATION,
        generations=1,
        calibrate=images,
        batch=setting.batch,
        seeds=1,
        controls=0,
    )


def train(workload: Workload, setting: Setting) -> Callable[[], object]:
    """All steps of the supernet."""
    supernet = Supernet(setting.shape, IDENTITIES, workload.space.heads)
    faces, device = training_faces(setting), setting.device
    trainer = Trainer(supernet, faces, workload.train, seed=0, space=workload.space, device=device)
    return lambda: list(trainer.run())


def search(workload: Workload, setting: Setting) -> Callable[[], object]:
    """The scores of a random generation."""
    supernet = Supernet(setting.shape, 0, workload.space.heads)
    supernet = supernet.to(setting.device, memory_format=torch.channels_last).eval()
    faces, calibration = _judged_faces(workload, setting)
    scorer = InheritedScorer(supernet, faces, calibration, EvaluationProtocol(), batch=workload.batch)
    population = workload.space.sample_distinct(POPULATION, np.random.default_rng(setting.seed))
    return lambda: scorer(population)


def retrain(workload: Workload, setting: Setting) -> Callable[[], object]:
    """All steps of a network of about average cost, and its scores on validation and test faces."""
    (genotype,) = average_genotypes(workload, 1)
    network = build(genotype, setting.shape, IDENTITIES)
    trainer = Trainer(network, training_faces(setting), workload.retrain, seed=0, device=setting.device)
    faces, calibration = _judged_faces(workload, setting)

    def do() -> None:
        list(trainer.run())
        network.eval()
        for _ in SPLITS:
            embeddings = population_embeddings(network, [genotype], faces, calibration, batch=workload.batch)
            evaluate(embeddings[genotype], faces.identities, faces.groups, EvaluationProtocol())

    return do


def _judged_faces(workload: Workload, setting: Setting) -> tuple[RandomFaces, torch.Tensor]:
    """Faces to score networks on, and the sample that their statistics are measured on."""
    faces = scored_faces(setting, workload.faces.validation)
    return faces, network_input(faces, np.arange(workload.calibrate), setting.device)


def _seconds(work: Callable, workload: Workload, setting: Setting) -> float:
    torch.manual_seed(setting.seed)
    do = work(workload, setting)
    setting.synchronise()
    start = time.perf_counter()
    do()
    setting.synchronise()
    return time.perf_counter() - start
