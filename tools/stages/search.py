"""Stage 2: NSGA-II over genotypes scored by the weights that they inherit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.evolution.archive import Archive
from dualfair.evolution.baselines import exhaustive as score_all
from dualfair.evolution.constraints import Constraints
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.run import Progress as Generation
from dualfair.evolution.run import SearchResult
from dualfair.presentation.search_board import search_board
from dualfair.presentation.table import aligned
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import in_words
from dualfair.runs.options import BATCH, ConstraintOptions, SearchOptions
from dualfair.runs.protocol import ProtocolOptions, people_in_words
from dualfair.runs.records.search import Front, SearchConfig
from dualfair.runs.records.training import RetrainConfig
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.watching import Progress, ShouldStop, ShowProgress, Stopped, never, silent
from dualfair.stages.confirm import Confirmation, confirm, confirming_scorer
from dualfair.stages.confirmation_output import sentences, table_rows
from dualfair.stages.constraints import NetworkConstraints, open_limits, said_by
from dualfair.stages.inherited import open_archive, open_scorer
from dualfair.stages.initial_population import read_starts
from dualfair.stages.search_announcement import announce, floor_errors, say_searchability
from dualfair.stages.search_output import front_of, table, write_tables
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

GENOTYPES_A_CALL = 8
"""Scored by a rank before all scores are written: what a kill loses. Common beginnings are shared within a call."""

SAMPLE = 32
"""Subnets drawn from a space that is searched exhaustively, to stand for random ones."""


@dataclass(frozen=True, kw_only=True)
class SearchTask:
    """All that a search is asked for. `start` are words as `initial_population.read_starts` reads them.

    `extra` are objectives beside error and disparity. `exhaustive` scores the whole space instead of evolving; `batch`
    images are scored at once.
    """

    options: SearchOptions = field(default_factory=SearchOptions)
    protocol: ProtocolOptions = field(default_factory=ProtocolOptions)
    constraints: ConstraintOptions = field(default_factory=ConstraintOptions)
    extra: tuple[str, ...] = ()
    exhaustive: bool = False
    batch: int = BATCH
    start: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.exhaustive and self.start:
            raise ValueError("--exhaustive scores every network; leave out --start")


@dataclass(frozen=True)
class _Prepared:
    """All that a search has before its first generation.

    `starts` are the networks that it begins with, `random` subnets that it is compared with; `floor` are the errors to
    beat, `constraints` and `costs` what bounds networks, None without. `unconfirmed` says why its front will not be
    confirmed, "" where it will.
    """

    scorer: InheritedScorer
    archive: Archive
    config: SearchConfig
    starts: Sequence[Genotype]
    random: Sequence[Genotype]
    floor: Mapping[str, float]
    constraints: Constraints | None
    costs: NetworkConstraints | None
    unconfirmed: str


def search(
    run: TrainedRun, task: SearchTask, *, progress: ShowProgress = silent, should_stop: ShouldStop = never
) -> Front | None:
    """Search a trained run's space and confirm the front on held-out identities; the front as it is written.

    Of several ranks the leading one searches, and the others score for it and return None. Networks beyond a constraint
    are never scored and in no result. When `should_stop` says so, `runs.watching.Stopped` is raised behind the
    generation at hand.
    """
    if not run.processes.leads:
        _serve(run, task)
        return None
    prepared = _prepare(run, task)
    with prepared.archive:
        result = _explore(run, task, prepared, progress, should_stop)
    confirmation = None
    if prepared.unconfirmed:
        run.directory.say(f"Not confirmed on fresh people: {prepared.unconfirmed}")
    else:
        confirmation = confirm_and_say(run, task, result, prepared.random)
    return _conclude(run.directory, prepared, result, confirmation)


def _serve(run: TrainedRun, task: SearchTask) -> None:
    """Score what the leading rank asks for, in the search and to confirm its front."""
    open_scorer(run, task.protocol, extra=task.extra, batch=task.batch).serve()
    if not why_unconfirmed(run, task.options):
        confirming_scorer(run, task.protocol, extra=task.extra, batch=task.batch).serve()


def _prepare(run: TrainedRun, task: SearchTask) -> _Prepared:
    """Check what is asked for against the run, record it, and say what begins."""
    refuse_other_protocol(run, task.protocol)
    space, directory = run.setting.space, run.directory
    starts, left_out = read_starts(task.start, space)
    constraints, costs = open_limits(run, task.constraints)
    if costs:
        costs.check_starts(starts)
    with said_by(costs, space):
        random = random_subnets(space, task, starts, constraints)
    unconfirmed = why_unconfirmed(run, task.options)
    scorer = open_scorer(run, task.protocol, extra=task.extra, batch=task.batch)
    archive = open_archive(run, scorer, task.protocol)
    config = _config(task, space, scorer, starts)
    config.write(directory.layout.search.config)
    directory.record_command(directory.layout.search, in_words(run.processes))
    floor = floor_errors(run, task.protocol, scorer.faces)
    announce(run, scorer, archive, floor, _in_words(task, space), costs, starts)
    for line in left_out:
        directory.say(f"        {line}")
    return _Prepared(scorer, archive, config, starts, random, floor, constraints, costs, unconfirmed)


def _explore(
    run: TrainedRun, task: SearchTask, prepared: _Prepared, progress: ShowProgress, should_stop: ShouldStop
) -> SearchResult:
    """Evolve, or score the whole space, and say what was reached on the search's own people."""
    scorer, tensorboard = prepared.scorer, run.directory.layout.search.tensorboard
    with search_board(tensorboard, scorer.columns, len(scorer.objectives), scorer.protocol.disparity_name) as log:

        def follow(generation: Generation) -> None:
            log(generation)
            progress(_progress(generation))
            if generation.generation == 1 and not task.exhaustive:
                say_searchability(run, scorer, generation.fresh, prepared.random)
            if should_stop() and generation.generation < generation.generations:
                # The other ranks wait for what is to be scored, here and to confirm the front.
                for _ in range(1 if prepared.unconfirmed else 2):
                    scorer.dismiss()
                raise Stopped(f"the search was stopped behind generation {generation.generation}; its scores are kept")

        result = explore(
            run.setting.space,
            scorer,
            None if task.exhaustive else task.options,
            prepared.starts,
            archive=prepared.archive,
            batch=GENOTYPES_A_CALL * run.processes.size,
            progress=follow,
            constraints=prepared.constraints,
        )
    scorer.dismiss()
    if task.exhaustive:
        say_searchability(run, scorer, result.evaluated, prepared.random)
    costs = prepared.costs
    further = costs.columns([evaluation.genotype for evaluation in result.front]) if costs else {}
    for line in (*result.notes, *table(result.front, scorer, further)):
        run.directory.say(line)
    return result


def _conclude(
    directory: RunDirectory, prepared: _Prepared, result: SearchResult, confirmation: Confirmation | None
) -> Front:
    """Write what the search came to, the front last, and say it."""
    layout, scorer, costs = directory.layout.search, prepared.scorer, prepared.costs
    write_tables(layout, result, scorer, confirmation)
    front = front_of(prepared.config, result, scorer, prepared.floor, confirmation, costs.columns if costs else None)
    front.write(layout.front)
    if result.fresh:
        directory.say(f"Common beginnings were run once: {scorer.work.saving:.2f} times less work than one by one")
    directory.say(
        f"Searched: {result.evaluations} genotypes, {result.reused} of them known before; {result.ended}. "
        f"The front has {len(front.networks)} networks of {len(result.scored)} scored"
        f"{' within the limits' if costs else ''}; see {layout.figure}"
    )
    return front


def _config(task: SearchTask, space: SearchSpace, scorer: InheritedScorer, starts: Sequence[Genotype]) -> SearchConfig:
    asked_for = min(task.options.population * task.options.generations, space.size)
    return SearchConfig(
        options=task.options,
        protocol=task.protocol,
        constraints=task.constraints,
        start=tuple(starts),
        objectives=tuple(scorer.objectives),
        scored_on=people_in_words(scorer.faces.identities),
        exhaustive=task.exhaustive,
        evaluations=space.size if task.exhaustive else asked_for,
    )


def _in_words(task: SearchTask, space: SearchSpace) -> str:
    if task.exhaustive:
        return f"all {space.size:,}"
    return f"{task.options.population} genotypes x {task.options.generations} generations"


def _progress(generation: Generation) -> Progress:
    note = f"{generation.evaluations} evaluated, {generation.reused} known, front {generation.front}"
    return Progress("search", generation.generation, generation.generations, "generation", note)


def why_unconfirmed(run: TrainedRun, options: SearchOptions) -> str:
    """Why the front of a search is not confirmed on held-out identities; "" where it is.

    Raises ValueError for a negative number of candidates.
    """
    if options.confirm_candidates < 0:
        raise ValueError(f"confirm_candidates must be 0 or more, got {options.confirm_candidates}")
    if options.confirm_candidates == 0:
        return "no candidates are confirmed: --confirm-candidates 0"
    return run.setting.unconfirmed


def refuse_other_protocol(run: TrainedRun, protocol_options: ProtocolOptions) -> None:
    """Raise ValueError where networks of the run were retrained and evaluated otherwise: numbers would be mixed up."""
    stage = run.directory.layout.retrain
    if not stage.config.is_file():
        return
    before, now = asdict(run.directory.config(stage, RetrainConfig).protocol), asdict(protocol_options)
    different = [name for name, value in now.items() if value != before[name]]
    if different:
        name = different[0]
        raise ValueError(
            f"networks of {run.directory.path} were retrained and judged with {name} = {before[name]!r}, this search "
            f"has {now[name]!r}: copy its folder train into a directory of its own and search there"
        )


def explore(
    space: SearchSpace,
    scorer: Callable,
    options: SearchOptions | None,
    start: Sequence[Genotype] = (),
    **kept: object,
) -> SearchResult:
    """Evolve genotypes from `start` on as the options say, or score the whole space for None; `kept` goes to either."""
    objectives = len(scorer.objectives)
    if options is None:
        return score_all(space, scorer, objectives, **kept)
    length = {name: value for name, value in asdict(options).items() if name != "confirm_candidates"}
    return evolve(space, scorer, objectives, initial_population=start, **length, **kept)


def confirm_and_say(
    run: TrainedRun, task: SearchTask, result: SearchResult, random: Sequence[Genotype]
) -> Confirmation | None:
    """`confirm.confirm`, said in a table and in words; None where no network has finite scores."""
    confirmation = confirm(
        run,
        task.protocol,
        result,
        random,
        least=task.options.confirm_candidates,
        batch=GENOTYPES_A_CALL * run.processes.size,
        extra=task.extra,
        images=task.batch,
    )
    if confirmation:
        for line in (*aligned(table_rows(confirmation)), *sentences(confirmation)):
            run.directory.say(line)
    return confirmation


def random_subnets(
    space: SearchSpace, task: SearchTask, start: Sequence[Genotype] = (), limits: Constraints | None = None
) -> list[Genotype]:
    """Subnets drawn uniformly, within the limits, that the search scores.

    Its first generation without the networks that it starts from, or of an exhaustive search a seeded sample.
    """
    options = task.options
    if task.exhaustive and limits:
        drawn = limits.draw(SAMPLE, set(), np.random.default_rng(options.seed))
        if not len(drawn):
            raise limits.nothing_feasible()
        return [space.decode(vector) for vector in drawn]
    if task.exhaustive:
        return space.sample_distinct(min(SAMPLE, space.size), np.random.default_rng(options.seed))

    def nothing(genotypes: Sequence[Genotype]) -> np.ndarray:
        return np.zeros((len(genotypes), 2))

    # One seed gives one run, whatever the scores are; so this is the first generation, also of a search that goes on.
    first = evolve(
        space,
        nothing,
        population=options.population,
        generations=1,
        seed=options.seed,
        initial_population=start,
        constraints=limits,
    )
    return [evaluation.genotype for evaluation in first.evaluated if evaluation.genotype not in start]
