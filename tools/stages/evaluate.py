"""Every measure of trained networks, or of the embeddings of any other system."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from dualfair.evaluation.identification_report import Resampling
from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.metrics.pair_disparity import bpc
from dualfair.runs.plug_in import look_up
from dualfair.runs.records.evaluation import EvaluationReport
from dualfair.runs.watching import Say, silent
from dualfair.stages.evaluate_options import EvaluateOptions
from dualfair.stages.evaluation_output import draw, sentences, write_comparison, write_tables
from dualfair.stages.evaluation_sections import measure_sections
from dualfair.stages.subjects import Subject
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
        folder = out if single else out / f"{subject.name.replace(':', '_')}-seed-{subject.seed}"
        reports.append(_evaluate(subject, measures, options, folder, baseline, processes, say))
    if not processes.leads:
        return reports
    if not single:
        write_comparison(out, subjects, [report.to_json() for report in reports])
    say(f"Everything is in {out}")
    return reports


def _evaluate(
    subject: Subject,
    measures: Mapping[str, object],
    options: EvaluateOptions,
    folder: Path,
    baseline: EvaluationReport | None,
    processes: ProcessGroup,
    say: Say,
) -> EvaluationReport:
    """Measure one subject, say the numbers, and write them with pictures into a folder."""
    resampling = Resampling(resamples=options.resamples, method=options.interval, seed=options.seed)
    notes = list(subject.notes)
    sections, curves = measure_sections(subject, measures, options, resampling, notes, processes)
    report = EvaluationReport(
        name=subject.name,
        training_seed=subject.seed,
        faces=subject.description,
        images=len(subject.identities),
        identities=len(set(subject.identities.tolist())),
        group_column=subject.group_column,
        options=asdict(options),
        intervals=f"{resampling.confidence:.0%} bootstrap over people as probes, gallery fixed, {resampling.method}",
        notes=tuple(notes),
        **sections,
    )
    if baseline:
        report = replace(report, bpc=against_baseline(report, baseline))
    if not processes.leads:
        return report
    folder.mkdir(parents=True, exist_ok=True)
    report.write(folder / REPORT)
    values = report.to_json()
    write_tables(folder, values)
    draw(folder, values, curves)
    for line in sentences(values):
        say(line)
    return report


def read_baseline(path: Path) -> EvaluationReport:
    """The report of an earlier evaluation, by its folder or file. Raises ValueError where there is none."""
    path = path / REPORT if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"there is no baseline {path}; name a folder made by 'dualfair evaluate'")
    return EvaluationReport.read(path, "name a folder made by 'dualfair evaluate'")


def against_baseline(report: EvaluationReport, baseline: EvaluationReport) -> list[dict]:
    """bpc of every disparity that is fair at 0, against the report of a baseline, with TAR at the same FAR.

    Raises ValueError where one of both has no disparities or no verification.
    """
    for name in ("disparities", "verification"):
        if None in (getattr(report, name), getattr(baseline, name)):
            raise ValueError(f"bpc needs {name} in both results; evaluate both with --metrics all")
    try:
        return _bpc_rows(report, baseline)
    except KeyError as missing:
        raise ValueError(f"the baseline {baseline.name} has no {missing}; evaluate it again") from None


def _bpc_rows(report: EvaluationReport, baseline: EvaluationReport) -> list[dict]:
    theirs = {(row["name"], row["variant"]): row["value"] for row in baseline.disparities}
    rows = []
    rates_before = {rate["far_asked"]: rate for rate in baseline.verification["at_far"]}
    for after_far in report.verification["at_far"]:
        before_far = rates_before.get(after_far["far_asked"])
        for row in report.disparities if before_far else ():
            before, after = theirs.get((row["name"], row["variant"])), row["value"]
            if row["fair"] or before is None or after is None:
                continue
            finite = math.isfinite(float(before)) and math.isfinite(float(after))
            value = bpc(float(before), float(after), before_far["tar"], after_far["tar"]) if finite else None
            rows.append(
                {
                    "disparity": row["name"],
                    "variant": row["variant"],
                    "far": after_far["far_asked"],
                    "value": value,
                    "baseline": baseline.name,
                }
            )
    return rows
