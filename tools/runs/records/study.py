"""What a study tells readers: finished sentences, tables and figures, so that a report shows them unseen."""

from dataclasses import dataclass
from pathlib import Path

from dualfair.presentation.table import Table
from dualfair.runs.records.codec import Record


@dataclass(frozen=True)
class StudyFigure:
    """A PNG file in the study's folder, and what it shows. Raises ValueError for a file elsewhere."""

    file: str
    caption: str

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or not self.file.endswith(".png"):
            raise ValueError(f"a figure is a PNG file in the study's folder, got {self.file!r}")


@dataclass(frozen=True)
class StudyCost:
    """What a study took beside the trainings in its folder: a `count` of something, and seconds of one device."""

    what: str
    count: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class StudyReport(Record):
    """A study as it is shown: the `question` that it asks, its answer in `sentences`, and what these rest on."""

    question: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    figures: tuple[StudyFigure, ...] = ()
    costs: tuple[StudyCost, ...] = ()
