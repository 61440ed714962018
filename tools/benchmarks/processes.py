"""Ranks that share the work of one process: two with half of the threads each, beside one with all of them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from dualfair.benchmarks.contest import Contest, Setting, Skipped
from dualfair.benchmarks.timing import Comparison, measure
from dualfair.benchmarks.training import trainer
from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.runs.distributed import joined
from dualfair.stages.train import image_team
from dualfair.supernet.training.process_group import ProcessGroup

RANKS, ROUNDS = 2, 3
"""Ranks that work together, and how often they and the single process are started, in turn."""

STEPS, SCORINGS = 8, 2
"""Training steps and scored populations of which a start reports the median, after one of each to warm up."""


def processes(setting: Setting) -> list[Contest | Skipped]:
    """Training and search by one process and by two."""
    title, threads = f"processes: {RANKS} ranks beside one process", torch.get_num_threads()
    cuda = torch.device(setting.device).type == "cuda"
    if cuda and torch.cuda.device_count() < RANKS:
        return [Skipped(title=title, reason=f"there are not {RANKS} CUDA devices")]
    if not cuda and threads < RANKS:
        return [Skipped(title=title, reason=f"there is {threads} thread")]
    rounds = [(start(setting, 1, threads), start(setting, RANKS, threads // RANKS)) for _ in range(ROUNDS)]
    paths = max(setting.space.sizes)
    works = (
        ("train", f"a strict step of {setting.batch} images", "images x paths", paths),
        (
            "search",
            f"{setting.population} random genotypes on {setting.batch} images",
            "images x genotypes",
            setting.population,
        ),
    )
    return [
        Contest(
            title=f"{title}: {name}, {what}",
            plain=f"1 process, {threads} threads",
            ours=f"{RANKS} ranks, {threads // RANKS} each",
            work=times * setting.batch,
            unit=unit,
            comparison=Comparison(*zip(*((alone[name], together[name]) for alone, together in rounds), strict=True)),
        )
        for name, what, unit, times in works
    ]


def start(setting: Setting, ranks: int, threads: int) -> dict[str, float]:
    """Median seconds by ranks in processes of their own, as torchrun starts them."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id="bench",
        max_restarts=0,
        start_method="spawn",
    )
    return elastic_launch(config, _rank)(setting, threads)[0]


def _rank(setting: Setting, threads: int) -> dict[str, float] | None:
    torch.set_num_threads(threads)
    # torch renames its own functions; what it says of that would stand among the results.
    warnings.simplefilter("ignore", FutureWarning)
    with joined(setting.device) as group:
        return seconds_of_work(setting, group)


def seconds_of_work(setting: Setting, group: ProcessGroup) -> dict[str, float] | None:
    """Median seconds of a strict step and of scoring a random population, by all ranks; None but on the leader."""
    setting, space = replace(setting, device=str(group.device)), setting.space
    trained = trainer(setting, processes=group, team=image_team(group, max(space.sizes)))
    steps = trained.run()
    seconds = {"train": measure(lambda: lambda: next(steps), STEPS + 1, setting.device).seconds}
    faces = setting.scored_faces(setting.batch)
    calibration = network_input(faces, np.arange(setting.batch), setting.device)
    scorer = InheritedScorer(trained.network.eval(), faces, calibration, EvaluationProtocol(), processes=group)
    if not group.leads:
        scorer.serve()
        return None
    population = space.sample_distinct(setting.population, np.random.default_rng(setting.seed))
    seconds["search"] = measure(lambda: lambda: scorer(population), SCORINGS + 1, setting.device).seconds
    scorer.dismiss()
    return seconds
