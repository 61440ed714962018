"""What safety costs: a checkpoint, an archive of scores, and operations that are bound to repeat themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from dualfair.benchmarks.report import Contest, rounded
from dualfair.benchmarks.setting import IDENTITIES, Setting, training_faces
from dualfair.evolution.archive import Archive
from dualfair.planning.stopwatch import Spread, compare, repeated
from dualfair.runs.devices import deterministic_operations
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.checkpoint import newest_intact
from dualfair.supernet.training.resuming import save
from dualfair.supernet.training.trainer import Trainer

SPACE = "dpn81"
SCORES, COLUMNS = 8, 10
"""Genotypes of a call to the scorer, and numbers of each."""


def run(setting: Setting) -> list[Contest]:
    """Checkpoints, scores and deterministic steps, each beside the careless way."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            checkpoint(setting, Path(folder)),
            scores(setting, Path(folder)),
            deterministic(setting),
        ]


def checkpoint(setting: Setting, folder: Path) -> Contest:
    """A checkpoint after some steps, and reading it back with its hash verified."""
    trainer = trainer_of(setting)
    list(trainer.run(until=2))

    comparison = compare(
        lambda: torch.save(trainer.state_dict(), folder / "plain.pt"),
        lambda: save(trainer, folder / "ours"),
        repeats=setting.repeats,
    )
    size = (folder / "plain.pt").stat().st_size
    verifying = Spread.of(repeated(lambda: newest_intact(folder / "ours", print), seconds=1.0))
    share = comparison.ours.median / (60 * CHECKPOINT_MINUTES)
    return Contest(
        title=f"safety: a checkpoint of a supernet of {SPACE}, {size / 2**20:.1f} MiB, with its optimizer",
        plain="torch.save",
        ours="with SHA-256, record, fsync, rename",
        work=size / 2**20,
        unit="MiB",
        comparison=comparison,
        facts={"bytes": size, "share": share, "verification seconds": verifying.median},
        notes=(
            f"one every {CHECKPOINT_MINUTES:g} minutes is {share:.3%} of the training time; verifying one takes "
            f"{rounded(verifying.median)} s",
        ),
    )


def scores(setting: Setting, folder: Path) -> Contest:
    """Writing the scores of one call to the scorer: kept in memory, and in the archive on disk."""
    genotypes = endless_genotypes(setting)
    values = np.random.default_rng(setting.seed).random((SCORES, COLUMNS))
    columns = [f"column {number}" for number in range(COLUMNS)]

    def writer(path: Path | None) -> Callable[[], None]:
        archive = Archive(path, measurement="benchmark", columns=columns)
        return lambda: archive.add([next(genotypes) for _ in range(SCORES)], values, 1.0)

    comparison = compare(writer(None), writer(folder / "scores.sqlite"), repeats=setting.repeats)
    return Contest(
        title=f"safety: the scores of {SCORES} genotypes, {COLUMNS} numbers each",
        plain="an archive in memory",
        ours="an archive on disk",
        work=SCORES,
        unit="genotypes",
        comparison=comparison,
    )


def deterministic(setting: Setting) -> Contest:
    """Strict steps, free and with --deterministic."""
    free, bound = trainer_of(setting).run(), trainer_of(setting).run()

    def step_bound() -> None:
        with deterministic_operations(True):
            next(bound)

    return Contest(
        title=f"safety: one strictly fair update with --deterministic on {setting.device}",
        plain="default",
        ours="--deterministic",
        work=setting.batch,
        unit="images",
        comparison=compare(lambda: next(free), step_bound, repeats=setting.repeats, synchronise=setting.synchronise),
    )


def trainer_of(setting: Setting) -> Trainer:
    """A supernet's training on random pixels."""
    torch.manual_seed(setting.seed)
    space = dpn_space(SPACE, sum(setting.shape.blocks))
    supernet = Supernet(setting.shape, IDENTITIES, space.heads)
    return Trainer(
        supernet, training_faces(setting), setting.recipe, seed=setting.seed, space=space, device=setting.device
    )


def endless_genotypes(setting: Setting) -> Iterator:
    """Different genotypes of the space, one after the other."""
    return dpn_space(SPACE, sum(setting.shape.blocks)).enumerate()
