"""Where the files of a run directory lie. Every file name of a stage stands here, and nowhere else."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from dualfair.runs.training_spec import TrainingSpec, folder_of_label, label_of_folder

STAGES = ("train", "search", "retrain", "short", "long", "correlate")
"""The folders that stages make: the four, and beside them short and long trainings."""

_SEED = re.compile(r"seed-(?:0|[1-9][0-9]{0,8})")
Kind = TypeVar("Kind")


class Inside(Generic[Kind]):
    """An attribute of a layout: what of a fixed name lies in its folder, as a path or as a layout of its own."""

    def __init__(self, name: str, kind: Callable[[Path], Kind] = Path) -> None:
        self.name, self.kind = name, kind

    def __get__(self, layout: "_Folder", owner: type | None = None) -> Kind:
        return self.kind(layout.folder / self.name)


@dataclass(frozen=True)
class _Folder:
    folder: Path


class StageLayout(_Folder):
    """The folder of a stage, and the files that every stage has."""

    config = Inside("config.json")
    """What the stage is done by, as a record."""
    commands = Inside("commands.jsonl")
    """The commands as they were typed, one a line, with versions and device."""
    tensorboard = Inside("tensorboard")
    teacher = Inside("teacher.json")
    """What the teacher of the stage's trainings comes to, as a record, where there is one."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def begun(self) -> bool:
        """Whether a command has begun the stage."""
        return self.config.is_file() or self.commands.is_file()


class SearchLayout(StageLayout):
    """What a search leaves behind."""

    scores = Inside("scores.sqlite")
    """The archive of all scores."""
    front = Inside("front.json")
    """The front, as a record; it makes a search complete."""
    front_table = Inside("front.csv")
    scores_table = Inside("scores.csv")
    hypervolume_table = Inside("hypervolume.csv")
    figure = Inside("front.png")
    reliability = Inside("reliability.json")
    """How reliable the measures are, as a record."""
    predictor = Inside("predictor.json")
    """The trainings that objectives are predicted by, as a record."""
    latencies = Inside("latency.json")
    """Latencies that were measured."""


class TrainingLayout(_Folder):
    """The folder of one standalone training: LABEL/seed-NUMBER."""

    result = Inside("result.json")
    """What the training came to, as a record; it makes a training complete."""
    failure = Inside("failed.json")
    """Why the training has no result and never will."""
    description = Inside("network.json")
    """What the network is, as a record."""
    tensorboard = Inside("tensorboard")


class TrainingsLayout(StageLayout):
    """A stage that trains networks by themselves, each in a folder of its own."""

    plan = Inside("plan.json")
    """The trainings that were ever asked for, as a record."""

    def training(self, training: TrainingSpec) -> TrainingLayout:
        """The folder of a training."""
        return TrainingLayout(self.folder / training.folder)

    def of_label(self, label: str, seed: int) -> TrainingLayout:
        """The folder of a label and a seed, whether or not the label is one."""
        return TrainingLayout(self.folder / folder_of_label(label) / f"seed-{seed}")

    def folders(self) -> list[Path]:
        """The folders of all trainings that have begun, in order."""
        places = sorted(self.folder.glob("*/seed-*"))
        return [place for place in places if place.is_dir() and _SEED.fullmatch(place.name)]

    def results(self) -> list[Path]:
        """The results of all trainings, in the order of their paths, intact or not."""
        return [path for folder in self.folders() if (path := TrainingLayout(folder).result).is_file()]

    def begun_trainings(self) -> list[tuple[str, int]]:
        """The trainings that have a folder, as (label, seed); labels may be damaged."""
        return [(label_of_folder(place.parent.name), int(place.name.removeprefix("seed-"))) for place in self.folders()]


class StudyLayout(TrainingsLayout):
    """The folder RUN/studies/NAME of a study, which may train networks too."""

    report = Inside("study.json")
    """What the study tells readers, as a record; it makes the study complete."""


class CorrelateLayout(StageLayout):
    """What the ranking study leaves behind; also in a folder of its own, for two tables of scores."""

    ranking = Inside("ranking.json")
    """The study, as a record."""
    figure = Inside("ranking.png")


class RunLayout(_Folder):
    """A run directory."""

    log = Inside("log.txt")
    """Everything that commands said."""
    lock = Inside("lock.json")
    """Which process works here."""
    train = Inside("train", StageLayout)
    search = Inside("search", SearchLayout)
    retrain = Inside("retrain", TrainingsLayout)
    short = Inside("short", TrainingsLayout)
    """One short training of every network of `retrain`."""
    long = Inside("long", TrainingsLayout)
    """One training of some networks of `retrain`, for twice the epochs."""
    correlate = Inside("correlate", CorrelateLayout)

    @property
    def path(self) -> Path:
        return self.folder

    def fold(self, number: int) -> "RunLayout":
        """The run directory of another supernet of this run, which rotates its validation people, from 1."""
        return RunLayout(self.folder / "folds" / str(number))

    def supernets(self) -> list[StageLayout]:
        """The folders of the training of the run's supernet, and of those that rotate the validation people with it."""
        folds = sorted(self.folder.glob("folds/*"), key=lambda folder: folder.name.zfill(9))
        return [self.train, *(RunLayout(folder).train for folder in folds if folder.is_dir())]

    def stage(self, name: str) -> StageLayout:
        """The folder of any stage."""
        return StageLayout(self.folder / name)

    def study(self, name: str) -> StudyLayout:
        """The folder of a study."""
        return StudyLayout(self.folder / "studies" / name)

    def studies(self) -> list[StudyLayout]:
        """The studies that have a folder, in order of their names."""
        return [StudyLayout(folder) for folder in sorted(self.folder.glob("studies/*")) if folder.is_dir()]

    def stages(self) -> list[StageLayout]:
        """All stages, whether or not they have begun, and the studies that have a folder."""
        return [*(self.stage(name) for name in STAGES), *self.studies()]
