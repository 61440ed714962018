"""`dualfair search`: stage 2, NSGA-II over genotypes scored by the weights that they inherit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from dualfair.runs.config import build_configs, config_options, option, recorded
from dualfair.runs.devices import deterministic_option, device_option
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import in_words, join, say
from dualfair.runs.protocol import FURTHER_OBJECTIVES, ProtocolOptions, open_archive, people_in_words
from dualfair.stages.constraints import ConstraintOptions, open_limits, said_by
from dualfair.stages.initial_population import read_starts
from dualfair.stages.search_announcement import announce, floor_errors, say_searchability
from dualfair.stages.search_output import aligned, table, write_result
from dualfair.supernet.files import write_json
from dualfair.supernet.genotype import Genotype

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
@click.option("--start", multiple=True, help="A genotype to begin with, or 'paper' for the published ones; repeatable.")
@config_options(SearchOptions, ProtocolOptions, ConstraintOptions)
@device_option
@deterministic_option
def command(
    run_path: Path,
    extra: tuple[str, ...],
    exhaustive: bool,
    batch: int,
    start: tuple[str, ...],
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Stage 2: evolve subnets; every score is kept and never computed again."""
    from dualfair.runs.trained_run import open_trained

    options, protocol_options, limits = build_configs(
        given, preset, SearchOptions, ProtocolOptions, ConstraintOptions, stage="search"
    )
    if exhaustive and start:
        raise ValueError("--exhaustive scores every network; leave out --start")
    processes = join(device, deterministic)
    with RunDirectory(run_path, processes.leads).locked():
        run = open_trained(run_path, processes)
        if processes.leads:
            search(
                run,
                options,
                protocol_options,
                extra=extra,
                exhaustive=exhaustive,
                batch=batch,
                start=start,
                limiting=limits,
            )
        else:
            open_scorer(run, protocol_options, extra=extra, batch=batch).serve()
            if not why_unconfirmed(run, options):
                from dualfair.stages.confirm import confirming_scorer

                confirming_scorer(run, protocol_options, extra=extra, batch=batch).serve()
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


def refuse_other_protocol(run, protocol_options: ProtocolOptions) -> None:
    """Raise ValueError where networks of the run were retrained and judged otherwise: the numbers would be mixed up."""
    file = run.directory.path / "retrain/config.json"
    if not file.is_file():
        return
    there = asdict(recorded(ProtocolOptions, run.directory.config("retrain"), file))
    different = [name for name, value in asdict(protocol_options).items() if value != there[name]]
    if different:
        name = different[0]
        raise ValueError(
            f"networks of {run.directory.path} were retrained and judged with {name} = {there[name]!r}, this search "
            f"has {asdict(protocol_options)[name]!r}: copy its folder train into a directory of its own and search "
            "there"
        )


def open_scorer(run, protocol_options: ProtocolOptions, *, extra: Sequence[str] = (), batch: int = 128):
    """The scorer of a run's subnets on its validation faces, with error, disparity and `extra` as objectives."""
    from dualfair.runs.trained_run import inherited_scorer

    protocol = protocol_options.protocol()
    objectives = ("error", protocol.disparity_name, *extra)
    return inherited_scorer(
        run,
        "validation",
        protocol,
        calibrate=protocol_options.calibrate,
        objectives=objectives,
        batch=batch,
        people=protocol_options.people,
    )


def inherited_scores(run, genotypes: Sequence, protocol_options: ProtocolOptions, extra: Sequence[str] = ()) -> dict:
    """Scores of networks by a run's supernet, by column, (n,) each: from its archive, which keeps what is missing."""
    from dualfair.evolution.run import Run

    scorer = open_scorer(run, protocol_options, extra=extra)
    with open_archive(run, scorer, protocol_options) as archive:
        values = Run(scorer, archive, steps=1).step(genotypes).reshape(-1, len(scorer.columns))
    return {name: values[:, column] for column, name in enumerate(scorer.columns)}


def search(
    run,
    options: SearchOptions,
    protocol_options: ProtocolOptions,
    *,
    extra: Sequence[str] = (),
    exhaustive: bool = False,
    batch: int = 128,
    start: Sequence[str] = (),
    limiting: ConstraintOptions | None = None,
):
    """Search a trained run's space, confirm the front on fresh people and write it; returns the search's result.

    `start` are words as `initial_population.read_starts` reads them; networks beyond a limit are never scored and
    in no result.
    """
    from dualfair.presentation.progress import search_progress

    refuse_other_protocol(run, protocol_options)
    limiting = limiting or ConstraintOptions()
    starts, left_out = read_starts(start, run.setting.space)
    limits, costs = open_limits(run, limiting)
    if costs:
        costs.check_starts(starts)
    with said_by(costs, run.setting.space):
        random = random_subnets(run.setting.space, options, exhaustive, starts, limits)
    unconfirmed = why_unconfirmed(run, options)
    scorer = open_scorer(run, protocol_options, extra=extra, batch=batch)
    archive = open_archive(run, scorer, protocol_options)
    space, directory = run.setting.space, run.directory
    folder = directory.stage("search")
    config = {
        **asdict(options),
        **asdict(protocol_options),
        **asdict(limiting),
        "start": list(map(str, starts)),
        "objectives": scorer.objectives,
        "scored on": people_in_words(scorer.faces.identities),
        "exhaustive": exhaustive,
        "evaluations": space.size if exhaustive else min(options.population * options.generations, space.size),
    }
    write_json(folder / "config.json", config)
    directory.record_command("search", in_words(run.processes))
    floor = floor_errors(run, protocol_options, scorer.faces)
    how = f"all {space.size:,}" if exhaustive else f"{options.population} genotypes x {options.generations} generations"
    announce(run, scorer, archive, floor, how, costs, starts)
    for line in left_out:
        directory.say(f"        {line}")
    shown = archive.columns, archive.objectives, scorer.protocol.disparity_name
    with search_progress(folder / "tensorboard", *shown) as report:

        def follow(progress) -> None:
            report(progress)
            if progress.generation == 1 and not exhaustive:
                say_searchability(run, scorer, archive, random)

        kept = {
            "archive": archive,
            "batch": GENOTYPES_A_CALL * run.processes.size,
            "progress": follow,
            "limits": limits,
        }
        result = explore(space, scorer, None if exhaustive else options, starts, **kept)
    scorer.dismiss()
    if exhaustive:
        say_searchability(run, scorer, archive, random)
    further = costs.columns([evaluation.genotype for evaluation in result.front]) if costs else {}
    for line in (*result.notes, *table(result.front, scorer, further)):
        directory.say(line)
    confirmation = None
    if unconfirmed:
        directory.say(f"Not confirmed on fresh people: {unconfirmed}")
    else:
        least = options.confirm_candidates
        confirmation = confirm_and_say(
            run, protocol_options, result.archive, random, least=least, extra=extra, batch=batch
        )
    write_result(folder, result, scorer, floor, config, confirmation, costs.columns if costs else None)
    if result.fresh:
        directory.say(f"Common beginnings were run once: {scorer.work.saving:.2f} times less work than one by one")
    directory.say(
        f"Searched: {result.evaluations} genotypes, {result.reused} of them known before; {result.ended}. "
        f"The front has {int(confirmation.confirmed.sum()) if confirmation else len(result.front)} networks of "
        f"{len(result.archive)} scored{' within the limits' if costs else ''}; see {folder}/front.png"
    )
    return result


def explore(space, scorer, options: SearchOptions | None, start: Sequence[Genotype] = (), **kept: object):
    """Evolve genotypes from `start` on as the options say, or score the whole space for None; `kept` goes to either."""
    from dualfair.evolution.exhaustive import exhaustive
    from dualfair.evolution.nsga2 import search as evolve

    objectives = len(scorer.objectives)
    if options is None:
        return exhaustive(space, scorer, objectives, **kept)
    length = {name: value for name, value in asdict(options).items() if name != "confirm_candidates"}
    return evolve(space, scorer, objectives, start=start, **length, **kept)


def confirm_and_say(
    run, protocol_options: ProtocolOptions, archive, random: Sequence[Genotype], *, least: int, extra, batch: int
):
    """`stages.confirm.confirm`, said in a table and in words; None where no network has finite scores."""
    from dualfair.stages.confirm import confirm
    from dualfair.stages.confirmation_output import sentences, table_rows

    called = GENOTYPES_A_CALL * run.processes.size
    confirmation = confirm(run, protocol_options, archive, random, least=least, batch=called, extra=extra, images=batch)
    if confirmation:
        for line in (*aligned(table_rows(confirmation)), *sentences(confirmation)):
            run.directory.say(line)
    return confirmation


def random_subnets(
    space, options: SearchOptions, exhaustive: bool, start: Sequence[Genotype] = (), limits=None
) -> list[Genotype]:
    """Subnets drawn uniformly, within the limits, that the search scores.

    Its first generation without the networks that it starts from, or of an exhaustive search a seeded sample.
    """
    import numpy as np

    from dualfair.evolution.nsga2 import search as evolve

    if exhaustive and limits:
        drawn = limits.draw(SAMPLE, set(), np.random.default_rng(options.seed))
        if not len(drawn):
            raise limits.nothing()
        return [space.decode(vector) for vector in drawn]
    if exhaustive:
        return space.sample_distinct(min(SAMPLE, space.size), np.random.default_rng(options.seed))

    def nothing(genotypes: Sequence[Genotype]):
        return np.zeros((len(genotypes), 2))

    # One seed gives one run, whatever the scores are; so this is the first generation, also of a search that goes on.
    drawn = evolve(
        space, nothing, population=options.population, generations=1, seed=options.seed, start=start, limits=limits
    )
    return [evaluation.genotype for evaluation in drawn.evaluated if evaluation.genotype not in start]
