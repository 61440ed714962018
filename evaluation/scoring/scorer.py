"""Scores genotypes by the weights they inherit. A population is a trie of paths: every distinct prefix runs once.

It is walked depth first, once to calibrate every stage of the trie on a fixed sample and once a batch of faces to embed
them. Scores equal those of scoring the genotypes one by one.

Shape legend: N images, B batch, D embedding, S side of the images in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.metrics.disparity import MINIMUM_PROBES, Disparity, per_group, values_of
from dualfair.evaluation.metrics.identification import Ranks, galleries, ranks
from dualfair.evaluation.protocol import EvaluationProtocol, Scores, evaluate
from dualfair.evaluation.scoring.embedding import Faces, over_batches, summed, with_mirror
from dualfair.evaluation.scoring.sharing import Work, divide, work
from dualfair.evaluation.scoring.trie import build_trie, leaves
from dualfair.evaluation.statistics.bootstrap import Statistic, identity_bootstrap
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.memory import Batch
from dualfair.supernet.network import Network, Supernet
from dualfair.supernet.training.process_group import ALONE, ProcessGroup


def population_embeddings(
    network: Supernet | Network,
    genotypes: Sequence[Genotype],
    faces: Faces,
    calibration: Tensor | None,
    *,
    batch: int | Batch = 128,
) -> dict[Genotype, np.ndarray]:
    """Test-time embeddings float32 (N, D) of all faces, for every genotype, by the weights of `network`.

    `calibration` are the images (B, 3, S, S) on which the BN statistics of every path are measured, as one batch;
    None keeps the statistics that the network has. `network` is not changed. For a standalone network the only
    genotype is its own, and this is how it is judged too.

    Where memory runs out, the batch is halved and what is embedded stays (`memory.Batch`). Embeddings in smaller
    batches are those of the whole batch up to the rounding of kernels that depend on the batch's shape. Statistics are
    those of the calibration sample as one batch, so that is never cut: ValueError says so where it does not fit.
    """
    distinct = list(dict.fromkeys(genotypes))
    device = next(network.parameters()).device
    embeddings = {
        genotype: np.empty((len(faces.identities), network.skeleton.embedding), np.float32) for genotype in distinct
    }
    if not distinct:
        return embeddings

    def embed_batch(place: slice, images: Tensor) -> None:
        for genotype, output in leaves(roots, (with_mirror(images), None)):
            embeddings[genotype][place] = summed(output)

    with torch.no_grad():
        roots = build_trie(network, distinct, calibration)
        over_batches(faces, batch, device, embed_batch)
    return embeddings


class RankFailed(RuntimeError):
    """Scoring failed on one rank of several; raised on all of them, with that rank's reason."""


HALVES = (1, 2)
"""The disjoint halves of the people on which every measure is taken again."""

ENDS = ("low", "high")
"""What the columns of an interval end with."""

_REASON_BYTES = 400
"""Length of a reason as ranks send it to each other."""


class InheritedScorer:
    """Scores genotypes by a supernet's weights: call it with genotypes, get an array (n, columns).

    The first columns are the `objectives` to minimise: `error`, `params`, `macs`, or the protocol's disparity by its
    name. The rest, in `columns`, are details worth keeping: all measures of the protocol, on all faces and on either
    half of the people, the values of every group, and costs. With `resamples` above 0, so many resamples of the people
    give "error low" and "error high", and the same of the protocol's disparity (`interval_columns`). `work` sums up
    what the calls so far took and what they would have taken one by one.

    A network whose embeddings are not finite has no ranks: NaN stands for all that is measured of it. Where memory
    runs out the batch is halved, for this call and all later ones (`memory.Batch`, which also says how it is told).

    With several `processes` the leader is the one that is called; the others `serve` it, and each scores its part.
    What is raised on one of them ends the call on all, as RankFailed with the reason; the next call may be served.
    """

    def __init__(
        self,
        supernet: Supernet,
        faces: Faces,
        calibration: Tensor | None,
        protocol: EvaluationProtocol,
        *,
        objectives: Sequence[str] = (),
        batch: int | Batch = 128,
        processes: ProcessGroup = ALONE,
        resamples: int = 0,
    ) -> None:
        if resamples < 0:
            raise ValueError(f"resamples must be 0 or more, got {resamples}")
        self.resamples = resamples
        self.supernet, self.faces, self.calibration = supernet, faces, calibration
        self.protocol, self.processes = protocol, processes
        self.batch = batch if isinstance(batch, Batch) else Batch(batch)
        self.work = Work()
        self.objectives = tuple(objectives) or ("error", protocol.disparity_name)
        details = [*protocol.measures, "params", "macs"]
        for name in self.objectives:
            if name not in details:
                raise ValueError(f"unknown objective {name!r}; choose from {', '.join(details)}")
        for group in np.unique(faces.groups).tolist():
            details += [f"error of {group}", f"mean rank of {group}"]
        details += [half_column(name, half) for half in HALVES for name in protocol.measures]
        if resamples:
            details += [f"{name} {end}" for name in ("error", protocol.disparity_name) for end in ENDS]
        self.columns = (*self.objectives, *(name for name in details if name not in self.objectives))

    def __call__(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Values of every genotype, float64 (n, columns), in `columns` order; raises whatever scoring them raises."""
        if not genotypes:
            return np.empty((0, len(self.columns)))
        done = work(genotypes, self.supernet.skeleton)
        self.processes.broadcast(" ".join(map(str, genotypes)))
        values = self._score(genotypes)
        self.work += done
        return values

    def serve(self) -> None:
        """On every rank but the leader: score this rank's part of whatever the leader scores, until it is dismissed.

        A failure is the leader's to deal with: it was told, and may ask for more.
        """
        while announced := self.processes.broadcast():
            with suppress(RankFailed):
                self._score([Genotype.parse(text) for text in announced.split()])

    def dismiss(self) -> None:
        """On the leader: nothing is left to score."""
        self.processes.broadcast()

    def _score(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Values (n, columns), each genotype's computed by one rank and known to all.

        The first row that travels counts the ranks that failed: one that raised before it told the others would leave
        them waiting for ever.
        """
        failure, rows = None, {}
        try:
            rows = self._rows(genotypes)
        except Exception as error:
            if self.processes.size == 1:
                raise
            failure = error
        zeros = [0.0] * len(self.columns)
        table = [
            [float(failure is not None)] * len(self.columns),
            *(rows.get(genotype, zeros) for genotype in genotypes),
        ]
        sums = self.processes.add(torch.tensor(table, dtype=torch.float64, device=self.processes.device)).cpu().numpy()
        if sums[0, 0]:
            raise RankFailed(self._reasons(failure)) from failure
        return sums[1:]

    def _rows(self, genotypes: Sequence[Genotype]) -> dict[Genotype, list[float]]:
        """The values of this rank's part of the genotypes."""
        part = divide(genotypes, self.processes.size, self.supernet.skeleton)[self.processes.rank]
        embeddings = population_embeddings(self.supernet, part, self.faces, self.calibration, batch=self.batch)
        return {genotype: self._row(genotype, embeddings[genotype]) for genotype in part}

    def _reasons(self, failure: Exception | None) -> str:
        """What failed on which rank, the same text on all of them; every rank says what it was, None where nothing."""
        text = "" if failure is None else f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        letters = text.encode()[:_REASON_BYTES].ljust(_REASON_BYTES, b"\0")
        sent = torch.tensor(list(letters), dtype=torch.uint8, device=self.processes.device)
        received = [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in self.processes.collect(sent).tolist()]
        return "scoring failed on " + "; ".join(f"rank {rank} ({text})" for rank, text in enumerate(received) if text)

    def _row(self, genotype: Genotype, embeddings: np.ndarray) -> list[float]:
        skeleton = self.supernet.skeleton
        values = {"params": parameters(genotype, skeleton), "macs": macs(genotype, skeleton)}
        if np.isfinite(embeddings).all():
            inputs = embeddings, self.faces.identities, self.faces.groups, self.protocol
            values |= score_columns(evaluate(*inputs), self.protocol)
            if self.resamples:
                values |= interval_columns(*inputs, self.resamples)
        return [values.get(name, float("nan")) for name in self.columns]


def score_columns(scores: Scores, protocol: EvaluationProtocol) -> dict[str, float]:
    """Scores as named numbers, the names that `InheritedScorer.columns` uses."""
    values = dict(scores.measures)
    for group in scores.groups:
        for name, value in (("error", group.error), ("mean rank", group.mean_rank)):
            values[f"{name} of {group.group}"] = float("nan") if value is None else value
    for half, measures in zip(HALVES, scores.halves, strict=True):
        values |= {half_column(name, half): value for name, value in measures.items()}
    return values


def half_column(measure: str, half: int) -> str:
    """The name of the column with a measure of one half of the people, 1 or 2."""
    return f"{measure}, half {half}"


def interval_columns(
    embeddings: np.ndarray, identities: np.ndarray, groups: np.ndarray, protocol: EvaluationProtocol, resamples: int
) -> dict[str, float]:
    """The ends of the 95 % intervals of error and disparity over people, as columns: "error low", "error high", ...

    Percentiles of so many resamples of the identities as probes, drawn by the protocol's seed; the gallery is fixed
    (`bootstrap.identity_bootstrap`, which also says how an absolute difference near 0 fares). NaN where undefined.
    """
    all_ranks = ranks(embeddings, identities, protocol.count)
    ranked = [(all_ranks, np.arange(len(identities)))]
    if protocol.gallery is not None:
        rng = np.random.default_rng(protocol.seed)
        ranked = [
            (ranks(embeddings[images], identities[images], protocol.count), images)
            for images in galleries(identities, groups, protocol.gallery, protocol.repeats, rng)
        ]
    wrong = all_ranks.values > 0
    people = np.concatenate([identities[images[gallery_ranks.probes]] for gallery_ranks, images in ranked])
    numbers: dict[str, tuple[Callable, np.ndarray]] = {
        "error": (lambda rows: wrong[rows].mean(), identities[all_ranks.probes]),
        protocol.disparity_name: (_disparity_statistic(protocol.disparity, ranked, groups), people),
    }
    columns = {}
    for name, (statistic, row_identities) in numbers.items():
        ends = (None, None)
        if len(row_identities):
            interval = identity_bootstrap(statistic, row_identities, resamples=resamples, seed=protocol.seed)
            ends = (interval.low, interval.high)
        for end, value in zip(ENDS, ends, strict=True):
            columns[f"{name} {end}"] = float("nan") if value is None else value
    return columns


def _disparity_statistic(disparity: Callable, ranked: list[tuple[Ranks, np.ndarray]], groups: np.ndarray) -> Statistic:
    """A disparity of the ranked images of one gallery or more, as `disparity.measure` takes it, over all probes."""
    correct = values_of(disparity) == "correct"
    values = np.concatenate([gallery_ranks.correct if correct else gallery_ranks.values for gallery_ranks, _ in ranked])
    if isinstance(disparity, Disparity) and disparity.reference is None:
        # Numbers sort faster than names, and are as good where no group is meant by its name.
        groups = np.unique(groups, return_inverse=True)[1]
    probe_groups = np.concatenate([groups[images[gallery_ranks.probes]] for gallery_ranks, images in ranked])
    names = np.unique(groups).tolist()
    ends = np.cumsum([len(gallery_ranks.probes) for gallery_ranks, _ in ranked])[:-1]

    def statistic(rows: np.ndarray) -> float:
        parts = [(values[part], probe_groups[part]) for part in np.split(rows, np.searchsorted(rows, ends))]
        if isinstance(disparity, Disparity):
            return disparity.average(parts, names).value
        tables = [per_group(*part, names=names) for part in parts]
        if any(group.n < MINIMUM_PROBES for table in tables for group in table.values()):
            return float("nan")
        return float(np.mean([disparity(*part) for part in parts]))

    return statistic
