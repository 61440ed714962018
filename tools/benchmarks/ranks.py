"""Ranks of all images among all: sorting every row of the similarity matrix, and the chunked count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dualfair.benchmarks.memory import peak
from dualfair.benchmarks.report import Contest, Result, Skipped
from dualfair.benchmarks.setting import Setting
from dualfair.evaluation.metrics.identification import ranks
from dualfair.planning.stopwatch import Comparison, compare
from dualfair.supernet.memory import available_ram

DIMENSIONS, PER_PERSON = 512, 5

SORT_BYTES = 21
"""Bytes of the full sort for every pair of images at its peak: cosine 4, order 8, identity 8, found or not 1."""

LARGE = 10_000
"""From here on a set is compared once only, each contestant in a process of its own."""


def full_sort_ranks(embeddings: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Every probe's rank as the place of its first mate among all images sorted by cosine, int64 (N,).

    Ties fall as the sort has them, where `ranks` counts them against the probe.
    """
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1)
    return (identities[order] == identities[:, None]).argmax(axis=1)


def random_embeddings(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random float32 embeddings (N, 512) and their identities (N,), five images each."""
    embeddings = np.random.default_rng(seed).standard_normal((images, DIMENSIONS), dtype=np.float32)
    return embeddings, np.arange(images) // PER_PERSON


def plain(setting: Setting) -> Callable[[], object]:
    """The full sort of the first set."""
    embeddings, identities = random_embeddings(setting.embeddings[0], setting.seed)
    return lambda: full_sort_ranks(embeddings, identities)


def ours(setting: Setting) -> Callable[[], object]:
    """The chunked count of the first set."""
    embeddings, identities = random_embeddings(setting.embeddings[0], setting.seed)
    return lambda: ranks(embeddings, identities)


CONTESTANTS = {"plain": plain, "ours": ours}


def run(setting: Setting) -> list[Result]:
    """Ranks of sets of every size that the full sort has memory for."""
    return [_of_size(images, setting) for images in setting.embeddings]


def _of_size(images: int, setting: Setting) -> Result:
    title = f"ranks: {images:,} random embeddings of {DIMENSIONS} dimensions (numpy, on the CPU)"
    needed, available = SORT_BYTES * images**2, available_ram()
    if 1.2 * needed > available:
        gib = f"the full sort needs about {needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are available"
        return Skipped(title=title, reason=gib)
    setting = replace(setting, device="cpu", embeddings=(images,))
    notes = ()
    measured = None
    if setting.memory or images >= LARGE:
        measured = tuple(peak(setting, "ranks", name, calls=1) for name in CONTESTANTS)
    if images >= LARGE:
        comparison = Comparison(*((peaked.seconds,) for peaked in measured))
        notes = ("timed once, each in a process of its own",)
    else:
        comparison = compare(plain(setting), ours(setting), repeats=setting.repeats)
    return Contest(
        title=title,
        plain="sort all similarities",
        ours="identification.ranks",
        work=images,
        unit="probes",
        comparison=comparison,
        peaks=measured,
        notes=notes,
    )
