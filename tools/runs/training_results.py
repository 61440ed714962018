"""The standalone trainings of a run directory: which have a result, which are missing, which are damaged."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dualfair.runs.layout import RunLayout, TrainingsLayout
from dualfair.runs.records.codec import read_whole
from dualfair.runs.records.training import NAMED, PlannedTraining, TrainingPlan, TrainingResult
from dualfair.runs.training_spec import TrainingSpec, is_plain, label_of_folder
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace


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
    recipe, have no inherited score to compare with (`read_results` has them). A result that is damaged counts as
    missing. Raises ValueError when no such training was ever asked for.
    """
    stage, damaged = layout.retrain, []
    try:
        plan = TrainingPlan(tuple(job for job in read_plan(stage).jobs if job.training.plain))
    except ValueError as error:
        plan = TrainingPlan()
        damaged.append(str(error))
    planned = {(job.training.label, job.training.seed) for job in plan.jobs}
    planned |= {(label, seed) for label, seed in stage.begun_trainings() if is_plain(label)}
    samples = plan.samples()
    by_network: dict[str, dict[int, TrainingResult]] = {}
    for training, result in read_results(stage, damaged, space, plain=True).items():
        by_network.setdefault(training.label, {})[training.seed] = result
    if not (by_network or planned or damaged):
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
        tuple(damaged),
        tuple(samples.get(label, NAMED) for label in whole),
    )


def read_results(
    stage: TrainingsLayout, damaged: list[str], space: SearchSpace | None = None, *, plain: bool = False
) -> dict[TrainingSpec, TrainingResult]:
    """The results of a stage by their trainings, in order of their paths, each as `read_result` reads it.

    They are of searched networks and of backbones, by any recipe; with `plain` only those of `is_plain`. Sentences on
    results that cannot be read are added to `damaged`.
    """
    results = {}
    for path in stage.results():
        if plain and not is_plain(label_of_folder(path.parts[-3])):
            continue
        try:
            result = read_result(path, space)
            results[result.training] = result
        except ValueError as error:
            damaged.append(str(error))
    return results


def read_result(path: Path, space: SearchSpace | None = None) -> TrainingResult:
    """The result of one training of a space's network or of a backbone. Without a space any genotype will do.

    Raises ValueError, naming the file, when it is not whole, or of another training than its folder's.
    """

    def parse(value: object) -> TrainingResult:
        result = TrainingResult.from_json(value)
        if space is None or result.training.is_backbone:
            return result
        network = space.parse(str(result.training.network))
        return replace(result, training=replace(result.training, network=network))

    again = "dualfair retrain --short" if path.parents[2].name == "short" else "dualfair retrain"
    result = read_whole(path, parse, f"delete it and run '{again}' again")
    if Path(*path.parts[-3:-1]) != result.training.folder:
        raise ValueError(f"{path}: it is of {result.training}, not of this folder's network; delete it")
    return result


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
