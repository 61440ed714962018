"""Ranks that share the work of one process: two with half of the threads each, beside one with all of them."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch

from dualfair.benchmarks.report import Contest, Result, Skipped
from dualfair.benchmarks.scoring import SPACE, random_population
from dualfair.benchmarks.setting import IDENTITIES, Setting, scored_faces, training_faces
from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.planning.stopwatch import Comparison, repeated
from dualfair.runs.distributed import joined
from dualfair.stages.train import image_team
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.trainer import Trainer

RANKS, ROUNDS = 2, 3
"""Ranks that work together, and how often they and the single process are started, in turn."""

STEPS, SCORINGS = 8, 2
"""Training steps and scored populations of which a start reports the median, after one of each to warm up."""


def seconds_of_work(setting: Setting, processes: ProcessGroup) -> dict[str, float] | None:
    """Median seconds of a strict step and of scoring a random population, by all ranks; None but on the leader."""
    torch.manual_seed(setting.seed)
    space = dpn_space(SPACE, sum(setting.shape.blocks))
    supernet = Supernet(setting.shape, IDENTITIES, space.heads)
    trainer = Trainer(
        supernet,
        training_faces(setting),
        setting.recipe,
        seed=setting.seed,
        space=space,
        device=processes.device,
        processes=processes,
        team=image_team(processes, space, "strict"),
    )
    steps = trainer.run()
    seconds = {"train": _median(lambda: next(steps), STEPS, setting)}
    faces = scored_faces(setting, setting.batch)
    calibration = network_input(faces, np.arange(setting.batch), processes.device)
    scorer = InheritedScorer(supernet.eval(), faces, calibration, EvaluationProtocol(), processes=processes)
    if not processes.leads:
        scorer.serve()
        return None
    population = random_population(space, setting)
    seconds["search"] = _median(lambda: scorer(population), SCORINGS, setting)
    scorer.dismiss()
    return seconds


def _median(work: Callable[[], object], times: int, setting: Setting) -> float:
    def whole() -> None:
        work()
        setting.synchronise()

    return float(np.median(repeated(whole, math.inf, most=times)))


def run(setting: Setting) -> list[Result]:
    """Training and search by one process and by two."""
    title = f"processes: {RANKS} ranks beside one process"
    threads = torch.get_num_threads()
    cuda = torch.device(setting.device).type == "cuda"
    if cuda and torch.cuda.device_count() < RANKS:
        return [Skipped(title=title, reason=f"there are not {RANKS} CUDA devices")]
    if not cuda and threads < RANKS:
        return [Skipped(title=title, reason=f"there is {threads} thread")]
    rounds = [(_start(setting, 1, threads), _start(setting, RANKS, threads // RANKS)) for _ in range(ROUNDS)]
    paths = max(dpn_space(SPACE, sum(setting.shape.blocks)).sizes)
    works = {
        "train": (f"a strict step of {setting.batch} images", "images x paths", paths * setting.batch),
        "search": (
            f"scoring {setting.population} random genotypes on {setting.batch} images",
            "images x genotypes",
            setting.population * setting.batch,
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


def _start(setting: Setting, ranks: int, threads: int) -> dict[str, float]:
    """Median seconds by ranks in processes of their own. Raises ValueError with their last words when they fail."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    process = subprocess.run(
        [sys.executable, *launcher, "-m", "dualfair.benchmarks.processes", json.dumps(asdict(setting))],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        },
    )
    if process.returncode:
        last_words = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
        raise ValueError(f"{ranks} ranks failed: {last_words[-1]}; leave them out with --only")
    return json.loads(next(line for line in process.stdout.splitlines() if line.startswith("{")))


def main() -> None:
    """Measure what the one argument, a setting as JSON, asks for, and print the seconds as JSON."""
    setting = Setting(**json.loads(sys.argv[1]))
    with joined(setting.device) as processes:
        seconds = seconds_of_work(setting, processes)
    if seconds:
        print(json.dumps(seconds))


if __name__ == "__main__":
    main()
