"""Stage 3: chosen networks by themselves, evaluated by the very same scorer."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from dualfair.evaluation.statistics.ranking import evenly_spaced
from dualfair.evolution.pareto import knee, non_dominated
from dualfair.runs.architectures import open_sampler, with_heads
from dualfair.runs.config import changed, check_code, code_of
from dualfair.runs.devices import Workplace, in_words
from dualfair.runs.initial_weights import InitialWeights, open_initial_weights
from dualfair.runs.layout import TrainingLayout, TrainingsLayout
from dualfair.runs.options import RetrainOptions
from dualfair.runs.prior import Prior, opened
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.training import NAMED, NetworkDescription, RetrainConfig, TrainingResult
from dualfair.runs.run_files import add_to_plan, read_plan
from dualfair.runs.teacher import Teacher, open_teacher
from dualfair.runs.trained_run import TrainedRun, recorded_store
from dualfair.runs.training_spec import TrainingSpec, is_plain
from dualfair.stages.confirm import confirmed_front
from dualfair.stages.inherited import check_judged, recorded_search, scored_networks
from dualfair.stages.selection import Selection
from dualfair.stages.standalone_training import HowTrained, TrainingStage, train_all
from dualfair.stages.teaching import measure_teacher
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.recipe import Recipe

SHORT_SEED = 10**6
"""Added to the seeds of short trainings, so that they share no beginning with the trainings they are compared with."""
LONG_SEED = 2 * SHORT_SEED
"""Added to those of long trainings."""
RANDOM_STREAM = 3
"""Beside the run's seed, so that the random networks are not those that a search draws with the same seed."""

Networks = Mapping[Genotype, Collection[str]]
"""Networks to train, each with its samples: why it is there."""


def recipe_of_stage(run: TrainedRun) -> Recipe:
    """The recipe that retraining recorded in a run; the supernet's where nothing was retrained yet."""
    stage = run.directory.layout.retrain
    if stage.config.is_file():
        return run.directory.config(stage, RetrainConfig).recipe
    return run.config.recipe


def prior_of_stage(run: TrainedRun, weights_from: Path | str | None = None, teacher: Path | str | None = None) -> Prior:
    """What retraining begins with: the weights and the teacher that are named (`prior.NONE`: none); those that are not,
    as it recorded in a run, or as the supernet did where nothing was retrained yet.

    Raises ValueError where they are not to be had, or do not fit the run.
    """
    stage, directory, people = run.directory.layout.retrain, run.directory, run.config.trained_on
    recorded, path, say = run.config, directory.path, directory.say
    if stage.config.is_file():
        recorded = directory.config(stage, RetrainConfig)

    def open_weights(place: Path) -> InitialWeights:
        return open_initial_weights(place, path, people, say)

    def open_its_teacher(place: Path) -> Teacher:
        store, size = recorded_store(path, run.config), run.setting.skeleton.image_size
        return open_teacher(place, path, store, people, size=size, device=run.device, say=say)

    weights = opened(weights_from, recorded.weights_from, path, open_weights)
    if weights and weights.network is None:
        weights.check(run.supernet)
    return Prior(weights, opened(teacher, recorded.teacher, path, open_its_teacher))


def selected(run: TrainedRun, options: RetrainOptions) -> Networks:
    """What the leader selects, on every rank; the others, which write no plan, know no samples."""
    chosen = select(run, options) if run.processes.leads else {}
    samples = {str(genotype): of for genotype, of in chosen.items()}
    texts = run.processes.broadcast(" ".join(samples)).split()
    return {run.setting.space.parse(text): samples.get(text, NAMED) for text in texts}


def select(run: TrainedRun, options: RetrainOptions) -> Networks:
    """The networks to train, each with its samples: why it is there.

    "front": the knee and the extremes of the front, of the confirmed one where there is one; "even": controls evenly
    spaced in the first inherited objective on images, none of them among those; "random": networks drawn uniformly
    from the space by the run's seed, whatever was searched, so that they can be any of the others too. Raises
    ValueError where nothing was scored, or the space has not so many networks.
    """
    scored, values = scored_networks(run)
    if not scored:
        raise ValueError(f"the search in {run.directory.path} has no scores; run 'dualfair search' first")
    names = recorded_search(run.directory).names
    if networks := confirmed_front(run):
        objectives = np.array([[network.confirmed[name] for name in names.minimised] for network in networks])
        front = [network.genotype for network in networks]
    else:
        leading = np.flatnonzero(non_dominated(values))
        objectives, front = values[leading], [scored[place].genotype for place in leading]
    chosen = [front[place] for place in (knee(objectives), *np.argmin(objectives, axis=0))]
    spaced = values[:, names.minimised.index(names.measured[0])]
    rest = np.array([place for place, of in enumerate(scored) if of.genotype not in chosen], dtype=int)
    controls = rest[evenly_spaced(spaced[rest], min(options.controls, len(rest)))]
    samples: dict[Genotype, tuple[str, ...]] = {}
    for sample, genotypes in (
        ("front", chosen),
        ("even", [scored[number].genotype for number in controls.tolist()]),
        ("random", random_networks(run.setting.space, options.random, run.config.options.seed)),
    ):
        for genotype in dict.fromkeys(genotypes):
            samples[genotype] = (*samples.get(genotype, ()), sample)
    return samples


def random_networks(space: SearchSpace, n: int, seed: int) -> list[Genotype]:
    """`n` different networks drawn uniformly from a space; those of a smaller n come first while n is up to half of the
    space. Raises ValueError when the space holds fewer."""
    if n > space.size:
        raise ValueError(f"random must be at most {space.size:,}, all networks of space {space.name}; got {n:,}")
    return space.sample_distinct(n, np.random.default_rng([RANDOM_STREAM, seed]))


def retrain(run: TrainedRun, networks: Networks, how: HowTrained) -> list[TrainingResult]:
    """Train every network, each with its samples as from `select`, with every seed, skipping what is done.

    Returns the results, one a training.
    """
    trainings = {
        TrainingSpec(genotype, (), seed): of for genotype, of in networks.items() for seed in range(how.options.seeds)
    }
    return train_planned(run, trainings, how)


def retrain_selection(run: TrainedRun, selection: Selection, how: HowTrained) -> list[TrainingResult]:
    """Train networks and backbones that were named, as `retrain` does.

    Where the recipe, or a recipe of the survey, differs from the one that the stage recorded, the difference is part of
    the training's name. In a run that has nothing retrained yet, named genotypes record the recipe itself, while
    backbones leave the supernet's recipe to the stage.
    """
    run = replace(run, setting=replace(run.setting, skeleton=with_heads(run.setting.skeleton, selection.heads)))
    new = not run.directory.layout.retrain.config.is_file()
    base = how.recipe if new and not selection.of_timm else recipe_of_stage(run)
    # The leader writes what the other ranks look for.
    run.processes.wait()
    trainings = {
        replace(training, seed=seed): samples
        for training, samples in selection.trainings(run, how.recipe, base).items()
        for seed in range(how.options.seeds)
    }
    return train_planned(run, trainings, replace(how, recipe=base))


def _check_heads(run: TrainedRun) -> None:
    """Raise ValueError where the supernet or a network was trained by a head of the same name, but of other code."""
    sources = {head.name: head.source for head in run.setting.skeleton.own_heads}
    code, layout = code_of(sources.values()), run.directory.layout
    check_code(run.config.code, code, f"the supernet of {layout.path} was trained")
    for place in map(
        TrainingLayout, (*layout.retrain.folders(), *layout.short.folders(), *layout.long.folders()) if sources else ()
    ):
        if not place.description.exists():
            continue
        description = NetworkDescription.read(place.description, "delete it")
        source = sources.get(description.training.network.head)
        if source and source not in description.heads.split(","):
            raise ValueError(
                f"{place.folder} was trained with head {description.heads or 'of another origin'!r}, not with "
                f"{source!r}; rename one of the functions"
            )
        check_code(description.code, code, f"{place.folder} was trained")


def train_planned(
    run: TrainedRun, trainings: Mapping[TrainingSpec, Collection[str]], how: HowTrained
) -> list[TrainingResult]:
    """Claim the stage for a recipe, plan the trainings with their samples, and train those that have no result yet.

    Returns the results (`train_all`). Raises ValueError when the stage was claimed for another recipe or other
    weights to start from, or these are of another network.
    """
    directory, weights = run.directory, how.prior.weights
    networks = dict.fromkeys(training.network for training in trainings)
    if weights and weights.network and (others := [network for network in networks if network != weights.network]):
        raise ValueError(
            f"{weights.place} has the weights of {weights.network}, which start no {others[0]}; name that network "
            "alone by --genotype or --backbone, or start from a run"
        )
    stage = _claimed(run, directory.layout.retrain, how)
    faces = run.setting.splits["train"]
    epochs = sorted({changed(how.recipe, dict(training.changes)).epochs for training in trainings})
    directory.say(
        f"Retrain: {len({training.label for training in trainings})} networks x {how.options.seeds} seeds "
        f"{start_in_words(how)} on {faces.amount()}{faces.of_classes}, "
        f"{' or '.join(f'{each:g}' for each in epochs)} epochs each; {in_words(run.processes)}"
    )
    if how.prior.teacher:
        protocol = stage.how.protocol.protocol()
        measure_teacher(Workplace(directory, run.processes), stage.layout, how.prior.teacher, run.setting, protocol)
    if weights and any(not weights.starts(network) for network in networks):
        directory.say(f"         Backbones start from scratch: {weights.place} has no weights of theirs")
    if directory.leads:
        add_to_plan(stage.layout, trainings)
    return train_all(run, stage, [*trainings])


def start_in_words(how: HowTrained) -> str:
    """What trainings begin with."""
    start = f"from the weights of {how.prior.weights.place}" if how.prior.weights else "from scratch"
    return f"{start} with the teacher {how.prior.teacher.place}" if how.prior.teacher else start


def retrain_short(run: TrainedRun, how: HowTrained) -> list[TrainingResult]:
    """Train every planned network once more, all of them together for as many path passes as the supernet's training.

    By the recipe of retraining otherwise, and for no more epochs: what the supernet's price buys without one. The
    results are in a stage of their own, by a seed of its own. Raises ValueError when no network is planned, or that
    stage holds trainings for another number of networks.
    """
    directory = run.directory
    layout = directory.layout.short
    plan = read_plan(directory.layout.retrain)
    labels = dict.fromkeys(job.training.label for job in plan.jobs if job.training.plain)
    if not labels:
        raise ValueError(f"{directory.path} has no planned networks; run 'dualfair retrain' without --short first")
    sizes, supernet_epochs = run.setting.space.sizes, run.config.recipe.epochs
    sampler = open_sampler(run.config.options.sampler, sizes)(sizes, run.config.options.seed)
    paths = sampler.paths_per_step * sampler.updates_per_batch * max(1, run.config.options.folds)
    # An epoch of a supernet passes the faces along that many paths, a network's along one.
    epochs = min(how.recipe.epochs, supernet_epochs * paths / len(labels))
    if layout.config.is_file():
        before = directory.config(layout, RetrainConfig).recipe.epochs
        if before != epochs:
            raise ValueError(
                f"{layout.folder} has trainings of {before} epochs, but {len(labels)} networks are planned, which is "
                f"{epochs:g} epochs each; delete that folder and run the same command again"
            )
    stage = _claimed(run, layout, replace(how, recipe=replace(how.recipe, epochs=epochs)), seeds_from=SHORT_SEED)
    passes = epochs * len(labels) / (supernet_epochs * paths)
    directory.say(
        f"Short trainings: {len(labels)} networks once more, {epochs:.3g} epochs each; together {passes:.0%} of the "
        f"path passes of the supernet's training; {in_words(run.processes)}"
    )
    trainings = [TrainingSpec(run.setting.space.parse(label)) for label in labels]
    return train_all(run, stage, trainings)


def retrain_long(run: TrainedRun, networks: int, how: HowTrained) -> list[TrainingResult]:
    """Train so many of the planned networks once more for twice the epochs of retraining, by a seed of their own:
    random ones where there are as many, in the order of the plan. The results are in a stage of their own.

    Raises ValueError where fewer are planned, or `how` has another recipe than retraining.
    """
    directory = run.directory
    samples = read_plan(directory.layout.retrain).samples()
    labels = [label for label in samples if is_plain(label)]
    random = [label for label in labels if "random" in samples[label]]
    recipe = recipe_of_stage(run)
    if not 2 <= networks <= len(labels):
        raise ValueError(
            f"--check-convergence must be 2 or more networks, and no more than the {len(labels)} that are planned in "
            f"{directory.path}; got {networks}; 'dualfair retrain' without it plans networks"
        )
    if how.recipe != recipe:
        raise ValueError("--check-convergence goes by the recipe of retraining: leave options of the recipe out")
    stage = _claimed(
        run,
        directory.layout.long,
        replace(how, recipe=replace(recipe, epochs=2 * recipe.epochs)),
        seeds_from=LONG_SEED,
    )
    chosen = (random if len(random) >= networks else labels)[:networks]
    directory.say(
        f"Long trainings: {networks} networks once more, {2 * recipe.epochs:g} epochs each; {in_words(run.processes)}"
    )
    trainings = [TrainingSpec(run.setting.space.parse(label)) for label in chosen]
    if directory.leads:
        add_to_plan(stage.layout, {training: samples[training.label] for training in trainings})
    return train_all(run, stage, trainings)


def _claimed(run: TrainedRun, layout: TrainingsLayout, how: HowTrained, seeds_from: int = 0) -> TrainingStage:
    """A stage, claimed for its recipe. Raises ValueError when it was claimed for another one."""
    search = SearchConfig.of(how.protocol) if how.protocol else recorded_search(run.directory)
    _check_heads(run)
    check_judged(run.directory, search.protocol)
    search.protocol.protocol().check(run.setting.splits["test"])
    config = RetrainConfig(
        recipe=how.recipe,
        protocol=search.protocol,
        names=search.names,
        weights=run.digest,
        seeds_from=seeds_from,
        code=search.protocol.code or None,
        **how.prior.record,
    )
    configuration = run.directory.claim(layout, config)
    run.directory.record_command(layout, in_words(run.processes))
    return TrainingStage(layout, replace(how, protocol=search.protocol), configuration, seeds_from)
