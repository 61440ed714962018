"""Every measure of trained networks, or of the embeddings of any other system: measured, written and told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.report import DisparityRow, EvaluationReport, Number, Verification, against_baseline
from dualfair.evaluation.statistics.bootstrap import Interval
from dualfair.evaluation.subject import Subject, measure_subject
from dualfair.presentation.figures import bars_figure, cmc_figure, det_figure, save
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.plug_in import look_up
from dualfair.runs.records.codec import decode, encode, read_whole
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import write_csv, write_json
from dualfair.supernet.training.process_group import ALONE, ProcessGroup

REPORT = "report.json"
"""The report, in the folder of an evaluation."""


def evaluate(
    subjects: Sequence[Subject],
    options: EvaluateOptions,
    out: Path,
    *,
    disparities: Sequence[str] = (),
    baseline: EvaluationReport | None = None,
    processes: ProcessGroup = ALONE,
    say: Say = silent,
) -> list[EvaluationReport]:
    """Measure every subject and write its report with tables and pictures, several ones each into a folder of its own.

    `disparities` are further ones, as `module:function`; `baseline` is an earlier result, for bpc. Of several
    ranks the leading one writes.
    """
    measures = {**DISPARITIES, **{name: look_up(name, DISPARITIES, "disparity") for name in disparities}}
    single = len(subjects) == 1
    reports = []
    for subject in subjects:
        report, curves = measure_subject(subject, measures, options, processes)
        if baseline:
            report = replace(report, bpc=against_baseline(report, baseline))
        reports.append(report)
        if processes.leads:
            folder = out if single else out / f"{subject.name.replace(':', '_')}-seed-{subject.seed}"
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder, report, curves)
            for line in sentences(report):
                say(line)
    if processes.leads:
        if not single:
            write_csv(out / "networks.csv", networks_table(reports))
        say(f"Everything is in {out}")
    return reports


def read_baseline(path: Path) -> EvaluationReport:
    """The report of an earlier evaluation, by its folder or file. Raises ValueError where there is none."""
    path, remedy = path / REPORT if path.is_dir() else path, "name a folder made by 'dualfair evaluate'"
    if not path.is_file():
        raise ValueError(f"there is no baseline {path}; {remedy}")
    return read_whole(path, partial(decode, EvaluationReport), remedy)


def _write(folder: Path, report: EvaluationReport, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """The report as it is, its numbers by group and its disparities as tables, and its curves as pictures."""
    write_json(folder / REPORT, encode(report))
    write_csv(folder / "groups.csv", [["group", "measure", "value", "n", "low", "high"], *_group_rows(report)])
    pairwise = [
        row for point in (report.verification.at_far if report.verification else ()) for row in point.disparities
    ]
    rows = [["disparity", "variant", "value", "fair_at", "low", "high", "undefined"]]
    for row in (*(report.disparities or ()), *pairwise):
        rows.append([row.name, row.variant, row.value, row.fair, *_bounds(row.interval), row.undefined])
    write_csv(folder / "disparities.csv", rows)
    if report.identification:
        ranks = {"all": report.identification.all, **report.identification.groups}
        shown = {f"{name} (n = {row.probes})": row for name, row in ranks.items() if row.probes}
        save(cmc_figure({label: row.cmc_by_identities for label, row in shown.items()}), folder / "cmc.png")
        errors = {label: row.error for label, row in shown.items()}
        save(bars_figure(errors, "error (rank above 0)"), folder / "groups.png")
    if curves:
        save(det_figure(curves), folder / "det.png")


def _group_rows(report: EvaluationReport) -> Iterator[list]:
    """One row a group, measure and number."""
    numbers = []
    if report.identification:
        for group, row in (("all", report.identification.all), *report.identification.groups.items()):
            numbers += [(group, name, number) for name, number in vars(row).items() if isinstance(number, Number)]
    for point in report.open_set.rates if report.open_set else ():
        for group, rates in (("all", point.all), *point.groups.items()):
            numbers.append((group, f"dir_at_fpir_{point.fpir_asked:g}", rates.dir))
    for point in report.verification.at_far if report.verification else ():
        for group, rates in point.groups.items():
            numbers += [(group, f"{name}_at_far_{point.far_asked:g}", number) for name, number in rates.items()]
    for group, name, number in numbers:
        value = "insufficient" if number.value is None else number.value
        yield [group, name, value, number.n, *_bounds(number.interval)]


def _bounds(interval: Interval | None) -> tuple[float | None, float | None]:
    return (interval.low, interval.high) if interval else (None, None)


def networks_table(reports: Sequence[EvaluationReport]) -> list[list[object]]:
    """One row a network: its error and every disparity."""
    values = [{f"{row.name}, {row.variant}": row.value for row in report.disparities or ()} for report in reports]
    columns = list(dict.fromkeys(column for of_report in values for column in of_report))
    rows: list[list[object]] = [["network", "training_seed", "error", "probes", *columns]]
    for report, of_report in zip(reports, values, strict=True):
        everyone = report.identification and report.identification.all
        error = [everyone.error.value, everyone.probes] if everyone else [None, None]
        rows.append([report.name, report.training_seed, *error, *(of_report.get(column) for column in columns)])
    return rows


def shown(value: float | None, interval: Interval | None, n: int = 0, digits: int = 3) -> str:
    """A number with its interval as text; "insufficient" with n where there is none."""
    if value is None:
        return f"insufficient (n={n})"
    low, high = _bounds(interval)
    bounds = "" if low is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{bounds}"


def sentences(report: EvaluationReport) -> list[str]:
    """The report as lines of text for the terminal."""
    size = f"{report.images:,} images of {report.identities:,} people"
    lines = [f"Evaluate: {report.name} on {report.faces}: {size}", *(f"  note: {note}" for note in report.notes)]
    if report.identification:
        ranks = {"all": report.identification.all, **report.identification.groups}
        means = ("mean rank by images", "mean rank by identities")
        columns = [Column("group", "text"), Column("people", "whole"), Column("probes", "whole")]
        columns += [Column(name, "text") for name in ("error", *means)]
        rows = [
            (
                name,
                row.identities,
                row.probes,
                _text(row.error),
                *(_text(getattr(row, m.replace(" ", "_")), 2) for m in means),
            )
            for name, row in ranks.items()
        ]
        lines += table(columns, rows).lines()
    if report.disparities is not None:
        lines += disparity_table(report.disparities).lines()
    for point in report.open_set.rates if report.open_set else ():
        lines.append(
            f"open set: detection and identification rate {_text(point.all.dir)} at a false positive rate of "
            f"{point.fpir_asked:g}" + (f" ({point.warning})" if point.warning else "")
        )
    if report.verification:
        lines += _verification_sentences(report.verification)
    for row in report.bpc or ():
        value = "undefined, a disparity is infinite" if row.value is None else f"{row.value:.3f}"
        lines.append(f"bpc of {row.disparity} ({row.variant}) at FAR {row.far:g}: {value} against {row.baseline}")
    return [*lines, f"[ ] are {report.intervals}; n is probes or pairs"]


def _text(number: Number, digits: int = 3) -> str:
    return shown(number.value, number.interval, number.n, digits)


def disparity_table(rows: Sequence[DisparityRow]) -> Table:
    """Every disparity with its interval, and where two groups differ by it with the sign."""
    signed = next((row.signed.of for row in rows if row.signed), "signed")
    columns = [Column("disparity", "text"), Column("value", "text"), Column("fair at", "general")]
    columns += [Column(signed, "text"), Column("variant", "text")]
    return table(
        columns,
        [
            (
                row.name,
                row.undefined or shown(row.value, row.interval),
                row.fair,
                _text(row.signed) if row.signed else None,
                row.variant,
            )
            for row in rows
        ],
    )


def _verification_sentences(verification: Verification) -> list[str]:
    exact, grid = verification.accuracy.exact, verification.accuracy.grid
    lines = [
        f"verification: accuracy {shown(exact.accuracy, exact.interval, digits=4)} over {verification.folds} folds of "
        f"{verification.pairs:,} pairs (exact thresholds; {grid.accuracy:.4f} on the literature's grid), "
        f"EER {_text(verification.eer)}"
    ]
    for rule, by_group in (verification.accuracy_by_group or {}).items():
        text = by_group.undefined or ", ".join(
            f"{group} {shown(row.accuracy, row.interval, digits=4)}" for group, row in by_group.groups.items()
        )
        spread = "" if by_group.std is None else f"; std {by_group.std:.2f} %, ser {by_group.ser:.2f}"
        lines.append(f"  {rule.replace('_', ' ')}: {text}{spread}")
    for point in verification.at_far:
        warning = f" ({point.warning})" if point.warning else ""
        lines.append(f"  TAR {shown(point.tar, point.tar_interval)} at FAR {point.far_asked:g}{warning}")
    return lines
