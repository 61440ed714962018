"""Trained networks on faces that they were not trained on: scores by network, and whether a ranking carries over.

Shape legend: n networks.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.evaluation.protocol import EvaluationProtocol, Scores, evaluate
from dualfair.evaluation.scoring.distributed import embed_together
from dualfair.evaluation.statistics.ranking import RankingCorrelation, correlation
from dualfair.evolution.pareto import non_dominated
from dualfair.runs.config import numbers
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.training import MEASURES, TrainedOn
from dualfair.runs.run_files import read_result
from dualfair.runs.standalone import open_standalone
from dualfair.runs.watching import Say, silent
from dualfair.studies.transfer.records import Population
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.manifest import identity_groups, names_no_group, split_identities
from dualfair.supernet.images.store import FaceStore, open_store
from dualfair.supernet.training.process_group import ProcessGroup

TEST, EVERYONE = "test people", "all people"
"""Who of a face set is measured."""


@dataclass(frozen=True)
class Measured:
    """One network of one run on one population: the scores of all its training seeds, and who was measured.

    `groups` counts the people of every group.
    """

    run: str
    network: str
    population: Population
    groups: Mapping[str, int]
    seeds: tuple[int, ...]
    scores: tuple[Scores, ...]

    def values(self, objective: str) -> np.ndarray:
        """An objective, "error" or "disparity", by training seed."""
        return np.array([getattr(scores, objective) for scores in self.scores], dtype=float)

    def mean(self, objective: str) -> float:
        """Mean over training seeds."""
        return float(self.values(objective).mean())

    def standard_error(self, objective: str) -> float | None:
        """Standard error of the mean over training seeds; None for a single one."""
        values = self.values(objective)
        return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


def trainings(run: RunLayout) -> dict[str, list[Path]]:
    """The folders of all finished standalone trainings of a run, by the label of what was trained.

    Raises ValueError when there are none, and for a result that is damaged.
    """
    folders: dict[str, list[Path]] = {}
    for path in run.retrain.results():
        folders.setdefault(read_result(path).training.label, []).append(path.parent)
    if not folders:
        raise ValueError(f"{run.path} has no retrained networks; run 'dualfair retrain --run {run.path}' first")
    return folders


def measure(
    run: RunLayout,
    target: Path,
    columns: Sequence[str],
    protocol: EvaluationProtocol,
    processes: ProcessGroup,
    say: Say = silent,
) -> Iterator[Measured]:
    """Every retrained network of a run on the faces of a folder, by each of its columns that is asked for.

    Of the faces that a network was trained on its test people are taken, of others all. People whose group in a column
    is unknown are left out of that column's population. Networks are taken as they are: no weight and no statistic is
    fitted to the faces. Raises ValueError for a column that the faces lack, and for images that are too small.
    """
    store = open_store(target)
    for column in columns:
        store.manifest.require(column)
    for network, folders in trainings(run).items():
        embedded = []
        for folder in folders:
            standalone = open_standalone(folder, processes.device, say)
            trained_on, size = standalone.trained_on, standalone.network.skeleton.image_size
            if store.size < size:
                raise ValueError(
                    f"the faces in {target} are stored at {store.size} px, {network} takes {size} px; "
                    f"import them again with --size {size}"
                )
            at_home = trained_on.faces_fingerprint == store.fingerprint
            rows = _test_rows(store, trained_on) if at_home else np.arange(len(store.manifest))
            identities = store.manifest.column("identity")[rows]
            images = FaceSet(store.pixels, rows, identities, np.full(len(rows), ""), size)
            embedded.append((standalone.training.seed, embed_together(standalone.network, images, processes)))
        for column in columns:
            group_of = identity_groups(store.manifest, column)
            groups = np.array([group_of[identity] for identity in identities.tolist()])
            kept = np.array([not names_no_group(group) for group in groups.tolist()])
            population = Population(
                target.name,
                column,
                TEST if at_home else EVERYONE,
                at_home and column == trained_on.group_column,
            )
            people = dict(zip(identities[kept].tolist(), groups[kept].tolist(), strict=True))
            yield Measured(
                run.path.name,
                network,
                population,
                dict(sorted(Counter(people.values()).items())),
                tuple(seed for seed, _ in embedded),
                tuple(evaluate(vectors[kept], identities[kept], groups[kept], protocol) for _, vectors in embedded),
            )


def _test_rows(store: FaceStore, trained_on: TrainedOn) -> np.ndarray:
    """The images of the people that a network was not trained on, of the faces that it was trained on."""
    fractions = numbers(trained_on.split, ",", float, "split")
    return split_identities(store.manifest, trained_on.group_column, fractions, trained_on.split_seed)["test"]


def on_front(measured: Sequence[Measured]) -> list[bool]:
    """Which of the networks on one population nobody beats, by means over seeds; never one with an undefined mean."""
    points = np.array([[row.mean(objective) for objective in MEASURES] for row in measured])
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    front = set(finite[non_dominated(points[finite])].tolist()) if len(finite) else set()
    return [place in front for place in range(len(measured))]


def carried_over(
    home: Sequence[Measured], away: Sequence[Measured], resamples: int, seed: int
) -> dict[str, RankingCorrelation]:
    """By objective, the rank correlation of networks (n,) at home and away."""
    at_home = {row.network: row for row in home}
    pairs = [(at_home[row.network], row) for row in away if row.network in at_home]
    return {
        objective: correlation(
            [row.mean(objective) for row, _ in pairs],
            [other.mean(objective) for _, other in pairs],
            resamples=resamples,
            seed=seed,
        )
        for objective in MEASURES
    }
