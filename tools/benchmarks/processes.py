"""Ranks that share the work of one process: two with half of the threads each, beside one with all of them."""

from __future__ import annotations

import time
import warnings
from statistics import median

import numpy as np
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from dualfair.benchmarks.contest import IDENTITIES, Contest, Setting, Skipped
from dualfair.benchmarks.timing import Call, Comparison, synchronise
from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.runs.devices import seeded
from dualfair.runs.distributed import joined
from dualfair.stages.train import image_team
from dualfair.supernet.network import Supernet
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.trainer import Trainer

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
    steps, scored = max(setting.space.sizes) * setting.batch, setting.population * setting.batch
    works = {
        "train": (f"a strict step of {setting.batch} images", "images x paths", steps),
        "search": (
            f"scoring {setting.population} random genotypes on {setting.batch} images",
            "images x genotypes",
            scored,
        ),
    }
    return [
        Contest(
            title=f"{title}: {name}, {what}",
            plain=f"1 process, {threads} threads",
            ours=f"{RANKS} ranks, {threads // RANKS} each",
            work=amount,
            unit=unit,
            comparison=Comparison(*zip(*((alone[name], together[name]) for alone, together in rounds), strict=True)),
        )
        for name, (what, unit, amount) in works.items()
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
    space, where = setting.space, {"device": group.device, "processes": group}
    with seeded(setting.seed):
        supernet = Supernet(setting.shape, IDENTITIES, space.heads)
    steps = Trainer(
        supernet,
        setting.training_faces,
        setting.recipe,
        seed=setting.seed,
        space=space,
        team=image_team(group, space, "strict"),
        **where,
    ).run()
    seconds = {"train": _median(lambda: next(steps), STEPS, setting)}
    faces = setting.scored_faces(setting.batch)
    calibration = network_input(faces, np.arange(setting.batch), group.device)
    scorer = InheritedScorer(supernet.eval(), faces, calibration, EvaluationProtocol(), processes=group)
    if not group.leads:
        scorer.serve()
        return None
    population = space.sample_distinct(setting.population, np.random.default_rng(setting.seed))
    seconds["search"] = _median(lambda: scorer(population), SCORINGS, setting)
    scorer.dismiss()
    return seconds


def _median(work: Call, times: int, setting: Setting) -> float:
    """Median seconds of a call with all that it started on the device, after one to warm up."""
    seconds = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        work()
        synchronise(setting.device)
        seconds.append(time.perf_counter() - begun)
    return median(seconds[1:])
