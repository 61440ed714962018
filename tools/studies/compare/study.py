"""`dualfair compare`: is NSGA-II worth it? Against random search at equal evaluations, and the exhaustive truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import click

from dualfair.runs.config import recorded
from dualfair.runs.devices import describe, deterministic_option, device_option
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import join
from dualfair.runs.options import SearchOptions
from dualfair.runs.protocol import open_archive, searched_with
from dualfair.stages.constraints import limits_of, said_by
from dualfair.stages.search import open_scorer
from dualfair.stages.search_output import aligned
from dualfair.supernet.files import write_csv, write_json

SEEDS = 10


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of a search.")
@click.option("--seeds", type=click.IntRange(2, 1000), default=SEEDS, show_default=True, help="Runs of each method.")
@click.option("--population", type=click.IntRange(2), help="Genotypes a generation.  [default: the search's]")
@click.option("--generations", type=click.IntRange(1), help="Generations of NSGA-II.  [default: the search's]")
@device_option
@deterministic_option
def command(
    run_path: Path, seeds: int, population: int | None, generations: int | None, device: str, deterministic: bool
) -> None:
    """Compare NSGA-II with random search at equal evaluations, over seeds; small spaces are scored as a whole."""
    from dualfair.runs.trained_run import open_trained

    processes = join(device, deterministic)
    with RunDirectory(run_path).locked():
        compare(open_trained(run_path, processes), seeds, population=population, generations=generations)


def compare(run, seeds: int = SEEDS, *, population: int | None = None, generations: int | None = None):
    """Compare both methods on the scores that a run's search takes; returns the `studies.compare.searches.Comparison`.

    Judging, siblings, limits, first seed, and population and generations where they are None, are those of the run's
    search; the networks that it started from are not.
    Writes hypervolume.csv, hypervolume.png and comparison.json into compare/, and every score into its scores.sqlite,
    which begins with those of the search. (Not into the search's own archive: retraining chooses from that one.)
    Raises ValueError without a search, and as `studies.compare.searches.contest` does.
    """
    from dualfair.studies.compare.searches import contest

    directory = run.directory
    protocol_options, extra = searched_with(directory)
    options = recorded(SearchOptions, directory.config("search"), directory.path / "search/config.json")
    options = replace(
        options, population=population or options.population, generations=generations or options.generations
    )
    scorer = open_scorer(run, protocol_options, extra=extra)
    folder = directory.stage("compare")
    directory.record_command("compare", describe(run.device))
    space, faces = run.setting.space, scorer.faces
    directory.say(
        f"Compare: NSGA-II and random search, {seeds} seeds each, {options.population} genotypes x "
        f"{options.generations} generations of space {space.name} ({space.size:,}); minimise "
        f"{', '.join(scorer.objectives)} on {len(faces):,} images of {faces.identity_count} unseen people; "
        f"{describe(run.device)}"
    )
    first = options.seed
    limits, costs = limits_of(run)
    if costs:
        directory.say(f"        within limits: {costs.in_words}")
    with _archive(run, scorer, protocol_options) as archive, _bar() as progress, said_by(costs, space):
        found = contest(
            space,
            scorer,
            archive,
            population=options.population,
            generations=options.generations,
            siblings=options.siblings,
            seeds=range(first, first + seeds),
            progress=progress,
            limits=limits,
        )
    _write(folder, found, {**asdict(options), **asdict(protocol_options), "objectives": scorer.objectives})
    for line in (*aligned(table(found)), found.sentence):
        directory.say(line)
    directory.say(f"Numbers: {folder}/comparison.json, curves: {folder}/hypervolume.png")
    return found


def table(found) -> list[list[str]]:
    """A comparison as rows of text cells, a method each."""
    whole = ["whole true front"] if found.exhaustive else []
    rows = [["method", "seeds", "evaluations", "share of hypervolume", *whole]]
    seeds = len(found.seeds)
    for method in found.shares:
        mean, error = found.final(method)
        rows.append([method, str(seeds), f"{found.evaluations[-1]:,}", f"{mean:.1%} ± {error:.1%}"])
        rows[-1] += [f"{found.whole[method].sum()} of {seeds}"] if found.exhaustive else []
    return rows


@contextmanager
def _archive(run, scorer, protocol_options) -> Iterator:
    """The archive of the comparison, with the scores of the run's search in it."""
    from dualfair.evolution.archive import Archive, ArchivedScores
    from dualfair.evolution.exchange import join as add
    from dualfair.evolution.storage import Heading

    path = run.directory.stage("compare") / "scores.sqlite"
    with open_archive(run, scorer, protocol_options) as searched:
        heading = Heading(searched.measurement, searched.columns, searched.objectives)
        _, repaired = add(path, [ArchivedScores(heading, tuple(searched))])
    if repaired:
        run.directory.say(repaired)
    with Archive(path, measurement=heading.name, columns=heading.columns, objectives=heading.objectives) as archive:
        yield archive


@contextmanager
def _bar() -> Iterator[Callable]:
    """A bar in the terminal: what is at work, and its generations."""
    from tqdm import tqdm

    with tqdm(unit="generation", leave=False, disable=None) as bar:

        def report(what: str, where) -> None:
            bar.set_description_str(what, refresh=False)
            bar.total = where.generations
            bar.update(where.generation - bar.n)

        yield report


def _write(folder: Path, found, config: dict[str, object]) -> None:
    """The files of a comparison; comparison.json makes it complete."""
    from dualfair.presentation.figures import hypervolume_figure

    rows = [
        [method, seed, evaluations, share]
        for method, shares in found.shares.items()
        for seed, own in zip(found.seeds, shares.tolist(), strict=True)
        for evaluations, share in zip(found.evaluations, own, strict=True)
    ]
    write_csv(folder / "hypervolume.csv", [["method", "seed", "evaluations", "hypervolume share"], *rows])
    best = "true front" if found.exhaustive else f"best front known, of {found.scored:,} networks"
    hypervolume_figure(folder / "hypervolume.png", found.evaluations, found.shares, best)
    write_json(folder / "comparison.json", {"config": config, **_numbers(found)})


def _numbers(found) -> dict[str, object]:
    methods = {}
    for method, shares in found.shares.items():
        mean, error = found.final(method)
        methods[method] = {"mean": mean, "standard_error": error, "shares": shares[:, -1].tolist()}
        if found.exhaustive:
            methods[method]["whole_front"] = found.whole[method].tolist()
    needs = {"mean": float(found.needed.mean()), "by_seed": found.needed.tolist()} if found.exhaustive else None
    return {
        "space": found.space.name,
        "networks": found.scored if found.exhaustive else found.space.size,
        "exhaustive": found.exhaustive,
        "scored": found.scored,
        "evaluations": found.evaluations[-1],
        "seeds": list(found.seeds),
        "reference": list(found.reference),
        "hypervolume": found.hypervolume,
        "front": found.front,
        "methods": methods,
        "nsga_wins": found.wins,
        "nsga_losses": found.losses,
        "sign_test_p": found.p,
        "random_search_needs": needs,
        "sentence": found.sentence,
    }
