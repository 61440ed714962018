"""Networks of the search against backbones of timm's, all trained and evaluated alike."""

from dataclasses import replace

from dualfair.presentation.format import capital
from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import RESAMPLES
from dualfair.runs.records.study import StudyFigure, StudyReport
from dualfair.runs.run_files import RunFiles
from dualfair.stages.inherited import recorded_search
from dualfair.studies.baselines.figure import draw
from dualfair.studies.baselines.numbers import TEST, gather, study
from dualfair.studies.baselines.records import BaselinesLayout, BaselineStudy
from dualfair.studies.baselines.words import answer, details, networks_table
from dualfair.supernet.files import write_csv


def study_baselines(directory: RunDirectory, *, resamples: int = RESAMPLES) -> BaselineStudy:
    """The study of all standalone trainings of a run, which is also written to RUN/studies/baselines.

    `resamples` are the bootstrap's. Raises ValueError when nothing was retrained.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    files = RunFiles(directory.layout)
    results = {result.training: result for result in files.results(directory.layout.retrain).values()}
    if not results:
        raise ValueError(f"{directory.path} has no retrained networks; run 'dualfair retrain' first")
    networks, measures = gather(results, recorded_search(directory).names.disparity)
    record = replace(study(networks, measures, resamples=resamples), damaged=tuple(files.problems))
    layout = BaselinesLayout(directory.layout.study("baselines").folder)
    directory.record_command(layout, "no device")
    write_csv(layout.table, networks_table(record).csv())
    record.write(layout.numbers)
    draw(layout.figure, record)
    shown = networks_table(record, (TEST,))
    StudyReport(
        question="What would one take instead of a searched network?",
        sentences=tuple(f"{capital(line)}." for line in answer(record)),
        tables=(shown,),
        figures=(StudyFigure(layout.figure.name, "Error against every disparity on test people"),),
    ).write(layout.report)
    for line in (*shown.lines(), *answer(record), *(f"  {line}" for line in details(record))):
        directory.say(line)
    directory.say(f"Numbers: {layout.numbers}, {layout.table}, figure: {layout.figure}")
    return record
