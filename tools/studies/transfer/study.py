"""Networks trained on one face set, measured on others and by other attributes."""

from collections.abc import Sequence
from pathlib import Path

from dualfair.runs.directory import RunDirectory
from dualfair.runs.records.training import TrainConfig
from dualfair.runs.trained_run import faces_of
from dualfair.runs.watching import Say, silent
from dualfair.studies.transfer.measure import Measured, carried_over, measure, on_front
from dualfair.studies.transfer.options import TransferOptions
from dualfair.studies.transfer.records import CarriedOver, Population, TransferLayout, TransferRow, TransferStudy
from dualfair.studies.transfer.words import LEAST_PEOPLE, lines_of
from dualfair.supernet.files import write_csv
from dualfair.supernet.images.store import FaceStore, open_store
from dualfair.supernet.training.process_group import ALONE, ProcessGroup


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
    """Measure the retrained networks of runs on faces folders by columns of groups; the study, also written to `out`.

    Runs are only read. Of several ranks the leading one writes and says. Raises ValueError for a run without retrained
    networks, a target without any of the columns, and where there is nothing but home.
    """
    protocol = options.protocol()
    leading = say if processes.leads else silent
    rows: list[TransferRow] = []
    rankings: list[CarriedOver] = []
    for run in runs:
        populations: dict[Population, list[Measured]] = {}
        for target, wanted in _asked(run, targets, columns).items():
            leading(f"Transfer: the networks of {run.path.name} on {target.name}, {protocol.disparity_name}")
            for network in measure(run.layout, target, wanted, protocol, processes, leading):
                populations.setdefault(network.population, []).append(network)
        at_home = next(networks for population, networks in populations.items() if population.home)
        for population, networks in populations.items():
            rows += [_row(network, front) for network, front in zip(networks, on_front(networks), strict=True)]
            if not population.home:
                correlations = carried_over(at_home, networks, options.resamples, options.seed)
                rankings.append(CarriedOver(run.path.name, population, **correlations))
    study = TransferStudy(options, protocol.disparity_name, tuple(rows), tuple(rankings))
    if processes.leads:
        layout = TransferLayout(out)
        out.mkdir(parents=True, exist_ok=True)
        study.write(layout.numbers)
        cells = [row.to_json() for row in rows]
        write_csv(layout.table, [[*cells[0]], *([*row.values()] for row in cells)])
        for line in lines_of(study):
            say(line)
        say(f"Everything is in {out}")
    return study


def _asked(run: RunDirectory, targets: Sequence[Path], columns: Sequence[str]) -> dict[Path, list[str]]:
    """The columns of every faces folder that a run's networks are measured by, those at home first."""
    config = run.config(run.layout.train, TrainConfig)
    home = faces_of(run.path, config)
    columns_of = {home: dict.fromkeys((config.options.group_column, *_of(open_store(home), columns)))}
    for target in targets:
        store = open_store(target)
        there = _of(store, columns)
        if not there:
            raise ValueError(
                f"{target} has none of the columns {', '.join(columns)}; it has: "
                f"{', '.join(store.manifest.columns)}; name one with --group"
            )
        columns_of.setdefault(target, {}).update(dict.fromkeys(there))
    if sum(map(len, columns_of.values())) < 2:
        raise ValueError(f"{run.path} has nowhere to go: name other faces with --to, or another column with --group")
    return {target: [*wanted] for target, wanted in columns_of.items()}


def _of(store: FaceStore, columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in store.manifest.columns]


def _row(network: Measured, front: bool) -> TransferRow:
    return TransferRow(
        run=network.run,
        network=network.network,
        faces=network.population.faces,
        column=network.population.column,
        measured_on=network.population.people,
        home=network.population.home,
        groups=", ".join(f"{group} {people}" for group, people in network.groups.items()),
        small_groups=sum(people < LEAST_PEOPLE for people in network.groups.values()),
        people=sum(network.groups.values()),
        images=network.scores[0].probes + network.scores[0].excluded,
        seeds=len(network.seeds),
        error=network.mean("error"),
        error_standard_error=network.standard_error("error"),
        disparity=network.mean("disparity"),
        disparity_standard_error=network.standard_error("disparity"),
        on_front=front,
        undefined="; ".join(sorted({scores.undefined for scores in network.scores} - {""})),
    )
