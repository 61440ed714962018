"""Every measure of trained networks, or of the embeddings of any other system: measured, written and told."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dualfair.evaluation.classification_report import ClassifiedSubject
from dualfair.evaluation.metrics.disparity import DISPARITIES, WORST_GROUP
from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.report import Classification, EvaluationReport, Number, Verification, against_baseline
from dualfair.evaluation.report_rows import disparity_rows, group_rows, network_rows
from dualfair.evaluation.subject import Subject
from dualfair.presentation.figures import bars_figure, cmc_figure, det_figure, save
from dualfair.presentation.table import Column, table
from dualfair.runs.config import look_up
from dualfair.runs.records.codec import decode, encode, read_whole
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import write_csv, write_json
from dualfair.supernet.training.process_group import ALONE, ProcessGroup

REPORT = "report.json"
"""The report, in the folder of an evaluation."""
FOUND_WITHIN = (5, 20)
"""Among how many people, with --probes images, probes are said to be found: points of the CMC; the whole is in
groups.csv."""
PICTURES = CMC, BARS, DET = "cmc.png", "groups.png", "det.png"
"""The pictures beside it."""


def evaluate(
    subjects: Sequence[Subject | ClassifiedSubject],
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
    named = {name: look_up(name, DISPARITIES, "disparity") for name in disparities}
    measures = {**DISPARITIES, WORST_GROUP.name: WORST_GROUP, **named}
    single = len(subjects) == 1
    reports, folders = [], set()
    for subject in subjects:
        report, curves = subject.measure(measures, options, processes)
        if baseline:
            report = replace(report, bpc=against_baseline(report, baseline))
        reports.append(report)
        if processes.leads:
            folder = out if single else out / f"{re.sub(r'[:/]', '_', subject.name)}-seed-{subject.seed}"
            while folder in folders:
                folder = folder.with_name(f"{folder.name}_")
            folders.add(folder)
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder, report, curves)
            for line in sentences(report):
                say(line)
    if processes.leads:
        if not single:
            write_csv(out / "networks.csv", network_rows(reports))
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
    write_csv(folder / "groups.csv", group_rows(report))
    write_csv(folder / "disparities.csv", disparity_rows(report))
    # An earlier evaluation may have drawn what this one was not asked for.
    for name in PICTURES:
        (folder / name).unlink(missing_ok=True)
    if report.identification:
        drawn = {f"{name} (n = {row.probes})": row for name, row in report.identification.rows.items() if row.probes}
        save(cmc_figure({label: row.cmc_by_identities for label, row in drawn.items()}), folder / CMC)
        errors = {label: row.error for label, row in drawn.items()}
        save(bars_figure(errors, "error (rank above 0)"), folder / BARS)
    if report.classification:
        errors = {f"{name} (n = {row.error.n})": row.error for name, row in report.classification.rows.items()}
        save(bars_figure(errors, "error"), folder / BARS)
    if curves:
        save(det_figure(curves), folder / DET)


def sentences(report: EvaluationReport) -> list[str]:
    """The report as lines of text for the terminal."""
    size = f"{report.images:,} images of {report.identities:,} {report.units}"
    if report.units == "images":
        size = f"{report.images:,} images"
    lines = [f"Evaluate: {report.name} on {report.faces}: {size}", *(f"  note: {note}" for note in report.notes)]
    if report.classification:
        lines += _classification_sentences(report.classification)
    if report.identification:
        names = ("group", "people", "probes", "error", "mean rank by images", "mean rank by identities")
        names += tuple(f"in first {k}" for k in FOUND_WITHIN)
        kinds = ("text", "whole", "whole", "text", "text", "text", *["number"] * len(FOUND_WITHIN))
        curve = "cmc_by_images" if report.options.get("probes") else "cmc_by_identities"
        rows = [
            (
                name,
                row.identities,
                row.probes,
                f"{row.error:.3f}",
                f"{row.mean_rank_by_images:.2f}",
                f"{row.mean_rank_by_identities:.2f}",
                *(getattr(row, curve)[k - 1] if row.probes else None for k in FOUND_WITHIN),
            )
            for name, row in report.identification.rows.items()
        ]
        lines += table(map(Column, names, kinds), rows).lines()
    if report.disparities is not None:
        signed = next((row.signed.of for row in report.disparities if row.signed), "signed")
        rows = [
            (
                row.name,
                row.undefined or f"{Number(row.value, 0, row.interval):.3f}",
                row.fair,
                f"{row.signed:.3f}" if row.signed else None,
                row.variant,
            )
            for row in report.disparities
        ]
        names, kinds = ("disparity", "value", "fair at", signed, "variant"), ("text", "text", "general", "text", "text")
        lines += table(map(Column, names, kinds), rows).lines()
    for point in report.open_set.rates if report.open_set else ():
        lines.append(
            f"open set: detection and identification rate {point.all.dir:.3f} at a false positive rate of "
            f"{point.fpir_asked:g}{_in_brackets(point.warning)}"
        )
    if report.verification:
        lines += _verification_sentences(report.verification)
    for row in report.bpc or ():
        value = "undefined, a disparity is infinite" if row.value is None else f"{row.value:.3f}"
        lines.append(f"bpc of {row.disparity} ({row.variant}) at FAR {row.far:g}: {value} against {row.baseline}")
    counted = "images" if report.classification else "probes or pairs"
    return [*lines, f"[ ] are {report.intervals}; n is {counted}"]


def _classification_sentences(classification: Classification) -> list[str]:
    names = ("group", "images", *(name.replace("_", " ") for name, rate in vars(classification.all).items() if rate))
    columns = [Column(name, "whole" if name == "images" else "text") for name in names]
    rows = [
        (name, rates.error.n, *(f"{rate:.3f}" for rate in vars(rates).values() if rate))
        for name, rates in classification.rows.items()
    ]
    by_class = [(name, number.n, f"{number:.3f}") for name, number in classification.accuracy_by_class.items()]
    of_classes = (Column("class", "text"), Column("images", "whole"), Column("accuracy", "text"))
    return [*table(columns, rows).lines(), *table(of_classes, by_class).lines()]


def _verification_sentences(verification: Verification) -> list[str]:
    accuracy = verification.accuracy
    lines = [
        f"verification: accuracy {Number(accuracy.accuracy, accuracy.n, accuracy.interval):.4f} over "
        f"{verification.folds} folds of {verification.pairs:,} pairs, EER {verification.eer:.3f}"
    ]
    for rule, by_group in (verification.accuracy_by_group or {}).items():
        accuracies = {name: Number(row.accuracy, row.n, row.interval) for name, row in (by_group.groups or {}).items()}
        text = by_group.undefined or ", ".join(f"{name} {accuracy:.4f}" for name, accuracy in accuracies.items())
        spread = "" if by_group.std is None else f"; std {by_group.std:.2f} %, ser {by_group.ser:.2f}"
        lines.append(f"  {rule.replace('_', ' ')}: {text}{spread}")
    for point in verification.at_far:
        tar = Number(point.tar, point.genuine, point.tar_interval)
        lines.append(f"  TAR {tar:.3f} at FAR {point.far_asked:g}{_in_brackets(point.warning)}")
    return lines


def _in_brackets(warning: str) -> str:
    return f" ({warning})" if warning else ""
