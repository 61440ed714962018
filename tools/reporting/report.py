"""The report of some runs: one page for everybody, and its numbers beside it as JSON and CSV."""

from collections.abc import Sequence
from pathlib import Path

from dualfair.evaluation.over_seeds import SeedMean
from dualfair.presentation.format import plain, spoken
from dualfair.presentation.table import Column, Table, below_each_other, interval_columns, spread_columns, table
from dualfair.reporting.answer import Answer, answer
from dualfair.reporting.cost import Factors
from dualfair.reporting.page import page
from dualfair.reporting.run import RunReport, read_run
from dualfair.runs.records.codec import encode
from dualfair.runs.run_files import open_runs
from dualfair.supernet.files import write_bytes, write_csv, write_json

UNMEASURED = SeedMean((), None, None)


def report(runs: Sequence[Path], out: Path, factors: Factors | None = None) -> dict:
    """Write the report of some run directories; returns its data, {"runs": [...], "comparison": table or None}.

    `out` is the page; its numbers go into a JSON file and CSV files of the same name beside it. Runs are only read, and
    may be unfinished. Energy and emissions are told by `factors`, by default those of the DPN study. Raises ValueError
    for no run, one that is given twice or has no supernet, and an `out` that does not end in .html.
    """
    if out.suffix != ".html":
        raise ValueError(f"out must be a file that ends in .html, got {str(out)!r}")
    answered = [(run, answer(run)) for run in (read_run(files, factors or Factors()) for files in open_runs(runs))]
    comparison = compared(answered) if len(answered) > 1 else None
    data = {"runs": [{**run.to_json(), "answer": encode(of_run)} for run, of_run in answered]}
    data = plain({**data, "comparison": encode(comparison)})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out.with_suffix(".json"), data)
    for name, rows in csv_files([run for run, _ in answered], comparison).items():
        write_csv(out.with_name(f"{out.stem}-{name}.csv"), rows)
    write_bytes(out, page(answered, comparison).encode())
    return data


def csv_files(runs: Sequence[RunReport], comparison: Table | None = None) -> dict[str, list[list[object]]]:
    """The rows of every CSV file of a report by its name: the tables of all runs below each other."""
    names = dict.fromkeys(name for run in runs for name in run.tables)
    files = {
        name: below_each_other([(run.name, run.tables[name]) for run in runs if name in run.tables]) for name in names
    }
    return {**files, "runs": comparison.csv()} if comparison else files


def compared(runs: Sequence[tuple[RunReport, Answer]]) -> Table:
    """Several runs: of each its first choice with its numbers in every objective, and what to make of it."""
    objectives = list(dict.fromkeys(name for run, _ in runs for name in run.objectives))
    columns = [Column("name", "text"), Column("take", "text"), Column("shown to be better", "text")]
    columns += [column for name in objectives for column in spread_columns(f"test {spoken(name)}")]
    units = " or ".join(dict.fromkeys(run.units for run, _ in runs))
    columns += [Column("trainings", "whole"), Column(f"test {units}", "whole")]
    columns += [*interval_columns("tau of error", "tau"), Column("held", "text"), Column("device hours", "compact")]
    rows = []
    for run, of_run in runs:
        network = run.network(run.choice.chosen[0].label) if run.choice.chosen else None
        means = [(network.test if network else {}).get(name, UNMEASURED) for name in objectives]
        ranked = run.ranking.measures.get("error") if run.ranking else None
        fresh = run.front.confirmation if run.front else None
        rows.append(
            [
                *(run.name, network and network.label, of_run.take.certainty),
                *(value for mean in means for value in (mean.mean, mean.standard_error)),
                *(network and network.seeds, sum(run.test_people.values()) or None),
                *(ranked and ranked.correlation.tau, *((ranked and ranked.correlation.interval) or (None, None))),
                fresh and f"{fresh.survived} of {len(fresh.search_front)}",
                run.tables["cost"].rows[-1][2] if "cost" in run.tables else None,
            ]
        )
    caption = f"Each run's first choice, by its test {units}; runs on different faces do not compare"
    return table(columns, rows, caption)
