"""`dualfair retrain`: stage 3, chosen networks from scratch, judged by the very same scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from dualfair.runs.config import build_configs, config_options, option, recorded
from dualfair.runs.devices import deterministic_option, device_option
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import in_words, join, say
from dualfair.runs.protocol import searched_with
from dualfair.runs.training_spec import TrainingSpec, recipe_with
from dualfair.runs.trainings import NAMED, add_to_plan
from dualfair.stages.retrain_again import retrain_inherited, retrain_short
from dualfair.stages.selection import Selection
from dualfair.stages.standalone_training import train_all
from dualfair.stages.survey import Survey, read_survey, surveys
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.recipe import Recipe

RANDOM_STREAM = 3
"""Beside the run's seed, so that the random networks are not those that a search draws with the same seed."""


@dataclass(frozen=True, kw_only=True)
class RetrainOptions:
    """Which networks are trained, and how often."""

    seeds: int = option(2, "Independent trainings of every network, seeds 0, 1, ...")
    controls: int = option(6, "Networks evenly spaced in inherited error, besides the front's knee and extremes.")
    random: int = option(0, "Networks drawn uniformly from the space, whatever was searched: the honest sample.")
    ranks_per_job: int = option(1, "With torchrun: ranks that train one network together; has to divide their number.")


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of the search.")
@click.option("--genotype", "named", multiple=True, help="Train these networks only; may be repeated.")
@click.option("--backbone", "backbones", multiple=True, help="Train this backbone of timm's; may be repeated.")
@click.option("--head", "heads", multiple=True, help="Heads of the backbones; may be repeated.  [default: all]")
@click.option("--survey", help="TOML file of backbones, heads and recipes, or one of: " + ", ".join(surveys()) + ".")
@click.option("--short", is_flag=True, help="Train all planned networks once more, together as long as the supernet.")
@click.option("--inherit", is_flag=True, help="Train all planned networks once more, from the supernet's weights.")
@click.option("--checkpoint-every", type=float, default=5.0, show_default=True, help="Minutes between checkpoints.")
@config_options(RetrainOptions, Recipe)
@device_option
@deterministic_option
def command(
    run_path: Path,
    named: tuple[str, ...],
    backbones: tuple[str, ...],
    heads: tuple[str, ...],
    survey: str | None,
    short: bool,
    inherit: bool,
    checkpoint_every: float,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Stage 3: train networks from scratch, by the supernet's recipe unless told otherwise.

    Networks named by hand, and backbones of timm's, are trained by the recipe that this stage recorded; whatever of it
    is changed becomes part of their names.
    """
    from dualfair.runs.trained_run import open_trained

    selection = Selection(named, backbones, heads, read_survey(survey) if survey else Survey())
    again = "--short" if short else "--inherit"
    if (short or inherit) and selection:
        raise ValueError(f"{again} trains every planned network; leave --genotype, --backbone and --survey out")
    if short and inherit:
        raise ValueError("--short and --inherit are two commands; give one of them")
    processes = join(device, deterministic)
    with RunDirectory(run_path, processes.leads).locked():
        run = open_trained(run_path, processes)
        base = recipe_of_stage(run) if selection or inherit else recipe_of(run)
        options, recipe = build_configs(given, preset, RetrainOptions, Recipe, stage="retrain", defaults=asdict(base))
        if short:
            retrain_short(run, options, recipe, checkpoint_minutes=checkpoint_every)
        elif inherit:
            retrain_inherited(run, options, recipe, checkpoint_minutes=checkpoint_every)
        elif selection:
            retrain_by_hand(run, selection, options, recipe, checkpoint_minutes=checkpoint_every)
        else:
            retrain(run, _selected(run, options), options, recipe, checkpoint_minutes=checkpoint_every)
    follow = "shelf" if selection.of_timm else "correlate"
    say(processes, f"Next: dualfair {follow} --run {run_path}")


def recipe_of(run) -> Recipe:
    """The recipe that the run's supernet was trained by."""
    return recorded(Recipe, run.config, run.directory.path / "train/config.json")


def recipe_of_stage(run) -> Recipe:
    """The recipe that retraining recorded in a run; the supernet's where nothing was retrained yet."""
    file = run.directory.path / "retrain/config.json"
    return recorded(Recipe, run.directory.config("retrain"), file) if file.is_file() else recipe_of(run)


def _selected(run, options: RetrainOptions) -> dict[Genotype, tuple[str, ...]]:
    """What the leader selects, on every rank; the others, which write no plan, know no samples."""
    chosen = select(run, options) if run.processes.leads else {}
    samples = {str(genotype): of for genotype, of in chosen.items()}
    texts = run.processes.broadcast(" ".join(samples)).split()
    return {run.setting.space.parse(text): samples.get(text, NAMED) for text in texts}


def select(run, options: RetrainOptions) -> dict[Genotype, tuple[str, ...]]:
    """The networks to train, each with its samples: why it is there.

    "front": the knee and the extremes of the front, of the confirmed one where there is one; "even": controls evenly
    spaced in inherited error, none of them among those; "random": networks drawn uniformly from the space by the run's
    seed, whatever was searched, so that they can be any of the others too. Raises ValueError where nothing was scored,
    or the space has not so many networks.
    """
    import numpy as np

    from dualfair.evaluation.statistics.ranking import evenly_spaced
    from dualfair.evolution.constraints import within
    from dualfair.evolution.pareto import knee, non_dominated
    from dualfair.stages.confirm import knee_and_extremes
    from dualfair.stages.constraints import limits_of
    from dualfair.stages.search import open_archive, open_scorer

    _check(options)
    protocol_options, extra = searched_with(run.directory)
    scorer = open_scorer(run, protocol_options, extra=extra)
    archive = within(open_archive(run, scorer, protocol_options), limits_of(run)[0])
    scored = [e for e in archive if np.isfinite(e.values[: archive.objectives]).all()]
    if not scored:
        raise ValueError(f"the search in {run.directory.path} has no scores; run 'dualfair search' first")
    values = np.array([evaluation.values[: archive.objectives] for evaluation in scored])
    chosen = knee_and_extremes(run)
    if not chosen:
        front = np.flatnonzero(non_dominated(values))
        places = [front[knee(values[front])], *(front[np.argmin(values[front, m])] for m in range(values.shape[1]))]
        chosen = [scored[place].genotype for place in places]
    rest = np.array([place for place, of in enumerate(scored) if of.genotype not in chosen], dtype=int)
    controls = rest[evenly_spaced(values[rest, 0], min(options.controls, len(rest)))]
    drawn = random_networks(run.setting.space, options.random, run.config["seed"])
    found: dict[Genotype, tuple[str, ...]] = {}
    for sample, genotypes in (
        ("front", chosen),
        ("even", [scored[number].genotype for number in controls.tolist()]),
        ("random", drawn),
    ):
        for genotype in dict.fromkeys(genotypes):
            found[genotype] = (*found.get(genotype, ()), sample)
    return found


def random_networks(space, n: int, seed: int) -> list[Genotype]:
    """`n` different networks drawn uniformly from a space; those of a smaller n come first while n is up to half of the
    space. Raises ValueError when the space holds fewer."""
    import numpy as np

    if n > space.size:
        raise ValueError(f"random must be at most {space.size:,}, all networks of space {space.name}; got {n:,}")
    return space.sample_distinct(n, np.random.default_rng([RANDOM_STREAM, seed]))


def _check(options: RetrainOptions) -> None:
    if options.seeds < 1 or options.controls < 0 or options.random < 0:
        raise ValueError(
            f"seeds must be 1 or more, controls and random 0 or more, got {options.seeds}, {options.controls} and "
            f"{options.random}"
        )


def retrain(
    run,
    genotypes: Mapping[Genotype, Sequence[str]],
    options: RetrainOptions,
    recipe: Recipe,
    *,
    checkpoint_minutes: float = 5.0,
) -> list[dict]:
    """Train every genotype, each with its samples as from `select`, with every seed, skipping what is done.

    Returns the results, one a training.
    """
    jobs = {TrainingSpec(genotype, (), seed): of for genotype, of in genotypes.items() for seed in range(options.seeds)}
    return train_jobs(run, jobs, options, recipe, checkpoint_minutes=checkpoint_minutes)


def retrain_by_hand(
    run, selection: Selection, options: RetrainOptions, recipe: Recipe, *, checkpoint_minutes: float = 5.0
) -> list[dict]:
    """Train networks and backbones that were named, as `retrain` does.

    Where `recipe`, or a recipe of the survey, differs from the one that the stage recorded, the difference is part of
    the training's name. In a run that has nothing retrained yet, named genotypes record `recipe` itself, while
    backbones leave the supernet's recipe to the stage.
    """
    new = not (run.directory.path / "retrain/config.json").is_file()
    base = recipe if new and not selection.of_timm else recipe_of_stage(run)
    # The leader writes what the other ranks look for.
    run.processes.wait()
    jobs = {
        replace(training, seed=seed): samples
        for training, samples in selection.trainings(run, recipe, base).items()
        for seed in range(options.seeds)
    }
    return train_jobs(run, jobs, options, base, checkpoint_minutes=checkpoint_minutes)


def train_jobs(
    run,
    jobs: Mapping[TrainingSpec, Sequence[str]],
    options: RetrainOptions,
    recipe: Recipe,
    *,
    checkpoint_minutes: float = 5.0,
) -> list[dict]:
    """Claim the stage for a recipe, plan the jobs with their samples, and train those that have no result yet.

    Returns the results, one a job. Raises ValueError when the stage was claimed for another recipe.
    """
    _check(options)
    protocol_options, _ = searched_with(run.directory)
    directory = run.directory
    configuration = directory.claim("retrain", {**asdict(recipe), **asdict(protocol_options), "weights": run.digest})
    directory.record_command("retrain", in_words(run.processes))
    faces = run.setting.splits["train"]
    epochs = sorted({recipe_with(recipe, job.changes).epochs for job in jobs})
    directory.say(
        f"Retrain: {len({job.label for job in jobs})} networks x {options.seeds} seeds from scratch on {len(faces):,} "
        f"images of {faces.identity_count:,} people, {' or '.join(f'{each:g}' for each in epochs)} epochs each; "
        f"{in_words(run.processes)}"
    )
    if directory.leads:
        add_to_plan(directory.stage("retrain"), {(job.label, job.seed): samples for job, samples in jobs.items()})
    return train_all(
        run,
        [*jobs],
        recipe,
        protocol_options,
        options.ranks_per_job,
        configuration=configuration,
        checkpoint_minutes=checkpoint_minutes,
    )
