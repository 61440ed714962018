"""What a run has come to, as records: read when asked for, never written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dualfair.runs.layout import RunLayout
from dualfair.runs.records.codec import Record
from dualfair.runs.records.search import Front, SearchConfig, SearchReliability
from dualfair.runs.records.training import TrainConfig, TrainingPlan, TrainingResult
from dualfair.runs.status import Status, status
from dualfair.runs.training_results import read_plan, read_result

if TYPE_CHECKING:
    from dualfair.runs.records.ranking import RankingStudy

Kind = TypeVar("Kind", bound=Record)


@dataclass(frozen=True)
class OpenedRun:
    """The results of a run directory, stage by stage. Every property raises ValueError where its stage has none yet, or
    its file is damaged, naming the file."""

    layout: RunLayout

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.layout.path

    @property
    def status(self) -> Status:
        """What of the run is finished, what is missing, and what it will cost."""
        return status(self.layout)

    @cached_property
    def training(self) -> TrainConfig:
        """What the supernet is trained by."""
        return self._read(TrainConfig, self.layout.train.config)

    @cached_property
    def searched(self) -> SearchConfig:
        """What the last search was asked for."""
        return self._read(SearchConfig, self.layout.search.config)

    @cached_property
    def front(self) -> Front:
        """The front of the last finished search."""
        return self._read(Front, self.layout.search.front)

    @cached_property
    def reliability(self) -> SearchReliability:
        """How reliable the measures are on the search's people."""
        return self._read(SearchReliability, self.layout.search.reliability)

    @cached_property
    def plan(self) -> TrainingPlan:
        """The trainings that were ever asked for."""
        return read_plan(self.layout.retrain)

    @cached_property
    def results(self) -> tuple[TrainingResult, ...]:
        """The results of all standalone trainings, searched networks and backbones, by any recipe."""
        return tuple(map(read_result, self.layout.retrain.results()))

    @cached_property
    def ranking(self) -> RankingStudy:
        """The ranking study."""
        from dualfair.runs.records.ranking import RankingStudy

        return self._read(RankingStudy, self.layout.correlate.ranking)

    def _read(self, kind: type[Kind], path: Path) -> Kind:
        stage = path.parent.name
        if not path.is_file():
            raise ValueError(f"{self.path} has no {path.name} of {stage} yet; run 'dualfair {stage}' first")
        return kind.read(path, f"run the same 'dualfair {stage}' command again")
