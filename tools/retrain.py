"""`dualfair retrain`: stage 3, chosen networks from scratch, judged by the very same scorer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from supernet.atomic import write_json
from supernet.genotype import Genotype
from supernet.process_group import ALONE, ProcessGroup
from supernet.recipe import Recipe
from tools.device import deterministic_option, device_option, seed_everything
from tools.judging import JudgingOptions, searched_with
from tools.launch import divide, in_words, join, say
from tools.options import build_configs, config_options, option, recorded
from tools.run_directory import RunDirectory
from tools.trainings import add_to_plan, read_result


@dataclass(frozen=True, kw_only=True)
class RetrainOptions:
    """Which networks are trained, and how often."""

    seeds: int = option(2, "Independent trainings of every network, seeds 0, 1, ...")
    controls: int = option(6, "Networks evenly spaced in inherited error, besides the front's knee and extremes.")
    ranks_per_job: int = option(1, "With torchrun: ranks that train one network together; has to divide their number.")


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of the search.")
@click.option("--genotype", "named", multiple=True, help="Train these networks only; may be repeated.")
@click.option("--checkpoint-every", type=float, default=5.0, show_default=True, help="Minutes between checkpoints.")
@config_options(RetrainOptions, Recipe)
@device_option
@deterministic_option
def command(
    run_path: Path,
    named: tuple[str, ...],
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
        if not named:
            named = processes.broadcast(" ".join(map(str, select(run, options))) if processes.leads else "").split()
        chosen = [run.setting.space.parse(text) for text in named]
        retrain(run, chosen, options, recipe, checkpoint_minutes=checkpoint_every)
    say(processes, f"Next: dualfair correlate --run {run_path}")


def recipe_of(run) -> Recipe:
    """The recipe that the run's supernet was trained by."""
    return recorded(Recipe, run.config, run.directory.path / "train/config.json")


def select(run, options: RetrainOptions) -> list[Genotype]:
    """The knee and the extremes of the front, and controls evenly spaced in inherited error, without repeats."""
    import numpy as np

    from evaluation.ranking import evenly_spaced
    from evolution.pareto import knee, non_dominated
    from tools.search import open_archive, open_scorer

    judging, extra = searched_with(run.directory)
    scorer = open_scorer(run, judging, extra=extra)
    archive = open_archive(run, scorer, judging)
    scored = [e for e in archive if np.isfinite(e.values[: archive.objectives]).all()]
    if not scored:
        raise ValueError(f"the search in {run.directory.path} has no scores; run 'dualfair search' first")
    values = np.array([evaluation.values[: archive.objectives] for evaluation in scored])
    front = np.flatnonzero(non_dominated(values))
    chosen = [front[knee(values[front])], *(front[np.argmin(values[front, m])] for m in range(values.shape[1]))]
    rest = np.setdiff1d(np.arange(len(scored)), chosen)
    controls = evenly_spaced(values[rest, 0], min(options.controls, len(rest)))
    return [scored[number].genotype for number in dict.fromkeys([*map(int, chosen), *rest[controls].tolist()])]


def retrain(
    run, genotypes: Sequence[Genotype], options: RetrainOptions, recipe: Recipe, *, checkpoint_minutes: float = 5.0
) -> list[dict]:
    """Train every genotype with every seed, skipping what is done; returns the results, one a training."""
    if options.seeds < 1 or options.controls < 0:
        raise ValueError(f"seeds must be 1 or more and controls 0 or more, got {options.seeds} and {options.controls}")
    judging, _ = searched_with(run.directory)
    directory = run.directory
    configuration = directory.claim("retrain", {**asdict(recipe), **asdict(judging), "weights": run.digest})
    directory.record_command("retrain", in_words(run.processes))
    faces = run.setting.splits["train"]
    directory.say(
        f"Retrain: {len(genotypes)} networks x {options.seeds} seeds from scratch on {len(faces):,} images of "
        f"{faces.identity_count:,} people, {recipe.epochs:g} epochs each; {in_words(run.processes)}"
    )
    jobs = [(genotype, seed) for genotype in genotypes for seed in range(options.seeds)]
    if directory.leads:
        add_to_plan(directory.stage("retrain"), [(str(genotype), seed) for genotype, seed in jobs])
    team = divide(run.processes, options.ranks_per_job)
    for job in queue(run.processes, team, len(jobs)):
        train_standalone(
            run,
            *jobs[job],
            recipe,
            judging,
            team,
            configuration=configuration,
            checkpoint_minutes=checkpoint_minutes,
        )
    run.processes.wait()
    results = [read_result(result_path(run, *job), run.setting.space) for job in jobs]
    for line in summary(results, judging):
        directory.say(line)
    return results


def queue(processes: ProcessGroup, team: ProcessGroup, jobs: int) -> Iterator[int]:
    """The jobs that fall to this rank's team: whichever team is free takes the next."""
    if team.leads:
        for job in processes.tickets("retrain", jobs):
            yield int(team.broadcast(str(job)))
        team.broadcast()
    else:
        while job := team.broadcast():
            yield int(job)


def result_path(run, genotype: Genotype, seed: int) -> Path:
    """Where the result of one training is."""
    return run.directory.path / "retrain" / str(genotype).replace(":", "_") / f"seed-{seed}" / "result.json"


def train_standalone(
    run,
    genotype: Genotype,
    seed: int,
    recipe: Recipe,
    judging: JudgingOptions,
    team: ProcessGroup = ALONE,
    *,
    configuration: str,
    checkpoint_minutes: float,
) -> None:
    """Train and judge one network by the ranks of a team, unless an earlier run did."""
    from supernet.dpn import build
    from supernet.training import Trainer
    from tools.standalone import write_description
    from tools.training import run_training

    path = result_path(run, genotype, seed)
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    done = path.is_file()
    team.agree("which networks are trained", done)
    if done:
        return
    faces = run.setting.splits["train"]
    seed_everything(seed)
    skeleton = run.setting.skeleton
    network = build(genotype, skeleton, faces.identity_count)
    if team.leads:
        write_description(folder, str(genotype), skeleton, faces.identity_count, seed, training_faces_of(run.config))
    trainer = Trainer(network, faces, recipe, seed=seed, device=run.device, processes=team)
    course = run_training(
        trainer,
        folder,
        configuration=configuration,
        minutes=checkpoint_minutes,
        tell=run.directory.say,
        label=f"{genotype} seed {seed}",
    )
    network.eval()
    if not team.leads:
        return
    result = {
        "genotype": str(genotype),
        "seed": seed,
        "seconds": round(course.seconds, 1),
        **judge_standalone(run, network, judging),
    }
    write_json(path, result)


def training_faces_of(config: dict) -> dict[str, object]:
    """Which people a run's networks were trained on: the faces and how their splits were made."""
    return {name: config[name] for name in ("faces_fingerprint", "group_column", "split", "seed")}


def judge_standalone(run, network, judging: JudgingOptions) -> dict[str, dict]:
    """The verdicts on a standalone network by the scorer of the search, on validation and on test identities."""
    from evaluation.protocol import judge
    from evaluation.scoring import population_embeddings
    from tools.session import calibration_images

    calibration = calibration_images(run, judging.calibrate, run.config["seed"])
    protocol = judging.protocol()
    verdicts = {}
    for split in ("validation", "test"):
        faces = run.setting.splits[split]
        embeddings = population_embeddings(network, [network.genotype], faces, calibration)[network.genotype]
        verdicts[split] = asdict(judge(embeddings, faces.identities, faces.groups, protocol))
    return verdicts


def summary(results: Sequence[dict], judging: JudgingOptions) -> list[str]:
    """Lines of mean and standard error over seeds, one a network, by test error."""
    import numpy as np

    from tools.search import aligned

    def shown(values: list[float | str]) -> str:
        values = np.array(values, dtype=float)
        spread = len(values) > 1 and np.isfinite(values).all()
        error = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if spread else ""
        return f"{np.mean(values):.3f}{error}"

    by_genotype: dict[str, list[dict]] = {}
    for result in results:
        by_genotype.setdefault(result["genotype"], []).append(result)
    groups = [group["group"] for group in results[0]["test"]["groups"]]
    name = judging.protocol().disparity_name.replace("_", " ")
    rows = [
        [
            "genotype",
            "n",
            "val error",
            f"val {name}",
            "test error",
            f"test {name}",
            *(f"test error {g}" for g in groups),
        ]
    ]
    for genotype, trained in sorted(
        by_genotype.items(), key=lambda item: np.mean([r["test"]["error"] for r in item[1]])
    ):
        row = [genotype, str(len(trained))]
        for split in ("validation", "test"):
            row += [shown([r[split]["error"] for r in trained]), shown([r[split]["disparity"] for r in trained])]
        row += [shown([r["test"]["groups"][i]["error"] for r in trained]) for i in range(len(groups))]
        rows.append(row)
    return [*aligned(rows), "n = training seeds; mean ± standard error over them"]
