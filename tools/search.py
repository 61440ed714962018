"""`dualfair search`: stage 2, NSGA-II over genotypes scored by the weights that they inherit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from supernet.atomic import write_json
from supernet.genotype import Genotype
from tools.device import deterministic_option, device_option, seed_everything
from tools.judging import FURTHER_OBJECTIVES, JudgingOptions, open_archive, people_in_words
from tools.launch import in_words, join, say
from tools.options import build_configs, config_options, option
from tools.run_directory import RunDirectory
from tools.search_output import aligned, table, write_result

GENOTYPES_A_CALL = 8
"""Scored by a rank before all scores are written: what a kill loses. Common beginnings are shared within a call."""

SAMPLE = 32
"""Subnets drawn from a space that is searched exhaustively, to stand for random ones."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How long NSGA-II searches."""

    population: int = option(32, "Genotypes a generation.")
    generations: int = option(10, "Generations, the random first one included.")
    siblings: int = option(
        1, "Children with a common beginning: 2 saves a third of the work at a slightly worse front."
    )
    seed: int = option(0, "Seed of the search.")
    confirm_candidates: int = option(
        16, "Least networks of the first layers that are scored again on people kept from the search; 0 = none."
    )


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of training.")
@click.option("--objective", "extra", multiple=True, type=click.Choice(FURTHER_OBJECTIVES), help="A further objective.")
@click.option("--exhaustive", is_flag=True, help="Score the whole space instead; for -shared spaces.")
@click.option("--batch", type=int, default=128, show_default=True, help="Images scored at once.")
@config_options(SearchOptions, JudgingOptions)
@device_option
@deterministic_option
def command(
    run_path: Path,
    extra: tuple[str, ...],
    exhaustive: bool,
    batch: int,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Stage 2: evolve subnets; every score is kept and never computed again."""
    from tools.session import open_trained

    options, judging = build_configs(given, preset, SearchOptions, JudgingOptions, stage="search")
    processes = join(device, deterministic)
    with RunDirectory(run_path, processes.leads).locked():
        run = open_trained(run_path, processes)
        if processes.leads:
            search(run, options, judging, extra=extra, exhaustive=exhaustive, batch=batch)
        else:
            open_scorer(run, judging, extra=extra, batch=batch).serve()
            if not why_unconfirmed(run, options):
                from tools.confirmation import confirming_scorer

                confirming_scorer(run, judging, extra=extra, batch=batch).serve()
    say(processes, f"Next: dualfair retrain --run {run_path}")


def why_unconfirmed(run, options: SearchOptions) -> str:
    """Why the front of a search is not confirmed on fresh people; "" where it is.

    Raises ValueError for a negative number of candidates.
    """
    if options.confirm_candidates < 0:
        raise ValueError(f"confirm_candidates must be 0 or more, got {options.confirm_candidates}")
    if options.confirm_candidates == 0:
        return "no candidates are confirmed: --confirm-candidates 0"
    return run.setting.unconfirmed


def open_scorer(run, judging: JudgingOptions, *, extra: Sequence[str] = (), batch: int = 128):
    """The scorer of a run's subnets on its validation faces, with error, disparity and `extra` as objectives."""
    from tools.session import inherited_scorer

    protocol = judging.protocol()
    objectives = ("error", protocol.disparity_name, *extra)
    return inherited_scorer(
        run,
        "validation",
        protocol,
        calibrate=judging.calibrate,
        objectives=objectives,
        batch=batch,
        people=judging.people,
    )


def inherited_scores(run, genotypes: Sequence, judging: JudgingOptions, extra: Sequence[str] = ()) -> dict:
    """Scores of networks by a run's supernet, by column, (n,) each: from its archive, which keeps what is missing."""
    from evolution.run import Run

    scorer = open_scorer(run, judging, extra=extra)
    with open_archive(run, scorer, judging) as archive:
        values = Run(scorer, archive, steps=1).step(genotypes).reshape(-1, len(scorer.columns))
    return {name: values[:, column] for column, name in enumerate(scorer.columns)}


def search(
    run,
    options: SearchOptions,
    judging: JudgingOptions,
    *,
    extra: Sequence[str] = (),
    exhaustive: bool = False,
    batch: int = 128,
):
    """Search a trained run's space, confirm the front on fresh people and write it; returns the search's result."""
    from tools.progress import search_progress

    unconfirmed = why_unconfirmed(run, options)
    scorer = open_scorer(run, judging, extra=extra, batch=batch)
    archive = open_archive(run, scorer, judging)
    space, directory = run.setting.space, run.directory
    folder = directory.stage("search")
    config = {
        **asdict(options),
        **asdict(judging),
        "objectives": scorer.objectives,
        "scored on": people_in_words(scorer.faces.identities),
        "exhaustive": exhaustive,
        "evaluations": space.size if exhaustive else min(options.population * options.generations, space.size),
    }
    write_json(folder / "config.json", config)
    directory.record_command("search", in_words(run.processes))
    floor = floor_errors(run, judging, scorer.faces)
    announce(run, scorer, archive, floor, None if exhaustive else options)
    random = random_subnets(space, options, exhaustive)
    with search_progress(folder / "tensorboard") as report:

        def follow(progress) -> None:
            report(progress)
            if progress.generation == 1 and not exhaustive:
                say_searchability(run, scorer, archive, random)

        kept = {"archive": archive, "batch": GENOTYPES_A_CALL * run.processes.size, "progress": follow}
        result = explore(space, scorer, None if exhaustive else options, **kept)
    scorer.dismiss()
    if exhaustive:
        say_searchability(run, scorer, archive, random)
    for line in (*result.notes, *table(result.front, scorer)):
        directory.say(line)
    confirmation = None
    if unconfirmed:
        directory.say(f"Not confirmed on fresh people: {unconfirmed}")
    else:
        least = options.confirm_candidates
        confirmation = confirm_and_say(run, judging, archive, random, least=least, extra=extra, batch=batch)
    write_result(folder, result, scorer, floor, config, confirmation)
    if result.fresh:
        directory.say(f"Common beginnings were run once: {scorer.work.saving:.2f} times less work than one by one")
    directory.say(
        f"Searched: {result.evaluations} genotypes, {result.reused} of them known before; {result.ended}. "
        f"The front has {int(confirmation.confirmed.sum()) if confirmation else len(result.front)} networks of "
        f"{len(archive)} scored; see {folder}/front.png"
    )
    return result


def announce(run, scorer, archive, floor: dict[str, float], options: SearchOptions | None) -> None:
    """Say what is searched, on whom, and what is to beat; without options the whole space is scored."""
    space, faces, say_line = run.setting.space, scorer.faces, run.directory.say
    how = f"{options.population} genotypes x {options.generations} generations" if options else f"all {space.size:,}"
    say_line(
        f"Search: {how} of space {space.name} ({space.size:,}); minimise {', '.join(scorer.objectives)} on "
        f"{len(faces):,} images of {faces.identity_count} unseen people; {in_words(run.processes)}"
    )
    if archive.others:
        say_line(f"        {archive.others} scores measured with other weights, settings or people are kept, not used")
    say_line("        to beat: error " + ", ".join(f"{value:.3f} of {name}" for name, value in floor.items()))


def explore(space, scorer, options: SearchOptions | None, **kept: object):
    """Evolve genotypes as the options say, or score the whole space for None; `kept` goes to either."""
    from evolution.exhaustive import exhaustive
    from evolution.search import search as evolve

    objectives = len(scorer.objectives)
    if options is None:
        return exhaustive(space, scorer, objectives, **kept)
    length = {name: value for name, value in asdict(options).items() if name != "confirm_candidates"}
    return evolve(space, scorer, objectives, **length, **kept)


def confirm_and_say(
    run, judging: JudgingOptions, archive, random: Sequence[Genotype], *, least: int, extra, batch: int
):
    """`tools.confirmation.confirm`, said in a table and in words; None where no network has finite scores."""
    from tools.confirmation import confirm
    from tools.confirmation_output import sentences, table_rows

    called = GENOTYPES_A_CALL * run.processes.size
    confirmation = confirm(run, judging, archive, random, least=least, batch=called, extra=extra, images=batch)
    if confirmation:
        for line in (*aligned(table_rows(confirmation)), *sentences(confirmation)):
            run.directory.say(line)
    return confirmation


def random_subnets(space, options: SearchOptions, exhaustive: bool) -> list[Genotype]:
    """Subnets drawn uniformly that the search scores: its first generation, or of an exhaustive one a seeded sample."""
    import numpy as np

    from evolution.search import search as evolve

    if exhaustive:
        return space.sample_distinct(min(SAMPLE, space.size), np.random.default_rng(options.seed))

    def nothing(genotypes: Sequence[Genotype]):
        return np.zeros((len(genotypes), 2))

    # One seed gives one run, whatever the scores are; so this is the first generation, also of a search that goes on.
    drawn = evolve(space, nothing, population=options.population, generations=1, seed=options.seed)
    return [evaluation.genotype for evaluation in drawn.evaluated]


def say_searchability(run, scorer, archive, genotypes: Sequence[Genotype]) -> None:
    """Say, and write to reliability.json, which measures tell random subnets apart on the search's people."""
    import numpy as np
    from tqdm import tqdm

    from tools.searchability import searchability, sentences, to_dict

    faces = scorer.faces
    rows = np.array([archive.get(genotype).values for genotype in genotypes])
    values = dict(zip(scorer.columns, rows.T, strict=True))
    people = {group: len(set(faces.identities[faces.groups == group].tolist())) for group in faces.group_names}
    found = searchability(values, scorer.protocol.measures, faces.identity_count)
    write_json(run.directory.stage("search") / "reliability.json", to_dict(found, people))
    with tqdm.external_write_mode():
        for line in sentences(found, scorer.protocol.disparity_name, people):
            run.directory.say(line)


def floor_errors(run, judging: JudgingOptions, faces) -> dict[str, float]:
    """Errors on faces that cost nothing: of raw pixels, and of an untrained vanilla network."""
    from evaluation.baseline import pixel_embeddings
    from evaluation.identification import error, ranks
    from evaluation.scoring import population_embeddings
    from supernet.dpn import build
    from tools.session import calibration_images

    seed_everything(0)
    network = build(f"101:{run.setting.space.heads[0]}", run.setting.skeleton).to(run.device)
    calibration = calibration_images(run, judging.calibrate, run.config["seed"])
    untrained = population_embeddings(network.eval(), [network.genotype], faces, calibration)[network.genotype]
    return {
        "raw pixels": error(ranks(pixel_embeddings(faces), faces.identities)),
        "an untrained network": error(ranks(untrained, faces.identities)),
    }
