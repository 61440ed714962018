"""Where the files of a run directory lie. Every file name of a stage stands here, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dualfair.runs.training_spec import TrainingSpec, folder_of_label, label_of_folder

STAGES = ("train", "search", "retrain", "short", "correlate")
"""The folders that stages make: the four, and beside them short trainings."""

_SEED = re.compile(r"seed-(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class StageLayout:
    """The folder of a stage, and the files that every stage has."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def config(self) -> Path:
        """What the stage is done by, as a record."""
        return self.folder / "config.json"

    @property
    def commands(self) -> Path:
        """The commands as they were typed, one a line, with versions and device."""
        return self.folder / "commands.jsonl"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @property
    def begun(self) -> bool:
        """Whether a command has begun the stage."""
        return self.config.is_file() or self.commands.is_file()


@dataclass(frozen=True)
class SearchLayout(StageLayout):
    """What a search leaves behind."""

    @property
    def scores(self) -> Path:
        """The archive of all scores."""
        return self.folder / "scores.sqlite"

    @property
    def front(self) -> Path:
        """The front, as a record; it makes a search complete."""
        return self.folder / "front.json"

    @property
    def front_table(self) -> Path:
        return self.folder / "front.csv"

    @property
    def scores_table(self) -> Path:
        return self.folder / "scores.csv"

    @property
    def hypervolume_table(self) -> Path:
        return self.folder / "hypervolume.csv"

    @property
    def figure(self) -> Path:
        return self.folder / "front.png"

    @property
    def reliability(self) -> Path:
        """How reliable the measures are, as a record."""
        return self.folder / "reliability.json"

    @property
    def latencies(self) -> Path:
        """Latencies that were measured."""
        return self.folder / "latency.json"


@dataclass(frozen=True)
class TrainingLayout:
    """The folder of one standalone training: LABEL/seed-NUMBER."""

    folder: Path

    @property
    def result(self) -> Path:
        """What the training came to, as a record; it makes a training complete."""
        return self.folder / "result.json"

    @property
    def failure(self) -> Path:
        """Why the training has no result and never will."""
        return self.folder / "failed.json"

    @property
    def description(self) -> Path:
        """What the network is, as a record."""
        return self.folder / "network.json"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"


@dataclass(frozen=True)
class TrainingsLayout(StageLayout):
    """A stage that trains networks by themselves, each in a folder of its own."""

    @property
    def plan(self) -> Path:
        """The trainings that were ever asked for, as a record."""
        return self.folder / "plan.json"

    def training(self, training: TrainingSpec) -> TrainingLayout:
        """The folder of a training."""
        return TrainingLayout(self.folder / training.folder)

    def results(self) -> Iterator[Path]:
        """The results of all trainings, in the order of their paths, intact or not."""
        results = (TrainingLayout(folder).result for folder in self.folders())
        return (path for path in results if path.is_file())

    def folders(self) -> list[Path]:
        """The folders of all trainings that have begun, in order."""
        places = sorted(self.folder.glob("*/seed-*"))
        return [place for place in places if place.is_dir() and _SEED.fullmatch(place.name)]

    def begun_trainings(self) -> list[tuple[str, int]]:
        """The trainings that have a folder, as (label, seed); labels may be damaged."""
        return [(label_of_folder(place.parent.name), int(_SEED.fullmatch(place.name)[1])) for place in self.folders()]

    def finished_trainings(self) -> list[tuple[str, int]]:
        """Those of `begun_trainings` that have a result, intact or not."""
        return [(label, seed) for label, seed in self.begun_trainings() if self.of_label(label, seed).result.is_file()]

    def of_label(self, label: str, seed: int) -> TrainingLayout:
        """The folder of a label and a seed, whether or not the label is one."""
        return TrainingLayout(self.folder / folder_of_label(label) / f"seed-{seed}")


@dataclass(frozen=True)
class StudyLayout(TrainingsLayout):
    """The folder RUN/studies/NAME of a study, which may train networks too."""

    @property
    def report(self) -> Path:
        """What the study tells readers, as a record; it makes the study complete."""
        return self.folder / "study.json"


@dataclass(frozen=True)
class CorrelateLayout(StageLayout):
    """What the ranking study leaves behind; also in a folder of its own, for two tables of scores."""

    @property
    def ranking(self) -> Path:
        """The study, as a record."""
        return self.folder / "ranking.json"

    @property
    def figure(self) -> Path:
        return self.folder / "ranking.png"


@dataclass(frozen=True)
class RunLayout:
    """A run directory."""

    path: Path

    @property
    def log(self) -> Path:
        """Everything that commands said."""
        return self.path / "log.txt"

    @property
    def lock(self) -> Path:
        """Which process works here."""
        return self.path / "lock.json"

    @property
    def train(self) -> StageLayout:
        return StageLayout(self.path / "train")

    @property
    def search(self) -> SearchLayout:
        return SearchLayout(self.path / "search")

    @property
    def retrain(self) -> TrainingsLayout:
        return self.trainings("retrain")

    @property
    def short(self) -> TrainingsLayout:
        return self.trainings("short")

    @property
    def correlate(self) -> CorrelateLayout:
        return CorrelateLayout(self.path / "correlate")

    def trainings(self, stage: str) -> TrainingsLayout:
        """A stage that trains networks by themselves: retrain or short."""
        return TrainingsLayout(self.path / stage)

    def stage(self, name: str) -> StageLayout:
        """The folder of any stage."""
        return StageLayout(self.path / name)

    def study(self, name: str) -> StudyLayout:
        """The folder of a study."""
        return StudyLayout(self.path / "studies" / name)

    def studies(self) -> list[StudyLayout]:
        """The studies that have a folder, in order of their names."""
        return [StudyLayout(folder) for folder in sorted(self.path.glob("studies/*")) if folder.is_dir()]

    def stages(self) -> list[StageLayout]:
        """All stages, whether or not they have begun, and the studies that have a folder."""
        return [*(self.stage(name) for name in STAGES), *self.studies()]
