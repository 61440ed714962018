"""The turns of tuning and what they came to, on disk; and the networks that trials draw from."""

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dualfair.evolution.halving import Rungs, Turn, next_turn, ranking
from dualfair.presentation.format import decimals, spoken
from dualfair.runs.records.training import TrainingResult
from dualfair.runs.run_files import read_result
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.inherited import scored_networks
from dualfair.studies.tune.options import TuneOptions
from dualfair.studies.tune.records import Failure, TakenTurns, TuneConfig, TuneLayout
from dualfair.studies.tune.trials import Trial, draw_trial
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

_PATIENCE = 1.0
"""Seconds between two looks for a turn while other teams are at work."""


@dataclass(eq=False)
class Ladder:
    """The turns of a stage's folder, shared by all teams of ranks through its files."""

    layout: TuneLayout
    space: SearchSpace
    pool: Sequence[Genotype]
    rungs: Rungs
    options: TuneOptions
    measures: tuple[str, ...] = ("error", "rank_disparity")
    _results: dict[Turn, TrainingResult | Failure] = field(default_factory=dict)

    def trial(self, number: int) -> Trial:
        """Trial `number`."""
        return draw_trial(number, self.options.seed, self.space, self.pool)

    def training(self, turn: Turn) -> TrainingSpec:
        """The training of a turn."""
        return self.trial(turn.trial).training(self.rungs.budgets[turn.rung])

    def take(self) -> Turn | None:
        """The next turn for this team, which is noted as taken; waits for other teams where it has to."""
        while True:
            with _alone(self.layout.turns_lock):
                taken = self.taken()
                done = {turn: self.objectives(turn) for turn in taken if self.result(turn)}
                running = [turn for turn in taken if turn not in done]
                turn = next_turn(done, running, self.options.trials, len(self.rungs.budgets), self.options.eta)
                if turn is not None:
                    TakenTurns((*taken, turn)).write(self.layout.turns)
                    return turn
            if not running:
                return None
            time.sleep(_PATIENCE)

    def taken(self) -> tuple[Turn, ...]:
        """The turns that were ever taken, in order. Raises ValueError when the list is damaged."""
        path = self.layout.turns
        if not path.is_file():
            return ()
        return TakenTurns.read(path, "delete it, the same command takes the turns again").turns

    def forget_unfinished(self) -> None:
        """Let turns without a result be taken again: whoever took them is gone."""
        TakenTurns(tuple(turn for turn in self.taken() if self.result(turn))).write(self.layout.turns)

    def result(self, turn: Turn) -> TrainingResult | Failure | None:
        """What the training of a turn came to, None for nothing yet. Raises ValueError where that is damaged."""
        if turn not in self._results:
            place = self.layout.training(self.training(turn))
            if place.failure.is_file():
                self._results[turn] = Failure.read(place.failure, "delete it and run the same command again")
            elif place.result.is_file():
                self._results[turn] = read_result(place.result, self.space)
        return self._results.get(turn)

    def objectives(self, turn: Turn, split: str = "validation") -> tuple[float, ...]:
        """The measures of a finished turn on the people of a split; infinite where it failed."""
        result = self.result(turn)
        if isinstance(result, Failure):
            return (float("inf"),) * len(self.measures)
        return tuple(result.on(split).measures[name] for name in self.measures)

    def fail(self, turn: Turn, reason: str) -> None:
        """Note that the training of a turn cannot be finished."""
        place = self.layout.training(self.training(turn))
        place.folder.mkdir(parents=True, exist_ok=True)
        Failure(" ".join(reason.split())).write(place.failure)

    def sentence(self, turn: Turn) -> str:
        """A finished turn in words."""
        result = self.result(turn)
        epochs = f"{self.trial(turn.trial)}, {self.rungs.budgets[turn.rung]:g} epochs"
        if isinstance(result, Failure):
            return f"       {epochs}: failed, {result.reason}"
        values = zip(self.measures, self.objectives(turn), strict=True)
        return f"       {epochs}: validation {', '.join(f'{spoken(name)} {decimals(value)}' for name, value in values)}"


def pool_of(run: TrainedRun, networks: int, layout: TuneLayout) -> list[Genotype]:
    """The `networks` best of the search by inherited scores, without regard to their heads; none for 0.

    They are the same on every rank, and those that the stage recorded where it has begun: a search that went on since
    does not change them. Raises ValueError when nothing was scored.
    """
    texts: list[str] = []
    if run.processes.leads:
        pool = _recorded_pool(layout) if layout.config.is_file() else _best(run, networks)
        texts = [str(genotype) for genotype in pool]
    return [run.setting.space.parse(text) for text in run.processes.broadcast(" ".join(texts)).split()]


def _recorded_pool(layout: TuneLayout) -> Sequence[Genotype]:
    return TuneConfig.read(layout.config, f"delete the folder {layout.folder}").pool


def _best(run: TrainedRun, networks: int) -> list[Genotype]:
    """The best scored networks with different blocks, front by front."""
    if not networks:
        return []
    scored, values = scored_networks(run)
    if not scored:
        raise ValueError(f"the search in {run.directory.path} has no scores; run 'dualfair search' first, or --pool 0")
    different: dict[tuple, Genotype] = {}
    for place in ranking(values).tolist():
        different.setdefault(scored[place].genotype.blocks, scored[place].genotype)
    return [*different.values()][:networks]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep the other teams out, on this machine or on others that share the folder."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
