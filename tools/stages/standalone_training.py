"""Trains networks from scratch, by teams of ranks, and judges them by the scorer of the search."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from dualfair.runs.devices import seed_everything
from dualfair.runs.distributed import divide
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.training_spec import TrainingSpec, recipe_with
from dualfair.runs.trainings import read_result
from dualfair.supernet.files import write_json
from dualfair.supernet.training.process_group import ALONE, ProcessGroup
from dualfair.supernet.training.recipe import Recipe


def train_all(
    run,
    jobs: Sequence[TrainingSpec],
    recipe: Recipe,
    protocol_options: ProtocolOptions,
    ranks_per_job: int,
    *,
    stage: str = "retrain",
    **how: object,
) -> list[dict]:
    """Train the jobs of a stage by teams of ranks; `recipe` is the stage's, each job changes it as it says.

    `how` is handed to `train_standalone`. Returns the results, one a job.
    """
    team = divide(run.processes, ranks_per_job)
    paths = [run.directory.path / stage / job.folder / "result.json" for job in jobs]
    for job in queue(run.processes, team, len(jobs)):
        train_standalone(run, jobs[job], recipe, protocol_options, team, folder=paths[job].parent, **how)
    run.processes.wait()
    results = [read_result(path, run.setting.space) for path in paths]
    for line in summary(results, protocol_options):
        run.directory.say(line)
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


def train_standalone(
    run,
    training: TrainingSpec,
    recipe: Recipe,
    protocol_options: ProtocolOptions,
    team: ProcessGroup = ALONE,
    *,
    folder: Path,
    configuration: str,
    checkpoint_minutes: float,
    first_seed: int = 0,
    inherit: bool = False,
) -> None:
    """Train and judge one network in a folder by the ranks of a team, unless an earlier run did.

    `configuration` is the digest of what the stage recorded. `first_seed` is added to the seed that is drawn from:
    trainings of another stage begin otherwise. With `inherit` a searched network starts from the supernet's weights.
    """
    from dualfair.evaluation.measured_cost import measured_cost
    from dualfair.presentation.training_board import write_training_outcome
    from dualfair.runs.standalone import build_network, write_description
    from dualfair.stages.training import run_training
    from dualfair.supernet.training.trainer import Trainer

    path, drawn = folder / "result.json", first_seed + training.seed
    folder.mkdir(parents=True, exist_ok=True)
    done = path.is_file()
    team.agree("which networks are trained", done)
    if done:
        return
    faces = run.setting.splits["train"]
    seed_everything(drawn)
    skeleton = run.setting.skeleton
    network = build_network(training.network, skeleton, faces.identity_count)
    if inherit:
        network.load_state_dict(run.supernet.extract(training.network).state_dict())
    if team.leads:
        write_description(folder, training.label, skeleton, faces.identity_count, drawn, training_faces_of(run.config))
    recipe = recipe_with(recipe, training.changes)
    trainer = Trainer(network, faces, recipe, seed=drawn, device=run.device, processes=team)
    course = run_training(
        trainer,
        folder,
        configuration=configuration_of(configuration, training),
        minutes=checkpoint_minutes,
        tell=run.directory.say,
        label=str(training),
    )
    network.eval()
    if not team.leads:
        return
    params, macs = measured_cost(network, skeleton.image_size)
    result = {
        "genotype": training.label,
        "seed": training.seed,
        "params": params,
        "macs": macs,
        "seconds": round(course.seconds, 1),
        **evaluate_standalone(run, network, protocol_options),
    }
    write_training_outcome(
        folder / "tensorboard",
        training,
        recipe,
        result,
        disparity=protocol_options.protocol().disparity_name,
        inherit=inherit,
        step=trainer.steps,
    )
    write_json(path, result)


def configuration_of(stage: str, training: TrainingSpec) -> str:
    """The digest that a training's checkpoints carry: that of its stage, and of its changes where it has some."""
    if not training.changes:
        return stage
    return hashlib.sha256(f"{stage} {training.changes}".encode()).hexdigest()


def training_faces_of(config: dict) -> dict[str, object]:
    """Which people a run's networks were trained on: the faces and how their splits were made."""
    return {name: config[name] for name in ("faces_fingerprint", "group_column", "split", "split_seed")}


def evaluate_standalone(run, network, protocol_options: ProtocolOptions) -> dict[str, dict]:
    """The verdicts on a standalone network by the scorer of the search, on validation and on test identities."""
    from dualfair.evaluation.protocol import evaluate
    from dualfair.evaluation.scoring.scorer import population_embeddings
    from dualfair.runs.trained_run import calibration_images

    calibration = calibration_images(run, protocol_options.calibrate, run.config["seed"])
    protocol = protocol_options.protocol()
    verdicts = {}
    for split in ("validation", "test"):
        faces = run.setting.splits[split]
        embeddings = population_embeddings(network, [network.genotype], faces, calibration)[network.genotype]
        verdicts[split] = asdict(evaluate(embeddings, faces.identities, faces.groups, protocol))
    return verdicts


def summary(results: Sequence[dict], protocol_options: ProtocolOptions) -> list[str]:
    """Lines of mean and standard error over seeds, one a network, by test error."""
    import numpy as np

    from dualfair.stages.search_output import aligned

    def shown(values: list[float | str]) -> str:
        values = np.array(values, dtype=float)
        spread = len(values) > 1 and np.isfinite(values).all()
        error = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if spread else ""
        return f"{np.mean(values):.3f}{error}"

    by_genotype: dict[str, list[dict]] = {}
    for result in results:
        by_genotype.setdefault(result["genotype"], []).append(result)
    groups = [group["group"] for group in results[0]["test"]["groups"]]
    name = protocol_options.protocol().disparity_name.replace("_", " ")
    rows = [
        [
            "network",
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
