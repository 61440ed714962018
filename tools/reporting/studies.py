"""The studies that were made of a run: whatever they left to be shown. Which studies there are, no reader knows."""

from __future__ import annotations

from base64 import b64encode

from dualfair.runs.records.study import StudyReport
from dualfair.runs.run_files import RunFiles, reason


def studies_section(files: RunFiles) -> list[dict]:
    """What every study of a run tells, in order of their names: {"name", "question", "sentences", "tables", "figures":
    {"caption", "png" in base64}}. Studies that are not finished, or damaged, are left out."""
    sections = []
    for study in files.layout.studies():
        report = files.record(StudyReport, study.report)
        if report is None:
            continue
        figures = []
        for figure in report.figures:
            path = study.folder / figure.file
            try:
                figures.append({"caption": figure.caption, "png": b64encode(path.read_bytes()).decode()})
            except OSError as error:
                files.add_problem(f"{files.shown(path)} cannot be read: {reason(error)}")
        shown = {"question": report.question, "sentences": list(report.sentences), "tables": list(report.tables)}
        sections.append({"name": study.name, **shown, "figures": figures})
    return sections
