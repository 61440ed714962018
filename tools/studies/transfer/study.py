"""Networks trained on one face set, on others and by other attributes: what they come to, and whether their ranking
carries over."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dualfair.evaluation.statistics.ranking import RankingCorrelation
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, spread_columns, table
from dualfair.runs.directory import RunDirectory
from dualfair.runs.records.codec import Record, keyed
from dualfair.runs.records.training import MEASURES, TrainConfig
from dualfair.runs.trained_run import recorded_store
from dualfair.runs.watching import Say, silent
from dualfair.studies.transfer import TransferOptions
from dualfair.studies.transfer.measure import LEAST_PEOPLE, TEST, TransferRow, carried_over, measure, with_front
from dualfair.supernet.files import write_csv
from dualfair.supernet.images import IDENTIFICATION
from dualfair.supernet.images.store import FaceStore, open_store
from dualfair.supernet.training.process_group import ALONE, ProcessGroup


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

    Runs are only read. Of several ranks the leading one writes and says. Raises ValueError for a run that is given
    twice, without retrained networks, or whose faces are no longer those that it was trained on, a target without any
    of the columns, and where there is nothing but home.
    """
    places = [run.path.resolve() for run in runs]
    if twice := next((run.path for run, place in zip(runs, places, strict=True) if places.count(place) > 1), None):
        raise ValueError(f"run directory {twice} is given twice; give each once")
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
            how = {"say": leading, "drop_unknown": options.drop_unknown}
            measured = measure(run.layout, target, wanted, protocol, processes, **how)
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


def _asked(run: RunDirectory, targets: Sequence[Path], columns: Sequence[str]) -> dict[Path, list[str]]:
    """The columns of every faces folder that a run's networks are measured by, those at home first."""
    config = run.config(run.layout.train, TrainConfig)
    _refuse_labelled(run.path, config.task)
    store = recorded_store(run.path, config)
    home = store.folder
    columns_of = {home: dict.fromkeys((config.options.group_column, *_of(store, columns)))}
    for target in targets:
        store = open_store(target)
        _refuse_labelled(target, store.task)
        there = _of(store, columns)
        if not there:
            raise ValueError(
                f"{target} has none of the columns {', '.join(columns)}; it has: "
                f"{', '.join(store.manifest.columns)}; name one with --group"
            )
        known = next((folder for folder in columns_of if target.samefile(folder)), target)
        columns_of.setdefault(known, {}).update(dict.fromkeys(there))
    if sum(map(len, columns_of.values())) < 2:
        raise ValueError(f"{run.path} has nowhere to go: name other faces with --to, or another column with --group")
    return {target: [*wanted] for target, wanted in columns_of.items()}


def _refuse_labelled(folder: Path, task: str) -> None:
    if task != IDENTIFICATION:
        raise ValueError(f"{folder} is of labelled images; 'dualfair transfer' is for faces: networks on other people")


def _of(store: FaceStore, columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in store.manifest.columns]


def _names(folders: Iterable[Path]) -> dict[Path, str]:
    """What folders are called: by their names, or by their whole paths where another one has the same name."""
    places = {folder: Path(os.path.abspath(folder)) for folder in folders}
    times = Counter(place.name for place in {*places.values()})
    return {folder: place.name if times[place.name] == 1 else str(place) for folder, place in places.items()}


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
