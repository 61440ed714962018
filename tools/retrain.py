"""`dualfair retrain`: stage 3, chosen networks from scratch, judged by the very same scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from supernet.genotype import Genotype
from supernet.recipe import Recipe
from tools.device import deterministic_option, device_option
from tools.judging import searched_with
from tools.launch import in_words, join, say
from tools.options import build_configs, config_options, option, recorded
from tools.run_directory import RunDirectory
from tools.standalone_training import train_all
from tools.trainings import NAMED, SHORT, add_to_plan, read_samples

RANDOM_STREAM = 3
"""Beside the run's seed, so that the random networks are not those that a search draws with the same seed."""

SHORT_SEED = 10**6
"""Added to the seeds of short trainings, so that they share no beginning with the trainings they are compared with."""


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
@click.option("--short", is_flag=True, help="Train all planned networks once more, together as long as the supernet.")
@click.option("--checkpoint-every", type=float, default=5.0, show_default=True, help="Minutes between checkpoints.")
@config_options(RetrainOptions, Recipe)
@device_option
@deterministic_option
def command(
    run_path: Path,
    named: tuple[str, ...],
    short: bool,
    checkpoint_every: float,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Stage 3: train networks from scratch, by the supernet's recipe unless told otherwise."""
    from tools.session import open_trained

    processes = join(device, deterministic)
    with RunDirectory(run_path, processes.leads).locked():
        run = open_trained(run_path, processes)
        options, recipe = build_configs(
            given, preset, RetrainOptions, Recipe, stage="retrain", defaults=asdict(recipe_of(run))
        )
        if short:
            if named:
                raise ValueError("--short trains every planned network; leave --genotype out")
            retrain_short(run, options, recipe, checkpoint_minutes=checkpoint_every)
        else:
            chosen = _named(run, named) if named else _selected(run, options)
            retrain(run, chosen, options, recipe, checkpoint_minutes=checkpoint_every)
    say(processes, f"Next: dualfair correlate --run {run_path}")


def recipe_of(run) -> Recipe:
    """The recipe that the run's supernet was trained by."""
    return recorded(Recipe, run.config, run.directory.path / "train/config.json")


def _named(run, named: Sequence[str]) -> dict[Genotype, tuple[str, ...]]:
    return dict.fromkeys(map(run.setting.space.parse, named), NAMED)


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

    from evaluation.ranking import evenly_spaced
    from evolution.pareto import knee, non_dominated
    from tools.confirmation import knee_and_extremes
    from tools.search import open_archive, open_scorer

    _check(options)
    judging, extra = searched_with(run.directory)
    scorer = open_scorer(run, judging, extra=extra)
    archive = open_archive(run, scorer, judging)
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
    _check(options)
    judging, _ = searched_with(run.directory)
    directory = run.directory
    configuration = directory.claim("retrain", {**asdict(recipe), **asdict(judging), "weights": run.digest})
    directory.record_command("retrain", in_words(run.processes))
    faces = run.setting.splits["train"]
    directory.say(
        f"Retrain: {len(genotypes)} networks x {options.seeds} seeds from scratch on {len(faces):,} images of "
        f"{faces.identity_count:,} people, {recipe.epochs:g} epochs each; {in_words(run.processes)}"
    )
    jobs = {(genotype, seed): of for genotype, of in genotypes.items() for seed in range(options.seeds)}
    if directory.leads:
        add_to_plan(
            directory.stage("retrain"), {(str(genotype), seed): samples for (genotype, seed), samples in jobs.items()}
        )
    return train_all(
        run,
        [*jobs],
        recipe,
        judging,
        options.ranks_per_job,
        configuration=configuration,
        checkpoint_minutes=checkpoint_minutes,
    )


def retrain_short(run, options: RetrainOptions, recipe: Recipe, *, checkpoint_minutes: float = 5.0) -> list[dict]:
    """Train every planned network once more, all of them together for as many path passes as the supernet's training.

    That is `short_epochs` each, by the recipe of retraining otherwise: what the supernet's price buys without one. The
    results are in RUN/short, by a seed of its own. Raises ValueError when no network is planned, or RUN/short holds
    trainings for another number of networks.
    """
    directory = run.directory
    planned = [run.setting.space.parse(text) for text in read_samples(directory.path / "retrain")]
    if not planned:
        raise ValueError(f"{directory.path} has no planned networks; run 'dualfair retrain' without --short first")
    paths = max(run.setting.space.sizes)
    epochs = short_epochs(run.config["epochs"], paths, len(planned), recipe.epochs)
    short = directory.path / SHORT
    if (short / "config.json").is_file() and (there := directory.config(SHORT).get("epochs")) != epochs:
        raise ValueError(
            f"{short} has trainings of {there} epochs, but {len(planned)} networks are planned, which is {epochs:g} "
            f"epochs each; delete that folder and run the same command again"
        )
    judging, _ = searched_with(directory)
    recipe = replace(recipe, epochs=epochs)
    configuration = directory.claim(
        SHORT, {**asdict(recipe), **asdict(judging), "weights": run.digest, "seeds from": SHORT_SEED}
    )
    directory.record_command(SHORT, in_words(run.processes))
    passes = epochs * len(planned) / (run.config["epochs"] * paths)
    directory.say(
        f"Short trainings: {len(planned)} networks once more, {epochs:.3g} epochs each; together {passes:.0%} of the "
        f"path passes of the supernet's training; {in_words(run.processes)}"
    )
    return train_all(
        run,
        [(genotype, 0) for genotype in planned],
        recipe,
        judging,
        options.ranks_per_job,
        stage=SHORT,
        first_seed=SHORT_SEED,
        configuration=configuration,
        checkpoint_minutes=checkpoint_minutes,
    )


def short_epochs(epochs: float, paths: int, networks: int, most: float) -> float:
    """Epochs of each of `networks` that together make as many path passes as a supernet, up to `most`.

    An epoch of a supernet passes the faces along `paths` paths, a network's along one.
    """
    return min(most, epochs * paths / networks)
