"""What is true of the networks that supernets rank: by training them, or by a table of trainings that others made.

Shape legend: n networks, S training seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.evaluation.score_tables import read_standalone_table
from dualfair.runs.architectures import open_space, skeleton_of
from dualfair.runs.devices import Workplace
from dualfair.runs.options import ProtocolOptions, TrainOptions
from dualfair.runs.run_files import TrainingResults, collect
from dualfair.runs.trained_run import open_trained
from dualfair.stages.retrain import HowTrained, random_networks, retrain
from dualfair.supernet.genotype import Genotype

SAMPLE = ("random",)
"""Why the networks are trained."""


@dataclass(frozen=True)
class Truth:
    """What is true of networks, by measure: `scores` (n, S, 3) of S trainings each on all test people and on two halves
    of them, or (n, S, 1) where nothing is known of halves."""

    genotypes: tuple[Genotype, ...]
    scores: Mapping[str, np.ndarray]


def read_truth(path: Path, train: TrainOptions, protocol_options: ProtocolOptions, networks: int) -> Truth:
    """The truth of so many random networks of a table: a CSV file with a column `network` of genotypes, one for each
    known objective, of which less is better, and possibly `seed`, several rows a network being its trainings.

    Raises ValueError where the table is malformed, or does not fit the space and the objectives of these options.
    """
    skeleton = skeleton_of(train)
    space = open_space(train.space, skeleton, train.heads)
    names, columns = read_standalone_table(path)
    try:
        genotypes = [space.parse(name) for name in names]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if len(set(genotypes)) < len(genotypes):
        raise ValueError(f"{path}: two networks are the same one in other words; leave one out")
    if networks > len(names):
        raise ValueError(f"networks must be at most {len(names):,}, all networks of {path}; got {networks:,}")
    objectives = protocol_options.protocol().names.measured
    measures = [name for name in objectives if name in columns]
    if not measures:
        raise ValueError(
            f"{path} has columns {', '.join(columns)}; at least one must be called like an objective that is measured "
            f"on images: {', '.join(objectives)}"
        )
    rows = np.random.default_rng(train.seed).permutation(len(names))[:networks]
    return Truth(tuple(genotypes[row] for row in rows), {name: columns[name][rows][:, :, None] for name in measures})


def trained_truth(host: Workplace, networks: int, seed: int, how: HowTrained) -> Truth:
    """Train random networks by themselves, in the run directory of a supernet."""
    run = open_trained(host.directory, host.processes)
    retrain(run, dict.fromkeys(random_networks(run.setting.space, networks, seed), SAMPLE), how)
    trained = collect(host.directory.layout, run.setting.space)
    return Truth(tuple(trained.genotypes), standalone_scores(trained))


def standalone_scores(trained: TrainingResults) -> dict[str, np.ndarray]:
    """Every measure of the trainings on test people, and on two halves of them, (n, S, 3)."""

    def of(measure: str) -> np.ndarray:
        scores = ([result.test for result in results] for results in trained.results)
        return np.array([[[each[measure] for each in (test.measures, *test.halves)] for test in row] for row in scores])

    return {measure: of(measure) for measure in trained.results[0][0].test.measures}
