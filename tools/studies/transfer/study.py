"""Networks trained on one face set, measured on others and by other attributes, and whether their ranking carries over.

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
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, spread_columns, table
from dualfair.runs.config import numbers
from dualfair.runs.directory import RunDirectory
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.codec import Record, keyed
from dualfair.runs.records.training import MEASURES, TrainConfig, TrainedOn
from dualfair.runs.standalone import open_standalone
from dualfair.runs.trained_run import faces_of
from dualfair.runs.training_results import read_result
from dualfair.runs.watching import Say, silent
from dualfair.studies.transfer import TransferOptions
from dualfair.supernet.files import write_csv
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.manifest import identity_groups, names_no_group, split_identities
from dualfair.supernet.images.store import FaceStore, open_store
from dualfair.supernet.training.process_group import ALONE, ProcessGroup

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


@dataclass(frozen=True)
class CarriedOver(Record):
    """Whether the ranking of a run's networks at home is theirs on other faces, by error and by disparity."""

    run: str
    faces: str
    column: str = keyed("group column")
    error: RankingCorrelation
    disparity: RankingCorrelation


@dataclass(frozen=True)
class TransferStudy(Record):
    """The networks of runs on other faces and by other attributes; `disparity` is the name of theirs."""

    options: TransferOptions
    disparity: str
    networks: tuple[TransferRow, ...]
    rankings: tuple[CarriedOver, ...]

    def lines(self) -> list[str]:
        """A table a population, and what carries over, as lines of text."""
        lines: list[str] = []
        populations: dict[tuple[str, str, str], list[TransferRow]] = {}
        for row in self.networks:
            populations.setdefault((row.run, row.faces, row.column), []).append(row)
        for networks in populations.values():
            lines += ["", *_population(networks, spoken(self.disparity))]
        lines.append("")
        for ranking in self.rankings:
            where = f"{ranking.run} -> {ranking.faces} by {ranking.column}"
            lines += [f"{where}: {_carried(getattr(ranking, objective), objective)}" for objective in MEASURES]
        return [*lines, "mean ± standard error over training seeds; [ ] are 95 % bootstrap intervals over networks"]


def transfer(
    runs: Sequence[RunDirectory],
    targets: Sequence[Path],
    columns: Sequence[str],
    options: TransferOptions,
    out: Path,
    *,
    processes: ProcessGroup = ALONE,
    say: Say = silent,
) -> TransferStudy:
    """Measure the retrained networks of runs on faces folders by columns of groups; the study, also written to `out`
    as transfer.json and transfer.csv.

    Runs are only read. Of several ranks the leading one writes and says. Raises ValueError for a run without retrained
    networks, or whose faces are no longer those that it was trained on, a target without any of the columns, and where
    there is nothing but home.
    """
    protocol = options.protocol()
    leading = say if processes.leads else silent
    asked = {run: _asked(run, targets, columns) for run in runs}
    run_names = _names(run.path for run in runs)
    faces_names = _names(faces for of_run in asked.values() for faces in of_run)
    rows: list[TransferRow] = []
    rankings: list[CarriedOver] = []
    for run, columns_of in asked.items():
        run_name, at_home = run_names[run.path], ()
        for target, wanted in columns_of.items():
            leading(f"Transfer: the networks of {run_name} on {faces_names[target]}, {protocol.disparity_name}")
            measured = list(measure(run.layout, target, wanted, protocol, processes, leading))
            measured = [replace(row, run=run_name, faces=faces_names[target]) for row in measured]
            for column in wanted:
                networks = [row for row in measured if row.column == column]
                rows += with_front(networks)
                # Those at home are measured first, by the column that they were trained by.
                at_home = at_home or networks
                if not networks[0].home:
                    correlations = carried_over(at_home, networks, options.resamples, options.seed)
                    rankings.append(CarriedOver(run_name, faces_names[target], column, **correlations))
    study = TransferStudy(options, protocol.disparity_name, tuple(rows), tuple(rankings))
    if processes.leads:
        out.mkdir(parents=True, exist_ok=True)
        study.write(out / "transfer.json")
        cells = [row.to_json() for row in rows]
        write_csv(out / "transfer.csv", [[*cells[0]], *([*row.values()] for row in cells)])
        for line in (*study.lines(), f"Everything is in {out}"):
            say(line)
    return study


def measure(
    run: RunLayout,
    target: Path,
    columns: Sequence[str],
    protocol: EvaluationProtocol,
    processes: ProcessGroup,
    say: Say = silent,
) -> Iterator[TransferRow]:
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
            embedded.append(embed_together(standalone.network, images, processes))
        for column in columns:
            group_of = identity_groups(store.manifest, column)
            groups = np.array([group_of[identity] for identity in identities.tolist()])
            kept = np.array([not names_no_group(group) for group in groups.tolist()])
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
                measured_on=TEST if at_home else EVERYONE,
                home=at_home and column == trained_on.group_column,
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
        raise ValueError(f"{run.path} has no retrained networks; run 'dualfair retrain --run {run.path}' first")
    return folders


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


def _asked(run: RunDirectory, targets: Sequence[Path], columns: Sequence[str]) -> dict[Path, list[str]]:
    """The columns of every faces folder that a run's networks are measured by, those at home first."""
    config = run.config(run.layout.train, TrainConfig)
    home = faces_of(run.path, config)
    store = open_store(home)
    if store.fingerprint != config.faces_fingerprint:
        raise ValueError(
            f"the faces in {home} are not those that {run.path} was trained on, so its networks cannot be measured at "
            "home; put the old faces there again"
        )
    columns_of = {home: dict.fromkeys((config.options.group_column, *_of(store, columns)))}
    for target in targets:
        store = open_store(target)
        there = _of(store, columns)
        if not there:
            raise ValueError(
                f"{target} has none of the columns {', '.join(columns)}; it has: "
                f"{', '.join(store.manifest.columns)}; name one with --group"
            )
        columns_of.setdefault(home if target.samefile(home) else target, {}).update(dict.fromkeys(there))
    if sum(map(len, columns_of.values())) < 2:
        raise ValueError(f"{run.path} has nowhere to go: name other faces with --to, or another column with --group")
    return {target: [*wanted] for target, wanted in columns_of.items()}


def _of(store: FaceStore, columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in store.manifest.columns]


def _test_rows(store: FaceStore, trained_on: TrainedOn) -> np.ndarray:
    """The images of the people that a network was not trained on, of the faces that it was trained on."""
    fractions = numbers(trained_on.split, ",", float, "split")
    return split_identities(store.manifest, trained_on.group_column, fractions, trained_on.split_seed)["test"]


def _names(folders: Iterator[Path]) -> dict[Path, str]:
    """What folders are called: by their names, or by their whole paths where another one has the same name."""
    folders = dict.fromkeys(folders)
    times = Counter(folder.name for folder in folders)
    return {folder: folder.name if times[folder.name] == 1 else str(folder) for folder in folders}


def _mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over training seeds, and its standard error, None for a single one."""
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    return float(np.mean(values)), error


def _population(networks: Sequence[TransferRow], disparity: str) -> list[str]:
    about = networks[0]
    home = " (at home)" if about.home else ""
    who = f"{about.people} test people" if about.measured_on == TEST else f"all {about.people} people"
    title = (
        f"{about.run} on {about.faces}{home}, groups by {about.column}: {who} ({about.groups}), {about.images} images"
    )
    lines = [title]
    if about.small_groups:
        lines.append(
            f"  attention: {about.small_groups} groups have fewer than {LEAST_PEOPLE} people; a disparity "
            "between groups so small is mostly chance"
        )
    columns = [Column("network", "text"), Column("seeds", "whole"), *spread_columns("error")]
    columns += [*spread_columns(disparity), Column("front", "mark")]
    rows = [
        [
            *(row.network, row.seeds, row.error, row.error_standard_error),
            *(row.disparity, row.disparity_standard_error, row.on_front or None),
        ]
        for row in sorted(networks, key=lambda row: row.error)
    ]
    lines += table(columns, rows).lines()
    return lines + sorted({f"  disparity undefined: {row.undefined}" for row in networks if row.undefined})


def _carried(ranking: RankingCorrelation, objective: str) -> str:
    """Whether the ranking by an objective carries over, in words."""
    if ranking.tau is None:
        return f"the ranking by {objective} cannot be compared ({ranking.reason})"
    if ranking.interval is None:
        return f"tau({objective}) {ranking.tau:.2f} over {ranking.n} networks, no interval ({ranking.reason})"
    low, high = ranking.interval
    verdict = "carries over" if low > 0 else "is reversed" if high < 0 else "is not shown to carry over"
    return (
        f"the ranking by {objective} {verdict}: tau {ranking.tau:.2f} [{low:.2f}, {high:.2f}], n = {ranking.n} networks"
    )
