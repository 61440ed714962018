"""What safety costs: a checkpoint, an archive of scores, and operations that are bound to repeat themselves."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dualfair.benchmarks.contest import SPACE, Contest, Setting, rounded
from dualfair.benchmarks.timing import compare
from dualfair.benchmarks.training import trainer
from dualfair.evolution.archive import Archive
from dualfair.runs.devices import deterministic_operations
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.supernet.training.checkpoint import newest_intact
from dualfair.supernet.training.resuming import save

SCORES, COLUMNS = 8, 10
"""Genotypes of a call to the scorer, and numbers of each."""


def safety(setting: Setting) -> list[Contest]:
    """Checkpoints, scores and deterministic steps, each beside the careless way."""
    with tempfile.TemporaryDirectory() as folder:
        return [checkpoint(setting, Path(folder)), scores(setting, Path(folder)), deterministic(setting)]


def checkpoint(setting: Setting, folder: Path) -> Contest:
    """A checkpoint after some steps, and reading it back with its hash verified."""
    trained = trainer(setting)
    list(trained.run(until=2))
    comparison = compare(
        lambda: torch.save(trained.state_dict(), folder / "plain.pt"),
        lambda: save(trained, folder / "ours"),
        repeats=setting.repeats,
    )
    size = (folder / "plain.pt").stat().st_size
    start = time.perf_counter()
    newest_intact(folder / "ours", print)
    verifying = time.perf_counter() - start
    share = comparison.ours.median / (60 * CHECKPOINT_MINUTES)
    return Contest(
        title=f"safety: a checkpoint of a supernet of {SPACE}, {size / 2**20:.1f} MiB, with its optimizer",
        plain="torch.save",
        ours="with SHA-256, record, fsync, rename",
        work=size / 2**20,
        unit="MiB",
        comparison=comparison,
        facts={"bytes": size, "share": share, "verification seconds": verifying},
        notes=(
            f"one every {CHECKPOINT_MINUTES:g} minutes is {share:.3%} of the training time; verifying one takes "
            f"{rounded(verifying)} s",
        ),
    )


def scores(setting: Setting, folder: Path) -> Contest:
    """Writing the scores of one call to the scorer: kept in memory, and in the archive on disk."""
    genotypes = setting.space.enumerate()
    values = np.random.default_rng(setting.seed).random((SCORES, COLUMNS))
    columns = [f"column {number}" for number in range(COLUMNS)]

    def writer(path: Path | None) -> Callable[[], None]:
        archive = Archive(path, measurement="benchmark", columns=columns)
        return lambda: archive.add([next(genotypes) for _ in range(SCORES)], values, 1.0)

    return Contest(
        title=f"safety: the scores of {SCORES} genotypes, {COLUMNS} numbers each",
        plain="an archive in memory",
        ours="an archive on disk",
        work=SCORES,
        unit="genotypes",
        comparison=compare(writer(None), writer(folder / "scores.sqlite"), repeats=setting.repeats),
    )


def deterministic(setting: Setting) -> Contest:
    """Strict steps, free and with --deterministic."""
    free, bound = trainer(setting).run(), trainer(setting).run()

    def step_bound() -> None:
        with deterministic_operations(True):
            next(bound)

    return Contest(
        title=f"safety: one strictly fair update with --deterministic on {setting.device}",
        plain="default",
        ours="--deterministic",
        work=setting.batch,
        unit="images",
        comparison=compare(lambda: next(free), step_bound, repeats=setting.repeats, device=setting.device),
    )
