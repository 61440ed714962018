"""Stage 2: NSGA-II over genotypes scored by the weights that they inherit."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from dualfair.evaluation.answers import answered
from dualfair.evaluation.objectives import OBJECTIVES, caveats
from dualfair.evaluation.scoring.device_ranks import counter_on
from dualfair.evaluation.scoring.embedding import PixelMeans, pixel_embeddings
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_answers
from dualfair.evolution.archive import Archive
from dualfair.evolution.baselines import exhaustive
from dualfair.evolution.constraints import Constraints
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.run import Progress as Generation
from dualfair.evolution.run import Run, SearchResult
from dualfair.presentation.boards import search_board
from dualfair.runs.devices import in_words, seeded
from dualfair.runs.directory import RunDirectory
from dualfair.runs.layout import RunLayout
from dualfair.runs.options import ConstraintOptions, ProtocolOptions, SearchOptions, people_in_words
from dualfair.runs.records.prediction import Predictor
from dualfair.runs.records.search import Front, FrontNetwork, SearchConfig
from dualfair.runs.records.training import RetrainConfig
from dualfair.runs.trained_run import TrainedRun, calibration_images
from dualfair.runs.watching import Progress, ShouldStop, ShowProgress, Stopped, never, silent
from dualfair.stages.confirm import GENOTYPES_A_CALL, confirm
from dualfair.stages.inherited import (
    HELD_OUT,
    SEARCHED,
    Scoring,
    open_scorer,
    open_scoring,
    recorded_predictions,
    scored_at_once,
)
from dualfair.stages.prediction import (
    PredictedScorer,
    Predictions,
    open_trainings,
    prediction_sentences,
    predictor_of,
)
from dualfair.stages.search_output import (
    announcement,
    confirmation_sentences,
    confirmed_table,
    front_table,
    reliability_on,
    reliability_sentences,
    write_tables,
)
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.image_set import ImageSet
from dualfair.supernet.network import build
from dualfair.supernet.published import starts_of
from dualfair.supernet.space import SearchSpace

SAMPLE = 32
"""Subnets drawn from a space that is searched exhaustively, to stand for random ones."""
FREE = ("raw pixels", "an untrained network")
"""What costs nothing and has an error to beat."""


@dataclass(frozen=True, kw_only=True)
class SearchTask:
    """All that a search is asked for. `start` are words as `supernet.published.starts_of` reads them.

    `exhaustive` scores the whole space instead of evolving; `batch` images are scored at once, None:
    `inherited.scored_at_once`. `predictor` is a run whose trainings predict objectives, where that is shown to rank
    better.
    """

    options: SearchOptions = field(default_factory=SearchOptions)
    protocol: ProtocolOptions = field(default_factory=ProtocolOptions)
    constraints: ConstraintOptions = field(default_factory=ConstraintOptions)
    exhaustive: bool = False
    batch: int | None = None
    start: tuple[str, ...] = ()
    predictor: Path | None = None

    def __post_init__(self) -> None:
        if self.exhaustive and self.start:
            raise ValueError("--exhaustive scores every network; leave out --start")
        if self.options.confirm_candidates < 0:
            raise ValueError(f"confirm_candidates must be 0 or more, got {self.options.confirm_candidates}")


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
    splits = [SEARCHED] if unconfirmed else [SEARCHED, HELD_OUT]
    task = replace(task, protocol=replace(task.protocol, images_at_once=scored_at_once(run, task.batch)))
    if not run.processes.leads:
        for split in splits:
            open_scorer(run, task.protocol, split=split).serve()
        return None
    say, layout = run.directory.say, run.directory.layout.search
    scoring, config, random, begins = _prepare(run, task)
    predictions = recorded_predictions(run, config)
    with scoring:
        floor = floor_errors(run, task.protocol.calibrate, scoring.scorer.faces)
        for line in (*announcement(config, run.setting.space, scoring, floor, in_words(run.processes)), *begins):
            say(line)
        result = _explore(run, config, scoring, predictions, random, len(splits), progress, should_stop)
        columns = result.columns
        own = [FrontNetwork(each.genotype, dict(zip(columns, each.values, strict=True))) for each in result.front]
        for line in (*result.notes, *front_table(_limited(own, scoring), columns, config).lines()):
            say(line)
        confirmed = None if unconfirmed else confirm(run, config, result, random, predictions)
        networks, confirmation = confirmed or (own, None)
        front = Front(
            config=config,
            objectives=config.names.minimised,
            images=len(scoring.scorer.faces),
            errors_to_beat=floor,
            networks=_limited(networks, scoring),
            confirmation=confirmation,
        )
    for line in (*confirmed_table(front).lines(), *confirmation_sentences(front)) if confirmation else ():
        say(line)
    if unconfirmed:
        say(f"Not confirmed on fresh {scoring.scorer.faces.units}: {unconfirmed}")
    write_tables(layout, result, front, scoring.scorer.faces.units)
    front.write(layout.front)
    if result.fresh:
        say(f"Common beginnings were run once: {scoring.scorer.work.saving:.2f} times less work than one by one")
    within = " within the limits" if scoring.limits else ""
    say(
        f"Searched: {result.evaluations} genotypes, {result.reused} of them known before; {result.ended}. "
        f"The front has {len(front.networks)} networks of {result.evaluations} scored{within}; see {layout.figure}"
    )
    return front


def _prepare(run: TrainedRun, task: SearchTask) -> tuple[Scoring, SearchConfig, list[Genotype], list[str]]:
    """Open what the search scores by, check what is asked for against the run, and record it.

    Also the random subnets that the search is compared with, and lines on networks that it cannot begin with.
    """
    space, directory = run.setting.space, run.directory
    start, left_out = starts_of(task.start, space)
    config = SearchConfig.of(
        task.protocol,
        options=task.options,
        constraints=task.constraints,
        start=tuple(start),
        exhaustive=task.exhaustive,
    )
    _refuse_other_protocol(directory, config.protocol)
    scoring = open_scoring(run, config)
    if scoring.limits:
        scoring.limits.check_starts(start)
    random = random_subnets(space, config, scoring.constraints)
    evolved = min(task.options.population * task.options.generations, space.size)
    config = replace(
        config,
        scored_on=people_in_words(scoring.scorer.faces.identities, scoring.scorer.faces.units),
        timed_on=scoring.timed_on,
        evaluations=space.size if task.exhaustive else evolved,
    )
    predicted = []
    if task.predictor:
        predictor = _predictor(run, task.predictor, config, scoring)
        predictor.write(directory.layout.search.predictor)
        if predictor.used:
            config = replace(config, predicted=predictor.used, predictor=predictor.digest)
        predicted = prediction_sentences(predictor)
    config.write(directory.layout.search.config)
    directory.record_command(directory.layout.search, in_words(run.processes))
    notes = [*caveats(scoring.scorer.protocol.objectives, scoring.scorer.faces.identities), *predicted]
    return scoring, config, random, [f"        {line}" for line in (*left_out, *notes)]


def _predictor(run: TrainedRun, of: Path, config: SearchConfig, scoring: Scoring) -> Predictor:
    """The predictor by the trainings of a run directory; what inherited scores their networks lack is scored."""
    trained = open_trainings(run, RunLayout(of))
    for problem in (*trained.damaged, *(f"{label} has not all seeds" for label in trained.left_out)):
        run.directory.say(f"Not predicted by: {problem}")
    batch = GENOTYPES_A_CALL * run.processes.size
    values = Run(scoring.scorer, scoring.archive, steps=1, batch=batch).step(trained.genotypes)
    inherited = dict(zip(scoring.scorer.columns, values.T, strict=True))
    return predictor_of(run, trained, inherited, config.names.measured)


def _explore(
    run: TrainedRun,
    config: SearchConfig,
    scoring: Scoring,
    predictions: Predictions | None,
    random: Sequence[Genotype],
    scorers: int,
    progress: ShowProgress,
    should_stop: ShouldStop,
) -> SearchResult:
    """Evolve, or score the whole space; the other ranks serve so many `scorers`, one after the other."""
    scorer, archive, layout = scoring.scorer, scoring.archive, run.directory.layout.search
    score: InheritedScorer | PredictedScorer = scorer
    if predictions:
        score = PredictedScorer(scorer, archive, predictions)
        archive = Archive(measurement="predicted", columns=score.columns, objectives=len(scorer.objectives))

    def tell_reliability() -> None:
        reliability = reliability_on(scorer, scoring.archive.get(random).values(), random)
        reliability.write(layout.reliability)
        for line in reliability_sentences(reliability, scorer.protocol.objectives):
            run.directory.say(line)

    with search_board(layout.tensorboard, score.columns, config.names, scorer.faces.units) as log:

        def follow(generation: Generation) -> None:
            log(generation)
            note = f"{generation.evaluations} evaluated, {generation.reused} known, front {generation.front}"
            progress(Progress("search", generation.generation, generation.generations, "generation", note))
            if generation.generation == 1 and not config.exhaustive:
                tell_reliability()
            if should_stop() and generation.generation < generation.generations:
                for _ in range(scorers):
                    scorer.dismiss()
                raise Stopped(f"the search was stopped behind generation {generation.generation}; its scores are kept")

        how = {
            "archive": archive,
            "batch": GENOTYPES_A_CALL * run.processes.size,
            "progress": follow,
            "constraints": scoring.constraints,
        }
        if config.exhaustive:
            result = exhaustive(run.setting.space, score, len(scorer.objectives), **how)
        else:
            how |= {name: value for name, value in asdict(config.options).items() if name != "confirm_candidates"}
            result = evolve(run.setting.space, score, len(scorer.objectives), initial_population=config.start, **how)
    scorer.dismiss()
    if config.exhaustive:
        tell_reliability()
    return replace(result, reused=score.reused) if predictions else result


def _limited(networks: Sequence[FrontNetwork], scoring: Scoring) -> tuple[FrontNetwork, ...]:
    """Networks with the costs among their values that are limited and not scored."""
    if not scoring.limits:
        return tuple(networks)
    return tuple(replace(n, values={**n.values, **scoring.limits.unscored(n.genotype)}) for n in networks)


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


def floor_errors(run: TrainedRun, calibrate: int, images: ImageSet) -> dict[str, float]:
    """Errors that cost nothing: of raw pixels (`PixelMeans` where classes are told apart), and of an untrained network
    of the space."""
    space = run.setting.space
    # DPN's own block everywhere where the space has it, otherwise the space's first network.
    vanilla = Genotype.parse(f"101:{space.heads[0]}").repeat(space.blocks)
    genotype = vanilla if vanilla in space else space.decode([0] * len(space.sizes))
    with seeded(0):
        network = build(genotype, run.setting.skeleton, images.class_count).to(run.device)
    untrained = population_answers(network.eval(), [genotype], images, calibration_images(run, calibrate))[genotype]
    pixels = torch.from_numpy(pixel_embeddings(images))
    of_pixels = images.answer(PixelMeans(run.setting.splits["train"]), pixels).numpy()
    error, nearer = OBJECTIVES["error"], counter_on(run.device)
    answers = zip(FREE, (of_pixels, untrained), strict=True)
    return {name: error.value(answered(images, of, nearer=nearer)) for name, of in answers}


def random_subnets(space: SearchSpace, config: SearchConfig, limits: Constraints | None = None) -> list[Genotype]:
    """Subnets drawn uniformly, within the limits, that the search scores.

    Its first generation without the networks that it starts from, or of an exhaustive search a seeded sample.
    """
    options = config.options
    if config.exhaustive:
        rng = np.random.default_rng(options.seed)
        if limits is None:
            return space.sample_distinct(min(SAMPLE, space.size), rng)
        drawn = [space.decode(vector) for vector in limits.draw(SAMPLE, set(), rng)]
        if not drawn:
            raise limits.nothing_feasible()
        return drawn

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
