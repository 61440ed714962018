"""Trained networks on faces that they were not trained on: scores on people of a folder, and how they rank there.

Shape legend: n networks.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dualfair.evaluation.protocol import EvaluationProtocol, evaluate
from dualfair.evaluation.scoring.distributed import embed_together
from dualfair.evaluation.statistics.ranking import RankingCorrelation, correlation
from dualfair.evolution.pareto import non_dominated
from dualfair.presentation.format import quoted
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.codec import Record, keyed
from dualfair.runs.records.training import MEASURES
from dualfair.runs.run_files import read_result
from dualfair.runs.standalone import open_standalone
from dualfair.runs.watching import Say, silent
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.labels import Labels, known_labels
from dualfair.supernet.images.store import open_store
from dualfair.supernet.training.process_group import ProcessGroup

TEST, EVERYONE = "test people", "all people"
"""Who of a face set is measured."""
LEAST_PEOPLE = 5
"""Groups of fewer people are warned of."""


@dataclass(frozen=True, kw_only=True)
class TransferRow(Record):
    """A network of a run on the people of a faces folder, with groups by a column: its objectives as mean and standard
    error over `seeds` trainings, None for a single one.

    `home` tells whether the network was trained on other people of these very faces and by this very column. `people`
    and `groups` (the people of every group, in words) are those who were measured. `small_groups` are too small for a
    disparity that means something; `undefined` says why there is none. Nobody in the population beats a network
    `on_front` in both objectives.
    """

    run: str
    network: str
    faces: str
    column: str = keyed("group column")
    measured_on: str = keyed("measured on")
    home: bool
    groups: str
    small_groups: int = keyed("small groups")
    people: int
    images: int
    seeds: int
    error: float
    error_standard_error: float | None = keyed("standard error of error")
    disparity: float
    disparity_standard_error: float | None = keyed("standard error of disparity")
    on_front: bool = keyed("on the front", default=False)
    undefined: str


def measure(
    run: RunLayout,
    target: Path,
    columns: Sequence[str],
    protocol: EvaluationProtocol,
    processes: ProcessGroup,
    say: Say = silent,
    *,
    drop_unknown: bool = False,
) -> Iterator[TransferRow]:
    """Every retrained network of a run on the faces of a folder, by each of its columns that is asked for.

    Of the faces that a network was trained on its test people are taken, of others all. People whose group in a column
    is unknown are left out of that column's population where that is asked for. Networks are taken as they are: no
    weight and no statistic is fitted to the faces. Raises ValueError for a column that the faces lack, for images that
    are too small, and for unknown or doubtful labels (`known_labels`).
    """
    store = open_store(target)
    store.require_people()
    for column in columns:
        store.manifest.require(column)
    labels: dict[str, Labels] = {}
    for network, folders in trainings(run).items():
        embedded = []
        for folder in folders:
            standalone = open_standalone(folder, processes.device, say)
            seen, skeleton = standalone.seen_of(store.fingerprint), standalone.network.skeleton
            store.require_size(skeleton.stored_size, network)
            rows = seen.splits(store.manifest)["test"] if seen else np.arange(len(store.manifest))
            for column in columns:
                if column not in labels:
                    labels[column] = known_labels(store.manifest, column, rows.tolist(), drop_unknown=drop_unknown)
                    for sentence in labels[column].decided:
                        say(f"  {target.name}: {sentence}")
            identities = store.manifest.column("identity")[rows]
            nothing = np.full(len(rows), "")
            size, crop_from = skeleton.image_size, skeleton.crop_from
            images = FaceSet(store.pixels, rows, identities, nothing, size, crop_from=crop_from)
            embedded.append(embed_together(standalone.network, images, processes))
        for column in columns:
            group_of = labels[column].group_of
            groups = np.array([group_of.get(identity, "") for identity in identities.tolist()])
            kept = np.isin(identities, [*group_of])
            people = dict(zip(identities[kept].tolist(), groups[kept].tolist(), strict=True))
            counts = sorted(Counter(people.values()).items())
            scores = [evaluate(vectors[kept], identities[kept], groups[kept], protocol) for vectors in embedded]
            error, error_standard_error = _mean_and_error([each.error for each in scores])
            disparity, disparity_standard_error = _mean_and_error([each.disparity for each in scores])
            yield TransferRow(
                run=run.path.name,
                network=network,
                faces=target.name,
                column=column,
                measured_on=TEST if seen else EVERYONE,
                home=seen == standalone.trained_on and column == seen.group_column,
                groups=", ".join(f"{group} {n}" for group, n in counts),
                small_groups=sum(n < LEAST_PEOPLE for _, n in counts),
                people=len(people),
                images=scores[0].probes + scores[0].excluded,
                seeds=len(scores),
                error=error,
                error_standard_error=error_standard_error,
                disparity=disparity,
                disparity_standard_error=disparity_standard_error,
                undefined="; ".join(sorted({each.undefined for each in scores} - {""})),
            )


def trainings(run: RunLayout) -> dict[str, list[Path]]:
    """The folders of all finished standalone trainings of a run, by the label of what was trained.

    Raises ValueError when there are none, and for a result that is damaged.
    """
    folders: dict[str, list[Path]] = {}
    for path in run.retrain.results():
        folders.setdefault(read_result(path).training.label, []).append(path.parent)
    if not folders:
        raise ValueError(f"{run.path} has no retrained networks; type: dualfair retrain --run {quoted(run.path)}")
    return folders


def _mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over training seeds, and its standard error, None for a single one."""
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    return float(np.mean(values)), error


def with_front(networks: Sequence[TransferRow]) -> list[TransferRow]:
    """The networks on one population, with those marked that nobody beats; never one with an undefined mean."""
    points = np.array([[row.error, row.disparity] for row in networks])
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    front = set(finite[non_dominated(points[finite])].tolist()) if len(finite) else set()
    return [replace(row, on_front=place in front) for place, row in enumerate(networks)]


def carried_over(
    home: Sequence[TransferRow], away: Sequence[TransferRow], resamples: int, seed: int
) -> dict[str, RankingCorrelation]:
    """By objective, the rank correlation of networks (n,) at home and away."""
    at_home = {row.network: row for row in home}
    pairs = [(at_home[row.network], row) for row in away if row.network in at_home]

    def of(name: str) -> RankingCorrelation:
        values = ([getattr(pair[side], name) for pair in pairs] for side in (0, 1))
        return correlation(*values, resamples=resamples, seed=seed)

    return {name: of(name) for name in MEASURES}
