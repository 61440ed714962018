"""The planned networks trained once more: for a short time, or from the supernet's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from dualfair.runs.distributed import in_words
from dualfair.runs.protocol import searched_with
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.trainings import INHERIT, MEASURES, SHORT, read_result, read_samples
from dualfair.stages.standalone_training import train_all
from dualfair.supernet.files import write_json
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.recipe import Recipe

SHORT_SEED = 10**6
"""Added to the seeds of short trainings, so that they share no beginning with the trainings they are compared with."""


def retrain_short(run, options, recipe: Recipe, *, checkpoint_minutes: float = 5.0) -> list[dict]:
    """Train every planned network once more, all of them together for as many path passes as the supernet's training.

    That is `short_epochs` each, by the recipe of retraining otherwise: what the supernet's price buys without one. The
    results are in RUN/short, by a seed of its own. Raises ValueError when no network is planned, or RUN/short holds
    trainings for another number of networks.
    """
    directory = run.directory
    planned = _planned(run, "--short")
    paths = max(run.setting.space.sizes)
    epochs = short_epochs(run.config["epochs"], paths, len(planned), recipe.epochs)
    short = directory.path / SHORT
    if (short / "config.json").is_file() and (there := directory.config(SHORT).get("epochs")) != epochs:
        raise ValueError(
            f"{short} has trainings of {there} epochs, but {len(planned)} networks are planned, which is {epochs:g} "
            f"epochs each; delete that folder and run the same command again"
        )
    protocol_options, _ = searched_with(directory)
    recipe = replace(recipe, epochs=epochs)
    configuration = directory.claim(
        SHORT, {**asdict(recipe), **asdict(protocol_options), "weights": run.digest, "seeds from": SHORT_SEED}
    )
    directory.record_command(SHORT, in_words(run.processes))
    passes = epochs * len(planned) / (run.config["epochs"] * paths)
    directory.say(
        f"Short trainings: {len(planned)} networks once more, {epochs:.3g} epochs each; together {passes:.0%} of the "
        f"path passes of the supernet's training; {in_words(run.processes)}"
    )
    return train_all(
        run,
        [TrainingSpec(genotype) for genotype in planned],
        recipe,
        protocol_options,
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


def retrain_inherited(run, options, recipe: Recipe, *, checkpoint_minutes: float = 5.0) -> dict:
    """Train every planned network once more, from the weights that it inherits, and compare with those from scratch.

    The results are in RUN/inherit. Returns what its inherit.json holds: see `against_scratch`. Raises ValueError when
    no network is planned, or RUN/inherit was begun by another recipe.
    """
    directory = run.directory
    jobs = [
        TrainingSpec(genotype, (), seed) for genotype in _planned(run, "--inherit") for seed in range(options.seeds)
    ]
    protocol_options, _ = searched_with(directory)
    configuration = directory.claim(INHERIT, {**asdict(recipe), **asdict(protocol_options), "weights": run.digest})
    directory.record_command(INHERIT, in_words(run.processes))
    directory.say(
        f"From the supernet's weights: {len(jobs) // options.seeds} networks x {options.seeds} seeds, "
        f"{recipe.epochs:g} epochs each; {in_words(run.processes)}"
    )
    results = train_all(
        run,
        jobs,
        recipe,
        protocol_options,
        options.ranks_per_job,
        stage=INHERIT,
        inherit=True,
        configuration=configuration,
        checkpoint_minutes=checkpoint_minutes,
    )
    scratch = {}
    for job in jobs:
        path = directory.path / "retrain" / job.folder / "result.json"
        if path.is_file():
            scratch[job.label, job.seed] = read_result(path, run.setting.space)
    epochs = directory.config("retrain")["epochs"] if scratch else None
    found = {"epochs": recipe.epochs, "epochs from scratch": epochs, **against_scratch(results, scratch)}
    if directory.leads:
        write_json(directory.path / INHERIT / "inherit.json", found)
    for line in sentences(found):
        directory.say(line)
    return found


def against_scratch(inherited: Sequence[dict], scratch: dict[tuple[str, int], dict]) -> dict:
    """Trainings from inherited weights against those from scratch, of the same networks and seeds, on test people.

    By measure the means of both, their mean difference (below 0 is better than from scratch) and its standard error,
    over the networks that have both, each as the mean of its seeds. None without any, and an error needs two.
    """
    paired: dict[str, list[tuple[dict, dict]]] = {}
    for result in inherited:
        if other := scratch.get((result["genotype"], result["seed"])):
            paired.setdefault(result["genotype"], []).append((result["test"], other["test"]))
    found: dict[str, object] = {"networks": len(paired), "seeds": sorted({len(pairs) for pairs in paired.values()})}
    for measure in MEASURES:
        means = np.array(
            [
                np.mean([[float(ours[measure]), float(its[measure])] for ours, its in pairs], axis=0)
                for pairs in paired.values()
            ]
        )
        differences = means[:, 0] - means[:, 1] if len(means) else means
        found[measure] = {
            "inherited": float(means[:, 0].mean()) if len(means) else None,
            "scratch": float(means[:, 1].mean()) if len(means) else None,
            "difference": float(differences.mean()) if len(means) else None,
            "standard error": float(differences.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else None,
        }
    return found


def sentences(found: dict) -> list[str]:
    """What starting from inherited weights came to, in words."""
    if not found["networks"]:
        return ["Nothing to compare with: none of these trainings was made from scratch too"]
    lines = []
    for measure in MEASURES:
        numbers = found[measure]
        error = numbers["standard error"]
        lines.append(
            f"{measure} on test people: {numbers['inherited']:.3f} from the supernet's weights in {found['epochs']:g} "
            f"epochs, {numbers['scratch']:.3f} from scratch in {found['epochs from scratch']:g}; difference "
            f"{numbers['difference']:+.3f}{f' ± {error:.3f}' if error is not None else ''} "
            f"(mean{' ± standard error' if error is not None else ''} over {found['networks']} networks)"
        )
    return lines


def _planned(run, option: str) -> list[Genotype]:
    """The networks of the plan that are trained by the stage's own recipe."""
    folder = run.directory.path
    planned = [run.setting.space.parse(text) for text in read_samples(folder / "retrain")]
    if not planned:
        raise ValueError(f"{folder} has no planned networks; run 'dualfair retrain' without {option} first")
    return planned
