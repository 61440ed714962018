"""Stage 2: NSGA-II over genotypes scored by the weights that they inherit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from dualfair.evaluation.metrics.identification import error, ranks
from dualfair.evaluation.scoring.baseline import pixel_embeddings
from dualfair.evaluation.scoring.scorer import population_embeddings
from dualfair.evolution.archive import Evaluation
from dualfair.evolution.baselines import exhaustive
from dualfair.evolution.constraints import Constraints
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.run import Progress as Generation
from dualfair.evolution.run import SearchResult
from dualfair.presentation.search_board import search_board
from dualfair.runs.devices import in_words, seeded
from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import BATCH, ConstraintOptions, ProtocolOptions, SearchOptions, people_in_words
from dualfair.runs.records.search import Front, SearchConfig
from dualfair.runs.records.training import RetrainConfig
from dualfair.runs.trained_run import TrainedRun, calibration_images
from dualfair.runs.watching import Progress, ShouldStop, ShowProgress, Stopped, never, silent
from dualfair.stages.confirm import GENOTYPES_A_CALL, Confirmation, confirm
from dualfair.stages.confirmation_output import confirmed_table, sentences
from dualfair.stages.constraints import said_by
from dualfair.stages.inherited import HELD_OUT, Scoring, open_scorer, open_scoring
from dualfair.stages.search_output import announcement, front_of, front_table, write_tables
from dualfair.stages.searchability import reliability_on
from dualfair.stages.searchability import sentences as sentences_of_reliability
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.network import build
from dualfair.supernet.published import PUBLISHED
from dualfair.supernet.space import SearchSpace

SAMPLE = 32
"""Subnets drawn from a space that is searched exhaustively, to stand for random ones."""
FREE = ("raw pixels", "an untrained network")
"""What costs nothing and has an error to beat."""


@dataclass(frozen=True, kw_only=True)
class SearchTask:
    """All that a search is asked for. `start` are words as `read_starts` reads them.

    `exhaustive` scores the whole space instead of evolving; `batch` images are scored at once.
    """

    options: SearchOptions = field(default_factory=SearchOptions)
    protocol: ProtocolOptions = field(default_factory=ProtocolOptions)
    constraints: ConstraintOptions = field(default_factory=ConstraintOptions)
    exhaustive: bool = False
    batch: int = BATCH
    start: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.exhaustive and self.start:
            raise ValueError("--exhaustive scores every network; leave out --start")
        if self.options.confirm_candidates < 0:
            raise ValueError(f"confirm_candidates must be 0 or more, got {self.options.confirm_candidates}")


@dataclass(frozen=True)
class _Prepared:
    """All that a search has before its first generation.

    `random` are subnets that it is compared with, `floor` the errors to beat. `ranks` processes score; `unconfirmed`
    says why the front will not be confirmed, "" where it will.
    """

    directory: RunDirectory
    space: SearchSpace
    scoring: Scoring
    config: SearchConfig
    random: Sequence[Genotype]
    floor: Mapping[str, float]
    ranks: int
    unconfirmed: str

    def say(self, lines: Sequence[str]) -> None:
        """Say lines of text."""
        for line in lines:
            self.directory.say(line)


def search(
    run: TrainedRun, task: SearchTask, *, progress: ShowProgress = silent, should_stop: ShouldStop = never
) -> Front | None:
    """Search a trained run's space and confirm the front on held-out identities; the front as it is written.

    Of several ranks the leading one searches, and the others score for it and return None. Networks beyond a constraint
    are never scored and in no result. When `should_stop` says so, `runs.watching.Stopped` is raised behind the
    generation at hand.
    """
    off = task.options.confirm_candidates == 0
    unconfirmed = "no candidates are confirmed: --confirm-candidates 0" if off else run.setting.unconfirmed
    if not run.processes.leads:
        open_scorer(run, task.protocol, batch=task.batch).serve()
        if not unconfirmed:
            open_scorer(run, task.protocol, split=HELD_OUT, batch=task.batch).serve()
        return None
    prepared = _prepare(run, task, unconfirmed)
    with prepared.scoring:
        result = _explore(prepared, progress, should_stop)
        confirmation = None if unconfirmed else confirm(run, prepared.config, result, prepared.random, task.batch)
        return _conclude(prepared, result, confirmation)


def _prepare(run: TrainedRun, task: SearchTask, unconfirmed: str) -> _Prepared:
    """Open all that the search needs, check what is asked for against the run, record it, and say what begins."""
    space, directory = run.setting.space, run.directory
    start, left_out = read_starts(task.start, space)
    config = SearchConfig.of(
        task.protocol,
        options=task.options,
        constraints=task.constraints,
        start=tuple(start),
        exhaustive=task.exhaustive,
    )
    _refuse_other_protocol(directory, config.protocol)
    scoring = open_scoring(run, config, batch=task.batch)
    if scoring.limits:
        scoring.limits.check_starts(start)
    with said_by(scoring.limits):
        random = random_subnets(space, config, scoring.constraints)
    evolved = min(task.options.population * task.options.generations, space.size)
    config = replace(
        config,
        scored_on=people_in_words(scoring.scorer.faces.identities),
        timed_on=scoring.timed_on,
        evaluations=space.size if task.exhaustive else evolved,
    )
    config.write(directory.layout.search.config)
    devices = in_words(run.processes)
    directory.record_command(directory.layout.search, devices)
    floor = floor_errors(run, task.protocol.calibrate, scoring.scorer.faces)
    prepared = _Prepared(directory, space, scoring, config, random, floor, run.processes.size, unconfirmed)
    prepared.say(announcement(config, space, scoring, floor, devices) + [f"        {line}" for line in left_out])
    return prepared


def _explore(prepared: _Prepared, progress: ShowProgress, should_stop: ShouldStop) -> SearchResult:
    """Evolve, or score the whole space, and say what was reached on the search's own people."""
    scorer, config, directory = prepared.scoring.scorer, prepared.config, prepared.directory

    def tell_reliability(evaluations: Sequence[Evaluation]) -> None:
        reliability = reliability_on(scorer, evaluations, prepared.random)
        reliability.write(directory.layout.search.reliability)
        prepared.say(sentences_of_reliability(reliability, scorer.protocol.objectives))

    with search_board(directory.layout.search.tensorboard, scorer.columns, config.names) as log:

        def follow(generation: Generation) -> None:
            log(generation)
            note = f"{generation.evaluations} evaluated, {generation.reused} known, front {generation.front}"
            progress(Progress("search", generation.generation, generation.generations, "generation", note))
            if generation.generation == 1 and not config.exhaustive:
                tell_reliability(generation.fresh)
            if should_stop() and generation.generation < generation.generations:
                # The other ranks wait for what is to be scored, here and to confirm the front.
                for _ in range(1 if prepared.unconfirmed else 2):
                    scorer.dismiss()
                raise Stopped(f"the search was stopped behind generation {generation.generation}; its scores are kept")

        how = {
            "archive": prepared.scoring.archive,
            "batch": GENOTYPES_A_CALL * prepared.ranks,
            "progress": follow,
            "constraints": prepared.scoring.constraints,
        }
        if config.exhaustive:
            result = exhaustive(prepared.space, scorer, len(scorer.objectives), **how)
        else:
            how |= {name: value for name, value in asdict(config.options).items() if name != "confirm_candidates"}
            result = evolve(prepared.space, scorer, len(scorer.objectives), initial_population=config.start, **how)
    scorer.dismiss()
    if config.exhaustive:
        tell_reliability(result.evaluated)
    prepared.say([*result.notes, *front_table(result.front, prepared.scoring, config).lines()])
    return result


def _conclude(prepared: _Prepared, result: SearchResult, confirmation: Confirmation | None) -> Front:
    """Write what the search came to, the front last, and say it."""
    layout, scoring = prepared.directory.layout.search, prepared.scoring
    if confirmation:
        prepared.say([*confirmed_table(confirmation).lines(), *sentences(confirmation)])
    elif prepared.unconfirmed:
        prepared.say([f"Not confirmed on fresh people: {prepared.unconfirmed}"])
    write_tables(layout, result, prepared.config.names.minimised, confirmation)
    front = front_of(prepared.config, result, scoring, prepared.floor, confirmation)
    front.write(layout.front)
    if result.fresh:
        saving = scoring.scorer.work.saving
        prepared.say([f"Common beginnings were run once: {saving:.2f} times less work than one by one"])
    within = " within the limits" if scoring.limits else ""
    prepared.say(
        [
            f"Searched: {result.evaluations} genotypes, {result.reused} of them known before; {result.ended}. "
            f"The front has {len(front.networks)} networks of {len(result.scored)} scored{within}; see {layout.figure}"
        ]
    )
    return front


def _refuse_other_protocol(directory: RunDirectory, protocol: ProtocolOptions) -> None:
    """Raise ValueError where networks of the run were retrained and evaluated otherwise: numbers would be mixed up."""
    stage = directory.layout.retrain
    if not stage.config.is_file():
        return
    before, now = asdict(directory.config(stage, RetrainConfig).protocol), asdict(protocol)
    different = [name for name, value in now.items() if value != before[name]]
    if different:
        name = different[0]
        raise ValueError(
            f"networks of {directory.path} were retrained and judged with {name} = {before[name]!r}, this search "
            f"has {now[name]!r}: copy its folder train into a directory of its own and search there"
        )


def floor_errors(run: TrainedRun, calibrate: int, faces: FaceSet) -> dict[str, float]:
    """Errors on faces that cost nothing: of raw pixels, and of an untrained network of the space."""
    space = run.setting.space
    # DPN's own block everywhere where the space has it, otherwise the space's first network.
    vanilla = Genotype.parse(f"101:{space.heads[0]}").repeat(space.blocks)
    genotype = vanilla if vanilla in space else space.decode([0] * len(space.sizes))
    with seeded(0):
        network = build(genotype, run.setting.skeleton).to(run.device)
    untrained = population_embeddings(network.eval(), [genotype], faces, calibration_images(run, calibrate))[genotype]
    embeddings = (pixel_embeddings(faces), untrained)
    return {name: error(ranks(of, faces.identities)) for name, of in zip(FREE, embeddings, strict=True)}


def random_subnets(space: SearchSpace, config: SearchConfig, limits: Constraints | None = None) -> list[Genotype]:
    """Subnets drawn uniformly, within the limits, that the search scores.

    Its first generation without the networks that it starts from, or of an exhaustive search a seeded sample.
    """
    options = config.options
    if config.exhaustive and limits:
        drawn = limits.draw(SAMPLE, set(), np.random.default_rng(options.seed))
        if not len(drawn):
            raise limits.nothing_feasible()
        return [space.decode(vector) for vector in drawn]
    if config.exhaustive:
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
        initial_population=config.start,
        constraints=limits,
    )
    return [evaluation.genotype for evaluation in first.evaluated if evaluation.genotype not in config.start]


def read_starts(words: Sequence[str], space: SearchSpace) -> tuple[list[Genotype], list[str]]:
    """The genotypes to begin with that `words` name, each of them once, and sentences on what was left out.

    A word is a genotype of the space, or the name of a study: those of its networks that lie in the space. Raises
    ValueError for a genotype outside of it, and for a study of which no network lies in it.
    """
    genotypes: list[Genotype] = []
    left_out: list[str] = []
    for word in words:
        within, outside = [], []
        for text in PUBLISHED.get(word, (word,)):
            try:
                within.append(space.parse(text))
            except ValueError as error:
                if word not in PUBLISHED:
                    studies = ", ".join(PUBLISHED)
                    raise ValueError(f"--start {word[:60]}: {error}; or name a study: {studies}") from None
                outside.append(text)
        if not within:
            raise ValueError(f"no network of --start {word} lies in space {space.name}; name genotypes of that space")
        if outside:
            left_out.append(f"Of --start {word}, {', '.join(outside)} lie outside of space {space.name}: left out")
        genotypes += within
    return list(dict.fromkeys(genotypes)), left_out
