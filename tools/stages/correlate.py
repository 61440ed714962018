"""`dualfair correlate`: stage 4, does the inherited score rank networks as training from scratch does?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from dualfair.runs.devices import describe, deterministic_option, device_option
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import join, say
from dualfair.runs.protocol import searched_with
from dualfair.runs.trainings import SHORT, SPLITS, Trained, collect, read_short
from dualfair.supernet.files import write_json

PARTIAL = 3
"""Exit status of a study in which a correlation is undefined, or a training that was asked for is missing."""

_AXES = ("inherited weights", "trained from scratch")


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), help="Run directory of retraining.")
@click.option(
    "--table",
    "table",
    nargs=2,
    type=click.Path(path_type=Path),
    help="Instead of a run: CSV of cheap scores (network,...) and CSV of the truth (network[,seed],...).",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the study of tables.")
@click.option("--maximise", multiple=True, help="A column of the tables of which more is better; may be repeated.")
@click.option("--resamples", type=int, default=2000, show_default=True, help="Bootstrap resamples of an interval.")
@device_option
@deterministic_option
def command(
    run_path: Path | None,
    table: tuple[Path, Path] | None,
    out: Path | None,
    maximise: tuple[str, ...],
    resamples: int,
    device: str,
    deterministic: bool,
) -> None:
    """Stage 4: rank correlation of inherited and standalone scores, for error and for disparity."""
    from dualfair.runs.trained_run import open_trained

    if (run_path is None) == (table is None):
        raise ValueError("give either --run RUN, or --table CHEAP.csv TRUTH.csv with --out FOLDER")
    if table is not None:
        if out is None:
            raise ValueError("--table needs --out, the folder that the study is written to")
        report = correlate_tables(*table, out, maximise, resamples=resamples)
    else:
        if out is not None or maximise:
            raise ValueError("--out and --maximise belong to --table; a run's study is in its folder correlate")
        processes = join(device, deterministic)
        with RunDirectory(run_path, processes.leads).locked():
            report = correlate(open_trained(run_path, processes), resamples=resamples)
        say(processes, f"Next: dualfair report {run_path}")
    if is_partial(report):
        sys.exit(PARTIAL)


def is_partial(report: dict) -> bool:
    """Whether a study lacks a training that was asked for, or has a correlation over all networks that is undefined."""
    undefined = any(measure["correlation"]["tau"] is None for measure in report["measures"].values())
    return bool(undefined or report["missing"] or report["left_out"] or report["damaged"])


def correlate(run, *, resamples: int = 2000) -> dict:
    """Write and print the ranking study of a run; returns it as a dictionary."""
    from dualfair.stages.search import inherited_scores

    trained = collect(run)
    run.directory.record_command("correlate", describe(run.device))
    protocol_options, extra = searched_with(run.directory)
    inherited = inherited_scores(run, trained.genotypes, protocol_options, extra)
    name = protocol_options.protocol().disparity_name
    short = read_short(run, trained)
    report = study(trained, inherited, name, resamples, short)
    folder = run.directory.stage("correlate")
    write_json(folder / "ranking.json", report)
    for line in sentences(report):
        run.directory.say(line)
    if not short and (run.directory.path / SHORT).is_dir():
        run.directory.say("  short trainings are left out: not every network has one; run 'dualfair retrain --short'")
    if not trained.genotypes:
        run.directory.say(f"Numbers: {folder}/ranking.json")
        return report
    tables = tables_of(trained, inherited, name, SPLITS[0], short)
    _draw(folder / "ranking.png", tables, report["studies"][f"{SPLITS[0]} identities"], _AXES)
    run.directory.say(f"Numbers: {folder}/ranking.json, scatter: {folder}/ranking.png")
    return report


def correlate_tables(cheap: Path, truth: Path, out: Path, maximise: tuple[str, ...], *, resamples: int = 2000) -> dict:
    """Write and print the ranking study of two CSV tables (`stages.score_tables`); returns it as a dictionary."""
    from dualfair.stages.ranking_study import ranking_study
    from dualfair.stages.score_tables import read_score_tables

    read = read_score_tables(cheap, truth, maximise)
    found = ranking_study(read.tables, resamples=resamples)
    report = {
        "networks": found["networks"],
        "seeds": found["seeds"],
        "maximised": list(read.maximised),
        "only in cheap": read.only_cheap,
        "only in truth": read.only_truth,
        "left_out": list(read.left_out),
        "missing": [],
        "damaged": [],
        "measures": found["samples"]["all"]["measures"],
        "studies": {"": found},
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "ranking.json", report)
    for line in sentences(report, f"{cheap} against the mean of {truth}"):
        click.echo(line)
    _draw(out / "ranking.png", read.tables, found, (cheap.name, truth.name), maximise)
    click.echo(f"Numbers: {out}/ranking.json, scatter: {out}/ranking.png")
    return report


def study(
    trained: Trained, inherited: Mapping, disparity_name: str, resamples: int, short: tuple[dict, ...] = ()
) -> dict:
    """The ranking study of a run: `ranking_study` on validation and on test identities, in "studies".

    "measures" are those over all networks, by "error, validation identities" and the like. On validation identities
    inherited and standalone scores share the people they were measured on; only test identities show what carries over.
    """
    from dualfair.stages.ranking_study import ranking_study

    studies = {
        f"{split} identities": ranking_study(
            tables_of(trained, inherited, disparity_name, split, short), resamples=resamples
        )
        for split in SPLITS
    }
    measures = {
        f"{measure}, {split}": studies[split]["samples"]["all"]["measures"][measure]
        for measure in ("error", disparity_name)
        for split in studies
    }
    return {
        "networks": [str(genotype) for genotype in trained.genotypes],
        "seeds": trained.seeds,
        "left_out": list(trained.left_out),
        "missing": list(trained.missing),
        "damaged": list(trained.damaged),
        "measures": measures,
        "studies": studies,
    }


def tables_of(trained: Trained, inherited: Mapping, disparity_name: str, split: str, short: tuple[dict, ...] = ()):
    """`ScoreTables` of trained networks: inherited scores (n,) by column, judged on validation identities, and results
    on a split. `short` are the results of all networks' short trainings, or empty."""
    import numpy as np

    from dualfair.stages.ranking_study import ScoreTables

    measures = {"error": "error", disparity_name: "disparity"}
    halves = {name: _halves_of(trained, name, split) for name in measures}
    own = {
        name: {"short training": np.array([float(result[SPLITS[0]][key]) for result in short])}
        for name, key in measures.items()
        if short
    }
    return ScoreTables(
        tuple(map(str, trained.genotypes)),
        trained.samples,
        {name: inherited[name] for name in measures},
        {name: truth_of(trained, key, split) for name, key in measures.items()},
        {name: table for name, table in halves.items() if table is not None},
        {name: inherited[name] for name in ("params", "macs")},
        own,
    )


def truth_of(trained: Trained, measure: str, split: str):
    """Standalone values of a measure ("error" or "disparity") on a split, shape (networks, seeds)."""
    import numpy as np

    values = [[float(result[split][measure]) for result in results] for results in trained.results]
    return np.array(values).reshape(len(values), trained.seeds)


def _halves_of(trained: Trained, name: str, split: str):
    """Standalone values of a named measure on both halves of a split, (networks, seeds, 2); None where one has none."""
    import numpy as np

    try:
        values = [
            [[float(half[name]) for half in result[split]["halves"]] for result in results]
            for results in trained.results
        ]
        return np.array(values, dtype=np.float64).reshape(len(values), trained.seeds, 2)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def sentences(report: Mapping, what: str = "") -> list[str]:
    """A study as lines of text; `what` was compared, by default the scores of a run."""
    from dualfair.stages.ranking_words import sentences as lines_of

    what = what or "inherited scores on validation identities against the mean of standalone trainings"
    lines = [f"Ranking: {len(report['networks'])} networks, {report['seeds']} seeds each; {what}"]
    if maximised := report.get("maximised"):
        lines.append(f"  more is better of {', '.join(maximised)}: studied with the sign changed")
    lines += lines_of(report["studies"])
    for name, measure in report["measures"].items():
        ours = measure["correlation"]
        if ours["tau"] is not None and (ours["ties_cheap"] or ours["ties_truth"]):
            pairs = ours["n"] * (ours["n"] - 1) // 2
            lines.append(
                f"  ties in {name}: {ours['ties_cheap']} of {pairs} pairs of networks in the cheap scores, "
                f"{ours['ties_truth']} in the truth"
            )
    if report.get("only in cheap") or report.get("only in truth"):
        lines.append(
            f"  in one table only: {report['only in cheap']} networks without truth, {report['only in truth']} "
            "without a cheap score"
        )
    if report["left_out"]:
        lines.append(f"  left out, seeds missing: {', '.join(report['left_out'])}")
    if report["missing"]:
        lines.append(f"  missing: {'; '.join(report['missing'])}")
    lines += [f"  {text}" for text in report["damaged"]]
    return lines


def _draw(path: Path, tables, found: Mapping, axes: tuple[str, str], maximised: tuple[str, ...] = ()) -> None:
    """Draw the random sample of a study, or all networks where there is none."""
    import numpy as np

    from dualfair.presentation.figures import ranking_figure
    from dualfair.stages.ranking_study import mean_over_seeds, samples_of
    from dualfair.stages.ranking_words import bars_of, title_of

    samples = samples_of(tables)
    name = "random" if "random" in samples else "all"
    part = tables.only(samples[name])
    panels = []
    for measure, cheap in part.cheap.items():
        truth = part.truth[measure]
        with np.errstate(invalid="ignore"):
            spread = truth.std(axis=1, ddof=1) / truth.shape[1] ** 0.5 if truth.shape[1] > 1 else np.zeros(len(truth))
        shown = f"-{measure}" if measure in maximised else measure
        study_of = found["samples"][name]["measures"][measure]
        names = tuple(f"{shown}, {axis}" for axis in axes)
        panels.append((cheap, mean_over_seeds(truth), spread, names, title_of(name, study_of), bars_of(study_of)))
    ranking_figure(path, panels)
