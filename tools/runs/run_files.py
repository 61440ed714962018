"""The files of a run directory, read with care: what is damaged is told in a sentence and counts as missing.

Among them the standalone trainings: which have a result, which are missing, which are damaged.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from dualfair.runs.directory import RecordedCommand
from dualfair.runs.layout import RunLayout, StageLayout, TrainingLayout, TrainingsLayout
from dualfair.runs.records.codec import Record, read_whole
from dualfair.runs.records.training import (
    NAMED,
    NetworkDescription,
    PlannedTraining,
    TrainConfig,
    TrainedOn,
    TrainingPlan,
    TrainingResult,
)
from dualfair.runs.training_spec import TrainingSpec, is_plain, label_of_folder
from dualfair.supernet.files import read_json
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

Kind = TypeVar("Kind", bound=Record)
Value = TypeVar("Value")

_ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^/\s'\"]+/)+([^/\s'\"]*)")
LONGEST_REASON = 200


@dataclass(frozen=True)
class RunFiles:
    """A run directory under a `name` for readers; `problems` collects sentences on what could not be read."""

    layout: RunLayout
    name: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.layout.path

    def record(self, kind: type[Kind], path: Path) -> Kind | None:
        """The record in a file; None where there is none, or it is damaged."""
        return self._read(path, lambda: kind.from_json(read_json(path)))

    def results(
        self, stage: TrainingsLayout, space: SearchSpace | None = None, *, plain: bool = False
    ) -> dict[Path, TrainingResult]:
        """The results of a stage by their files, in order, each as `read_result` reads it.

        They are of searched networks and of backbones, by any recipe; with `plain` only those of `is_plain`.
        """
        results = {}
        for path in stage.results():
            if plain and not is_plain(label_of_folder(path.parts[-3])):
                continue
            try:
                results[path] = read_result(path, space)
            except ValueError as error:
                self.add_problem(str(error).replace(str(path), self.shown(path)))
        return results

    def csv(self, path: Path) -> list[list[str]] | None:
        """The rows of a CSV file, the header first; None where there is none, or it is damaged."""
        return self._read(path, lambda: list(csv.reader(path.read_text(encoding="utf-8").splitlines())))

    def last_command(self, stage: StageLayout) -> RecordedCommand | None:
        """The last command of a stage; None where there is none, or that cannot be read."""
        path = stage.commands
        lines = self._read(path, lambda: path.read_text(encoding="utf-8").splitlines())
        return lines and self._read(path, lambda: RecordedCommand.from_json(json.loads(lines[-1])))

    def shown(self, path: Path) -> str:
        """A file's name as sentences have it: its way from the run directory."""
        return path.relative_to(self.path).as_posix()

    def add_problem(self, problem: str) -> None:
        """Keep a sentence on what could not be read, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def _read(self, path: Path, read: Callable[[], Value]) -> Value | None:
        if not path.exists():
            return None
        try:
            return read()
        except (OSError, ValueError, csv.Error) as error:
            self.add_problem(f"{self.shown(path)} is damaged: {reason(error)}")
            return None


def open_runs(paths: Sequence[Path]) -> list[RunFiles]:
    """The run directories, each under the shortest ending of its path that no other one has.

    Raises ValueError for no directory, one that is given twice, and one in which no supernet was trained.
    """
    if not paths:
        raise ValueError("a report needs at least one run directory")
    layouts = [RunLayout(Path(path).resolve()) for path in paths]
    for number, (given, layout) in enumerate(zip(paths, layouts, strict=True)):
        if layout in layouts[:number]:
            raise ValueError(f"run directory {given} is given twice; give each once")
        config = layout.train.config
        if not config.is_file():
            file = config.relative_to(layout.path)
            raise ValueError(f"{given} is no run directory: {file} is not in it; run 'dualfair train' first")
    names = distinct_names([layout.path for layout in layouts])
    return [RunFiles(layout, name) for layout, name in zip(layouts, names, strict=True)]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The shortest endings, of equal length, that tell different absolute paths apart."""
    parts, length = [path.parts for path in paths], 1
    while len({path[-length:] for path in parts}) < len(parts):
        length += 1
    return ["/".join(path[-length:]) for path in parts]


def reason(error: Exception) -> str:
    """Why something failed, on one line, without the folders of this machine."""
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return _ABSOLUTE.sub(r"\1", " ".join(text.split()))[:LONGEST_REASON]


@dataclass(frozen=True)
class TrainingResults:
    """Standalone trainings of searched networks: genotypes (n), and results[network][seed] with equal seeds for all.

    `left_out` are networks that lack one of those seeds. `missing` names the trainings that have no result although
    they were asked for, have begun, or would give a network equal seeds; `damaged` says what cannot be read and why.
    `samples` tell why each network was asked for, one or more of `SAMPLES`.
    """

    genotypes: tuple[Genotype, ...]
    results: tuple[tuple[TrainingResult, ...], ...]
    left_out: tuple[str, ...]
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    samples: tuple[frozenset[str], ...] = ()

    @property
    def seeds(self) -> int:
        """Trainings of every network."""
        return len(self.results[0]) if self.results else 0


def collect(layout: RunLayout, space: SearchSpace) -> TrainingResults:
    """The trainings of a run with the seeds that most networks have; networks that lack one are left out and named.

    Only networks of the space trained by the stage's own recipe are looked at: backbones, and trainings by a changed
    recipe, have no inherited score to compare with (`RunFiles.results` has them). A result that is damaged counts as
    missing. Raises ValueError when no such training was ever asked for.
    """
    stage, files = layout.retrain, RunFiles(layout)
    plan = files.record(TrainingPlan, stage.plan) or TrainingPlan()
    plan = TrainingPlan(tuple(job for job in plan.jobs if job.training.plain))
    planned = {(job.training.label, job.training.seed) for job in plan.jobs}
    planned |= {(label, seed) for label, seed in stage.begun_trainings() if is_plain(label)}
    samples = plan.samples()
    by_network: dict[str, dict[int, TrainingResult]] = {}
    for result in files.results(stage, space, plain=True).values():
        by_network.setdefault(result.training.label, {})[result.training.seed] = result
    if not (by_network or planned or files.problems):
        raise ValueError(f"{layout.path} has no retrained networks; run 'dualfair retrain' first")
    commonest = Counter(tuple(sorted(results)) for results in by_network.values()).most_common(1)
    seeds = commonest[0][0] if commonest else ()
    whole = {label: results for label, results in by_network.items() if set(seeds) <= set(results)}
    wanted = planned | {(label, seed) for label in by_network for seed in seeds}
    return TrainingResults(
        tuple(space.parse(label) for label in whole),
        tuple(tuple(results[seed] for seed in seeds) for results in whole.values()),
        tuple(sorted(set(by_network) - set(whole))),
        tuple(f"{label} seed {seed}" for label, seed in sorted(wanted) if seed not in by_network.get(label, ())),
        tuple(files.problems),
        tuple(samples.get(label, NAMED) for label in whole),
    )


def read_result(path: Path, space: SearchSpace | None = None) -> TrainingResult:
    """The result of one training of a space's network or of a backbone. Without a space any genotype will do.

    Raises ValueError, naming the file, when it is not whole, of another training than its folder's, or copied from a
    run on other people.
    """

    def parse(value: object) -> TrainingResult:
        result = TrainingResult.from_json(value)
        if space is None or not result.training.searched:
            return result
        network = space.parse(str(result.training.network))
        return replace(result, training=replace(result.training, network=network))

    again = {"short": "dualfair retrain --short", "long": "dualfair retrain --check-convergence NETWORKS"}
    result = read_whole(path, parse, f"delete it and run '{again.get(path.parents[2].name, 'dualfair retrain')}' again")
    if Path(*path.parts[-3:-1]) != result.training.folder:
        raise ValueError(f"{path}: it is of {result.training}, not of this folder's network; delete it")
    description, people = TrainingLayout(path.parent).description, _people_of_run(path)
    if people and description.is_file() and NetworkDescription.read(description).trained_on != people:
        raise ValueError(
            f"{path}: it was trained on other faces, or other people of them, than those of this run; delete its folder"
        )
    return result


def _people_of_run(result: Path) -> TrainedOn | None:
    """Whom networks are trained on in the run that a result lies in, in a stage or a study; None where none is told."""
    runs = (RunFiles(RunLayout(folder)) for folder in result.parents[3:5])
    configs = (run.record(TrainConfig, run.layout.train.config) for run in runs)
    return next((config.trained_on for config in configs if config), None)


def read_short(layout: RunLayout, trained: TrainingResults, space: SearchSpace) -> tuple[TrainingResult, ...]:
    """The results of the short trainings of all trained networks, in their order; none where one is not there.

    Raises ValueError for a damaged one.
    """
    paths = [layout.short.training(TrainingSpec(genotype)).result for genotype in trained.genotypes]
    return tuple(read_result(path, space) for path in paths) if all(path.is_file() for path in paths) else ()


def read_plan(stage: TrainingsLayout) -> TrainingPlan:
    """The trainings that were ever asked for; none where there is no plan. Raises ValueError for a damaged plan."""
    return TrainingPlan.read(stage.plan) if stage.plan.exists() else TrainingPlan()


def add_to_plan(stage: TrainingsLayout, trainings: Mapping[TrainingSpec, Collection[str]]) -> None:
    """Keep every training that is asked for, and its samples. Raises ValueError for a damaged plan."""
    samples = {job.training: job.samples for job in read_plan(stage).jobs}
    for training, added in trainings.items():
        samples[training] = samples.get(training, frozenset()) | {*added}
    TrainingPlan(tuple(PlannedTraining(training, of) for training, of in samples.items())).write(stage.plan)
