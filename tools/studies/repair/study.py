"""Strategies of repair side by side, on the same samples; judged on test samples beside the network as it was."""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dualfair.evaluation.decisions import BIASES, OF_RANKS, UNSIGNED, Judge, objective
from dualfair.evaluation.statistics.bootstrap import identity_bootstrap
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.devices import Workplace, seeded
from dualfair.runs.layout import Inside, StudyLayout
from dualfair.runs.records.codec import Record
from dualfair.runs.records.study import StudyReport
from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.baselines import BASELINES, OF_CLASSES, OF_TWO_CLASSES
from dualfair.studies.repair.strategies import STRUCTURAL, mask_options
from dualfair.studies.repair.task import Classifier, Task, at_best_threshold
from dualfair.supernet.files import write_csv

UNCHANGED, THRESHOLD = "unchanged", "threshold"
"""What repaired networks are compared with: of two classes, which all get a threshold, that with the best one."""
STRATEGIES = {**BASELINES, **STRUCTURAL}
MANY = 3
_OF_CLASSES = "accuracy", "balanced_accuracy"
MEASURES = {
    0: (("identification_rate",), OF_RANKS),
    2: (_OF_CLASSES[::-1], ("aod", "spd", "eod", UNSIGNED)),
    MANY: (_OF_CLASSES, (UNSIGNED,)),
}
"""Performances and biases of so many classes, 0 of faces, MANY of three or more; the first of each is the default."""


class RepairLayout(StudyLayout):
    """The folder that results are written to."""

    numbers = Inside("repair.json")
    table = Inside("repair.csv")

    def result(self, strategy: str, seed: int) -> Path:
        """The result of a strategy by a seed."""
        return self.folder / strategy / f"seed-{seed}" / "repair.json"


@dataclass(frozen=True, kw_only=True)
class Result(Record):
    """What a strategy by a seed came to on n test samples of so many people: performance and bias with 95 % intervals
    (a bias without a sign has none: chance alone makes it larger), the objective, for two classes the equal opportunity
    difference beside it; what performance and absolute bias are more than those of the reference on the same samples,
    with intervals; and the share of the weights that a mask removed. Of `seconds` a mask is part of the first strategy
    that asked for it. `configuration` identifies what was asked for.
    None is undefined."""

    strategy: str
    seed: int
    n: int
    people: int
    performance: float | None
    performance_low: float | None
    performance_high: float | None
    bias: float | None
    bias_low: float | None
    bias_high: float | None
    objective: float | None
    eod: float | None
    performance_difference: float | None
    performance_difference_low: float | None
    performance_difference_high: float | None
    absolute_bias_difference: float | None
    absolute_bias_difference_low: float | None
    absolute_bias_difference_high: float | None
    removed: float | None
    seconds: float
    configuration: str

    @property
    def absolute_bias(self) -> float | None:
        """The bias without its sign."""
        return None if self.bias is None else abs(self.bias)

    @property
    def less_biased(self) -> bool:
        """Whether its absolute bias is shown to be smaller than that of the reference."""
        return self.absolute_bias_difference_high is not None and self.absolute_bias_difference_high < 0

    @property
    def more_biased(self) -> bool:
        """Whether it is shown to be larger."""
        return self.absolute_bias_difference_low is not None and self.absolute_bias_difference_low > 0


@dataclass(frozen=True)
class RepairStudy(Record):
    """All results, what they are of, in words, and the strategy that others are compared with."""

    of: str
    options: RepairOptions
    performance: str
    bias: str
    reference: str
    results: tuple[Result, ...]

    @property
    def by_strategy(self) -> dict[str, list[Result]]:
        """The results of every strategy."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.strategy, []).append(result)
        return found

    def table(self) -> Table:
        """A row a strategy: means over the seeds that have a value, and how many of these are of use."""
        rows = [
            (
                *(strategy, len(of), _mean(of, "performance"), _mean(of, "absolute_bias"), _mean(of, "eod")),
                *(_mean(of, "objective"), sum(bool(each.objective) for each in of)),
                *(sum(each.less_biased for each in of), _mean(of, "removed"), _mean(of, "seconds")),
            )
            for strategy, of in self.by_strategy.items()
        ]
        names = (self.performance, f"|{self.bias}|", "eod", "objective")
        columns = [Column("strategy", "text"), Column("seeds", "whole"), *map(Column, names)]
        columns += [Column("within tolerance", "whole"), Column("shown less biased", "whole")]
        return table([*columns, Column("share removed"), Column("seconds")], rows, self.of)

    def sentences(self) -> list[str]:
        """Which strategies are shown to lessen or to raise the bias, and what that costs."""
        lessens = [self._sentence(of, "lessen", "less_biased") for of in self.by_strategy.values()]
        raises = [self._sentence(of, "raise", "more_biased") for of in self.by_strategy.values()]
        told = [*filter(None, lessens)] or [f"No strategy is shown to lessen |{self.bias}| against {self.reference}"]
        n = ", ".join(f"{count:,}" for count in sorted({result.n for result in self.results}))
        return [
            *told,
            *filter(None, raises),
            f"Of n = {n} test samples; intervals in repair.csv are 95 % bootstrap intervals over them, or their people",
        ]

    def _sentence(self, of: Sequence[Result], verb: str, shown: str) -> str | None:
        times = sum(getattr(each, shown) for each in of)
        if not times:
            return None
        bias, before = (_mean(each, "absolute_bias") for each in (of, self.by_strategy[self.reference]))
        cost = _mean(of, "performance_difference")
        return (
            f"{of[0].strategy} is shown to {verb} |{self.bias}| against {self.reference} in {times} of {len(of)} "
            f"seeds: mean {bias:.3f}, {self.reference} {before:.3f}; {self.performance} {cost:+.3f}"
        )


def _mean(results: Sequence[Result], name: str) -> float | None:
    values = [getattr(result, name) for result in results if getattr(result, name) is not None]
    return float(np.mean(values)) if values else None


def chosen_strategies(names: Sequence[str], classes: int) -> list[str]:
    """The strategies that are asked for, or all that there are for so many classes, 0 of faces, behind what they are
    compared with. Raises ValueError for unknown ones, and for those of other classes."""
    if unknown := [name for name in names if name not in STRATEGIES]:
        raise ValueError(f"unknown strategy {unknown[0]!r}; choose from {', '.join(STRATEGIES)}")
    not_for_these = () if classes == 2 else OF_TWO_CLASSES if classes else OF_CLASSES
    if wrong := [name for name in names if name in not_for_these]:
        raise ValueError(f"{wrong[0]} is for {'two classes' if classes else 'labelled images'}; leave it out")
    every = [name for name in STRATEGIES if name not in not_for_these]
    return list(dict.fromkeys([UNCHANGED, *([THRESHOLD] if classes == 2 else []), *(names or every)]))


def judge_of(options: RepairOptions, classes: int) -> Judge:
    """What the options judge by, for so many classes, 0 of faces. Raises ValueError for what has no value for these,
    and for masks that cannot be."""
    mask_options(options)
    performances, biases = MEASURES.get(classes, MEASURES[MANY])
    judge = Judge(options.performance or performances[0], options.bias or biases[0], options.tolerance)
    of = {0: "faces", 2: "two classes"}.get(classes, f"{classes} classes")
    for what, name, known in (("performance", judge.performance, performances), ("bias", judge.bias, biases)):
        if name not in known:
            raise ValueError(f"{name} is no measure of {of}; take --{what} {' or '.join(known)}")
    return judge


def repair(
    task_of: Callable[[int], Task],
    strategies: Sequence[str],
    judge: Judge,
    options: RepairOptions,
    place: Workplace,
    of: str,
    digest: str,
    write: Callable[[Classifier, Path, float], None] | None = None,
) -> RepairStudy:
    """Repair by every strategy and seed, and judge all on the test samples; all is kept in the workplace's directory.

    `task_of` gives the task of a seed, of which `digest` identifies what it is made of and `of` says it in words;
    `write` writes a repaired classifier to a folder, with the seconds that it took. What is there already is not done
    again. Raises ValueError where the directory holds results of something else.
    """
    directory, layout = place.directory, RepairLayout(place.directory.path)
    asked = replace(options, seeds=1)
    configuration = hashlib.sha256(repr((digest, asked, judge)).encode()).hexdigest()
    results, reference = [], THRESHOLD if THRESHOLD in strategies else UNCHANGED
    for seed in range(options.seeds):
        there = {strategy: _read(layout.result(strategy, seed), configuration) for strategy in STRATEGIES}
        if not all(there[strategy] for strategy in strategies):
            with seeded(seed):
                task = task_of(seed)
            before = STRATEGIES[reference](task, options, seed).decisions(task, task.test)
            for strategy in strategies:
                if there[strategy] is None:
                    directory.say(f"{strategy}, seed {seed}")
                    result = _result(strategy, task, before, options, seed, configuration, layout, write)
                    there[strategy] = result
                    if result.removed == 0:
                        directory.say("  its mask removed nothing: take more --mask-epochs or a higher --mask-lr")
        # What other commands have finished here is told, too.
        results += [result for result in there.values() if result]
    study = RepairStudy(of, options, judge.performance, judge.bias, reference, tuple(results))
    study.write(layout.numbers)
    cells = [result.to_json() for result in results]
    write_csv(layout.table, [[*cells[0]], *([*row.values()] for row in cells)])
    shown, sentences = study.table(), study.sentences()
    question = "Which strategy of repair lessens the bias of a trained network?"
    StudyReport(question=question, sentences=tuple(f"{each}." for each in sentences), tables=(shown,)).write(
        layout.report
    )
    for line in (of, *shown.lines(), *sentences, f"Everything is in {directory.path}"):
        directory.say(line)
    return study


def _read(path: Path, configuration: str) -> Result | None:
    if not path.is_file():
        return None
    result = Result.read(path, f"delete {path.parent} to do it again")
    if result.configuration != configuration:
        raise ValueError(f"{path} is of another network, data or options; choose another directory with --out")
    return result


def _result(
    strategy: str,
    task: Task,
    before: np.ndarray,
    options: RepairOptions,
    seed: int,
    configuration: str,
    layout: RepairLayout,
    write: Callable[[Classifier, Path, float], None] | None,
) -> Result:
    begun = time.perf_counter()
    with seeded(seed):
        repaired = STRATEGIES[strategy](task, options, seed)
        if repaired.classifier is not None and strategy not in (UNCHANGED, THRESHOLD):
            at_best_threshold(task, repaired.classifier)
    seconds = time.perf_counter() - begun
    labels, second = task.test.answers
    predicted, judge = repaired.decisions(task, task.test), task.judge

    def statistic(rows: np.ndarray) -> np.ndarray:
        of = [judge.measured(given[rows], labels[rows], second[rows]) for given in (predicted, before)]
        (performance, bias), (performance_before, bias_before) = of
        return np.array([performance, bias, performance - performance_before, abs(bias) - abs(bias_before)])

    people = task.test.identities
    intervals = identity_bootstrap(statistic, people, resamples=options.resamples, seed=options.seed)
    names = ("performance", "bias", "performance_difference", "absolute_bias_difference")
    numbers = {}
    for name, interval in zip(names, intervals, strict=True):
        numbers |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    if judge.bias == UNSIGNED:
        numbers |= {"bias_low": None, "bias_high": None}
    phi = None
    if None not in (numbers["performance"], numbers["bias"]):
        phi = objective(numbers["performance"], numbers["bias"], judge.tolerance)
    eod = BIASES["eod"](predicted, labels, second) if task.binary else math.nan
    path = layout.result(strategy, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    if write and repaired.classifier is not None:
        write(repaired.classifier, path.parent, seconds)
    result = Result(
        strategy=strategy,
        seed=seed,
        n=len(labels),
        people=len(np.unique(people)),
        objective=phi,
        eod=None if math.isnan(eod) else eod,
        removed=repaired.removed,
        seconds=seconds,
        configuration=configuration,
        **numbers,
    )
    # The result says that the network beside it is whole.
    result.write(path)
    return result
