"""How costs grow: ranks over images, scoring over genotypes, group measures over groups."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dualfair.benchmarks.ranks import random_embeddings
from dualfair.benchmarks.report import Growth
from dualfair.benchmarks.scoring import subject
from dualfair.benchmarks.setting import Setting
from dualfair.evaluation.metrics.disparity import DISPARITIES, measure
from dualfair.evaluation.metrics.identification import Ranks, ranks
from dualfair.evaluation.scoring.scorer import population_embeddings
from dualfair.planning.stopwatch import Spread, repeated

IMAGES = (1000, 2000, 4000, 8000)
POPULATIONS = (8, 16, 32, 64)
GROUPS = (2, 4, 8, 16, 32, 64)
PROBES = 20_000


def run(setting: Setting) -> list[Growth]:
    """Seconds at growing sizes, with the exponent of the line through their logarithms."""
    return [_ranks(setting), _scoring(setting), _groups(setting)]


def _ranks(setting: Setting) -> Growth:
    spreads = []
    for images in IMAGES:
        embeddings, identities = random_embeddings(images, setting.seed)
        spreads.append(_timed(lambda e=embeddings, i=identities: ranks(e, i), setting))
    return Growth(title="growth: ranks, over images", sizes=IMAGES, seconds=tuple(spreads))


def _scoring(setting: Setting) -> Growth:
    supernet, space, faces, calibration = subject(setting)
    genotypes = space.sample_distinct(POPULATIONS[-1], np.random.default_rng(setting.seed))
    spreads = [
        _timed(
            lambda size=size: population_embeddings(
                supernet, genotypes[:size], faces, calibration, batch=setting.batch
            ),
            setting,
        )
        for size in POPULATIONS
    ]
    return Growth(title="growth: scoring, over random genotypes", sizes=POPULATIONS, seconds=tuple(spreads))


def _groups(setting: Setting) -> Growth:
    rng = np.random.default_rng(setting.seed)
    values = rng.integers(0, 50, PROBES)
    probes = Ranks(values, np.arange(PROBES), 0, "images", PROBES, PROBES // 5)
    spreads = []
    for count in GROUPS:
        groups = np.array([f"group {number:02d}" for number in range(count)])[np.arange(PROBES) % count]
        spreads.append(
            _timed(lambda groups=groups: [measure(row, [(probes, groups)]) for row in DISPARITIES.values()], setting)
        )
    title = f"growth: all {len(DISPARITIES)} disparities of {PROBES:,} probes, over groups"
    return Growth(title=title, sizes=GROUPS, seconds=tuple(spreads))


def _timed(call: Callable[[], object], setting: Setting) -> Spread:
    """Seconds of a call with all that it started on the device, after one to warm up."""

    def whole() -> None:
        call()
        setting.synchronise()

    return Spread.of(repeated(whole, math.inf, most=setting.repeats))
