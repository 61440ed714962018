"""What is on disk of `dualfair tune`: turns that were taken, their results; and the networks that trials draw from."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dualfair.evolution.halving import Rungs, Turn, next_turn, ranking
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.trainings import read_result
from dualfair.studies.tune.trials import Trial, draw_trial
from dualfair.supernet.files import read_json, write_json
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

TURNS = "turns.json"
"""The turns that were taken, in order."""
FAILED = "failed.json"
"""Why a training has no result and never will."""
_LOCK = "turns.lock"
_PATIENCE = 1.0
"""Seconds between two looks for a turn while other teams are at work."""


@dataclass(eq=False)
class Ladder:
    """The turns of a stage's folder, shared by all teams of ranks through its files."""

    folder: Path
    space: SearchSpace
    pool: Sequence[Genotype]
    rungs: Rungs
    options: object
    _known: dict[Turn, dict] = field(default_factory=dict)

    def trial(self, number: int) -> Trial:
        """Trial `number`."""
        return draw_trial(number, self.options.seed, self.space, self.pool)

    def training(self, turn: Turn) -> TrainingSpec:
        """The training of a turn."""
        return self.trial(turn.trial).training(self.rungs.budgets[turn.rung])

    def take(self) -> Turn | None:
        """The next turn for this team, which is noted as taken; waits for other teams where it has to."""
        while True:
            with _alone(self.folder / _LOCK):
                taken = self.taken()
                done = {turn: self.objectives(turn) for turn in taken if self.result(turn)}
                running = [turn for turn in taken if turn not in done]
                turn = next_turn(done, running, self.options.trials, len(self.rungs.budgets), self.options.eta)
                if turn is not None:
                    self._write([*taken, turn])
                    return turn
            if not running:
                return None
            time.sleep(_PATIENCE)

    def taken(self) -> list[Turn]:
        """The turns that were ever taken, in order. Raises ValueError when the list is damaged."""
        path = self.folder / TURNS
        if not path.is_file():
            return []
        try:
            return [Turn(int(row["trial"]), int(row["rung"])) for row in read_json(path)]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); delete it, the same command takes the turns again"
            ) from None

    def forget_unfinished(self) -> None:
        """Let turns without a result be taken again: whoever took them is gone."""
        self._write([turn for turn in self.taken() if self.result(turn)])

    def result(self, turn: Turn) -> dict | None:
        """The result of a turn, or {"failed": reason}, or None for none yet. Raises ValueError for a damaged one."""
        if turn not in self._known:
            folder = self.folder / self.training(turn).folder
            for name in ("result.json", FAILED):
                path = folder / name
                if path.is_file():
                    try:
                        self._known[turn] = read_json(path) if name == FAILED else read_result(path, self.space)
                    except ValueError as error:
                        raise ValueError(f"{path}: {error}; delete it and run the same command again") from None
        return self._known.get(turn)

    def objectives(self, turn: Turn) -> tuple[float, float]:
        """Error and disparity of a finished turn on the validation people; infinite where it failed."""
        return self.on(turn, "validation")

    def on(self, turn: Turn, split: str) -> tuple[float, float]:
        """Error and disparity of a finished turn on the people of a split."""
        result = self.result(turn)
        if "failed" in result:
            return (float("inf"), float("inf"))
        return float(result[split]["error"]), float(result[split]["disparity"])

    def failed(self, turn: Turn, reason: str) -> None:
        """Note that the training of a turn cannot be finished."""
        folder = self.folder / self.training(turn).folder
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FAILED, {"failed": " ".join(reason.split())})

    def sentence(self, turn: Turn) -> str:
        """A finished turn in words."""
        result = self.result(turn)
        epochs = f"{self.trial(turn.trial)}, {self.rungs.budgets[turn.rung]:g} epochs"
        if "failed" in result:
            return f"       {epochs}: failed, {result['failed']}"
        error, disparity = self.objectives(turn)
        return f"       {epochs}: validation error {error:.3f}, disparity {disparity:.3f}"

    def _write(self, turns: Sequence[Turn]) -> None:
        write_json(self.folder / TURNS, [{"trial": turn.trial, "rung": turn.rung} for turn in turns])


def pool_of(run, networks: int, stage: str) -> list[Genotype]:
    """The `networks` best of the search by inherited scores, without regard to their heads; none for 0.

    They are the same on every rank, and those that the stage recorded where it has begun: a search that went on since
    does not change them. Raises ValueError when nothing was scored.
    """
    texts: list[str] = []
    if run.processes.leads:
        file = run.directory.path / stage / "config.json"
        if file.is_file():
            found = run.directory.config(stage).get("pool")
            if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
                raise ValueError(
                    f"{file} is damaged (pool must be a list of networks); delete the folder {file.parent}"
                )
            texts = found
        else:
            texts = [str(genotype) for genotype in _best(run, networks)] if networks else []
    return [run.setting.space.parse(text) for text in run.processes.broadcast(" ".join(texts)).split()]


def _best(run, networks: int) -> list[Genotype]:
    """The best scored networks with different blocks, front by front."""
    from dualfair.evolution.constraints import within
    from dualfair.runs.protocol import open_archive, searched_with
    from dualfair.stages.constraints import limits_of
    from dualfair.stages.search import open_scorer

    protocol_options, extra = searched_with(run.directory)
    archive = within(
        open_archive(run, open_scorer(run, protocol_options, extra=extra), protocol_options), limits_of(run)[0]
    )
    scored = [e for e in archive if np.isfinite(e.values[: archive.objectives]).all()]
    if not scored:
        raise ValueError(f"the search in {run.directory.path} has no scores; run 'dualfair search' first, or --pool 0")
    different: dict[tuple, Genotype] = {}
    for place in ranking(np.array([evaluation.values[: archive.objectives] for evaluation in scored])).tolist():
        different.setdefault(scored[place].genotype.blocks, scored[place].genotype)
    return [*different.values()][:networks]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep the other teams out, on this machine or on others that share the folder."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
