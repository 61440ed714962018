"""Scores genotypes by the weights they inherit. A population is a trie of paths: every distinct prefix runs once.

It is walked depth first, once to calibrate every stage of the trie on a fixed sample and once a batch of faces to embed
them. Scores equal those of scoring the genotypes one by one.

Shape legend: N images, B batch, D embedding, S side of the images in pixels.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from dualfair.evaluation.answers import answered
from dualfair.evaluation.metrics.disparity import MINIMUM_PROBES, Disparity, per_group, values_of
from dualfair.evaluation.metrics.identification import Ranks
from dualfair.evaluation.objectives import OBJECTIVES, Candidate, EmbeddedFaces, Objective
from dualfair.evaluation.protocol import EvaluationProtocol, Scores, evaluate_faces
from dualfair.evaluation.scoring.device_ranks import counter_on
from dualfair.evaluation.scoring.embedding import Faces, computed_in, over_batches, summed, with_mirror
from dualfair.evaluation.scoring.sharing import Work, divide, work
from dualfair.evaluation.scoring.trie import build_trie, leaves
from dualfair.evaluation.statistics.bootstrap import Statistic, identity_bootstrap
from dualfair.evaluation.statistics.jackknife import group_jackknife
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.memory import Batch
from dualfair.supernet.network import Network, Supernet
from dualfair.supernet.training.process_group import ALONE, ProcessGroup


def population_answers(
    network: Supernet | Network,
    genotypes: Sequence[Genotype],
    faces: Faces,
    calibration: Tensor | None,
    *,
    batch: int | Batch = 128,
    precision: str = "tf32",
) -> dict[Genotype, np.ndarray]:
    """What networks are judged by, for every genotype, by the weights of `network`: float32 (N, D) of all faces, test-
    time embeddings or, of labelled images, class scores.

    `calibration` are the images (B, 3, S, S) on which the BN statistics of every path are measured, as one batch;
    None keeps the statistics that the network has. `network` is not changed. For a standalone network the only
    genotype is its own, and this is how it is judged too.

    Where memory runs out, the batch is halved and what is embedded stays (`memory.Batch`). Embeddings in smaller
    batches are those of the whole batch up to the rounding of kernels that depend on the batch's shape. Statistics are
    those of the calibration sample as one batch, so that is never cut: ValueError says so where it does not fit.
    On CUDA all is computed in a `precision`, one of `evaluation.options.PRECISIONS`.
    """
    distinct = list(dict.fromkeys(genotypes))
    device = next(network.parameters()).device
    embeddings: dict[Genotype, np.ndarray] = {}
    if not distinct:
        return embeddings

    def embed_batch(place: slice, images: Tensor) -> None:
        for genotype, output in leaves(roots, (with_mirror(images) if faces.mirrored else images, None)):
            with torch.autocast(device.type, enabled=False):
                answers = faces.answer(network.heads[genotype.head], output.float())
            answers = summed(answers) if faces.mirrored else answers.cpu().numpy()
            if genotype not in embeddings:
                embeddings[genotype] = np.empty((len(faces.identities), answers.shape[1]), np.float32)
            embeddings[genotype][place] = answers

    with torch.no_grad(), computed_in(precision, device):
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

    The first columns are the protocol's objectives, as they are minimised. The rest, in `columns`, are details worth
    keeping: all measures of the protocol, on all faces and on either half of the people, the values of every group, and
    costs. With `resamples` above 0 there are the ends of intervals of every objective on images too
    (`interval_columns`). `latency` gives milliseconds of a genotype, for objectives that need it. `work` sums up what
    the calls so far took and what they would have taken one by one.

    A network whose embeddings are not finite has no ranks: NaN stands for all that is measured of it. Where memory
    runs out the batch is halved, for this call and all later ones (`memory.Batch`, which also says how it is told).

    Scorers `beside` it, of other supernets on other people, by the same protocol and each by itself, make every measure
    the mean over all of them; `faces` are then those of all.

    With several `processes` the leader is the one that is called; the others `serve` it, and each scores its part.
    What is raised on one of them ends the call on all, as RankFailed with the reason; the next call may be served.
    Costs are the leader's alone.
    """

    def __init__(
        self,
        supernet: Supernet,
        faces: Faces,
        calibration: Tensor | None,
        protocol: EvaluationProtocol,
        *,
        batch: int | Batch = 128,
        precision: str = "tf32",
        processes: ProcessGroup = ALONE,
        resamples: int = 0,
        latency: Callable[[Genotype], float] | None = None,
        beside: Sequence["InheritedScorer"] = (),
    ) -> None:
        if resamples < 0:
            raise ValueError(f"resamples must be 0 or more, got {resamples}")
        self.resamples, self.latency = resamples, latency
        self.supernet, self.calibration, self.beside = supernet, calibration, tuple(beside)
        self._own_faces = faces
        self.faces = faces.joined([other.faces for other in beside]) if beside else faces
        self.protocol, self.precision, self.processes = protocol, precision, processes
        self.batch = batch if isinstance(batch, Batch) else Batch(batch)
        self.work = Work()
        nothing, nearer = np.empty((len(faces.identities), 0)), counter_on(next(supernet.parameters()).device)
        self._unanswered = answered(faces, nothing, protocol.seed, nearer)
        self.objectives = protocol.columns
        self._costs = {cost.column: cost for cost in (*protocol.costs, OBJECTIVES["params"], OBJECTIVES["macs"])}
        details = [*protocol.measures, "params", "macs"]
        for name in np.unique(faces.groups).tolist():
            details += [f"error of {name}", f"mean rank of {name}"]
        details += [half_column(name, half) for half in HALVES for name in protocol.measures]
        if resamples:
            details += [f"{objective.column} {end}" for objective in protocol.on_images for end in ENDS]
        self.columns = (*self.objectives, *(name for name in details if name not in self.objectives))
        self._measured = tuple(name for name in self.columns if name not in self._costs)

    def __call__(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Values of every genotype, float64 (n, columns), in `columns` order; raises whatever scoring them raises."""
        if not genotypes:
            return np.empty((0, len(self.columns)))
        done = work(genotypes, self.supernet.skeleton)
        self.processes.broadcast(" ".join(map(str, genotypes)))
        columns = dict(zip(self._measured, self._score(genotypes).T, strict=True))
        timed = {} if self.latency is None else {"latency": self.latency}
        candidates = [Candidate(genotype, self.supernet.skeleton, **timed) for genotype in genotypes]
        for name, cost in self._costs.items():
            columns[name] = np.array([cost.value(candidate) for candidate in candidates])
        self.work += done
        return np.stack([columns[name] for name in self.columns], axis=1)

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
        """What is measured on images (n, measured columns), each genotype's by one rank and known to all.

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
        zeros = [0.0] * len(self._measured)
        table = [
            [float(failure is not None)] * len(self._measured),
            *(rows.get(genotype, zeros) for genotype in genotypes),
        ]
        sums = self.processes.add(torch.tensor(table, dtype=torch.float64)).numpy()
        if sums[0, 0]:
            raise RankFailed(self._reasons(failure)) from failure
        return sums[1:]

    def _rows(self, genotypes: Sequence[Genotype]) -> dict[Genotype, list[float]]:
        """The values of this rank's part of the genotypes."""
        part = self._part(genotypes)
        how = {"batch": self.batch, "precision": self.precision}
        embeddings = population_answers(self.supernet, part, self._own_faces, self.calibration, **how)
        rows = {genotype: self._row(embeddings[genotype]) for genotype in part}
        tables = [rows, *(other._rows(part) for other in self.beside)]
        return {genotype: np.mean([table[genotype] for table in tables], axis=0).tolist() for genotype in part}

    def _reasons(self, failure: Exception | None) -> str:
        """What failed on which rank, the same text on all of them; every rank says what it was, None where nothing."""
        text = "" if failure is None else f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        letters = text.encode()[:_REASON_BYTES].ljust(_REASON_BYTES, b"\0")
        sent = torch.tensor(list(letters), dtype=torch.uint8)
        received = [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in self.processes.collect(sent).tolist()]
        return "scoring failed on " + "; ".join(f"rank {rank} ({text})" for rank, text in enumerate(received) if text)

    def _part(self, genotypes: Sequence[Genotype]) -> list[Genotype]:
        """The genotypes that fall to this rank."""
        return divide(genotypes, self.processes.size)[self.processes.rank]

    def _row(self, embeddings: np.ndarray) -> list[float]:
        values: dict[str, float] = {}
        if np.isfinite(embeddings).all():
            faces = self._unanswered.answering(embeddings)
            values = score_columns(evaluate_faces(faces, self.protocol))
            if self.resamples:
                values |= interval_columns(faces, self.protocol.on_images, self.resamples)
        return [values.get(name, float("nan")) for name in self._measured]


def score_columns(scores: Scores) -> dict[str, float]:
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


def interval_columns(faces: EmbeddedFaces, objectives: Sequence[Objective], resamples: int) -> dict[str, float]:
    """The ends of the 95 % intervals of objectives over people, as columns: "error low", "error high", ...

    What is made of the probes' ranks: percentiles of so many resamples of the identities as probes; the gallery is
    fixed (`bootstrap.identity_bootstrap`, which also says how an absolute difference near 0 fares). Anything else: the
    value plus and minus 1.96 standard errors by leaving out groups of people (`jackknife.group_jackknife`), within the
    objective's bounds. Both by the seed of the faces. NaN where undefined.
    """
    columns = {}
    for objective in objectives:
        bounds = (_of_probes if objective.of_probes else _of_images)(faces, objective, resamples)
        for end, value in zip(ENDS, bounds, strict=True):
            columns[f"{objective.column} {end}"] = float("nan") if value is None else value
    return columns


def _of_images(faces: EmbeddedFaces, objective: Objective, resamples: int) -> tuple[float | None, float | None]:
    """The interval of a function of embedded faces; None where it is undefined without some of the people."""
    try:
        return group_jackknife(
            lambda rows: objective.value(faces.take(rows)), faces.identities, seed=faces.seed, bounds=objective.bounds
        )
    except ValueError:
        return None, None


def _of_probes(faces: EmbeddedFaces, objective: Objective, resamples: int) -> tuple[float | None, float | None]:
    """The interval of a function of probes' values and groups; None where it is undefined."""
    ranked = faces.galleries(**objective.gallery)
    people = np.concatenate([faces.identities[images[gallery_ranks.probes]] for gallery_ranks, images in ranked])
    if not len(people):
        return None, None
    statistic = _statistic(objective, ranked, faces.groups)
    interval = identity_bootstrap(statistic, people, resamples=resamples, seed=faces.seed)
    return interval.low, interval.high


def _statistic(objective: Objective, ranked: Sequence[tuple[Ranks, np.ndarray]], groups: np.ndarray) -> Statistic:
    """An objective of the ranked images of one gallery or more, as `disparity.measure` takes it, over all probes."""
    function = objective.probe_function
    correct = values_of(function) == "correct"
    values = np.concatenate([gallery_ranks.correct if correct else gallery_ranks.values for gallery_ranks, _ in ranked])
    if isinstance(function, Disparity) and function.reference is None:
        # Numbers sort faster than names, and are as good where no group is meant by its name.
        groups = np.unique(groups, return_inverse=True)[1]
    probe_groups = np.concatenate([groups[images[gallery_ranks.probes]] for gallery_ranks, images in ranked])
    names = np.unique(groups).tolist()
    ends = np.cumsum([len(gallery_ranks.probes) for gallery_ranks, _ in ranked])[:-1]

    def statistic(rows: np.ndarray) -> float:
        parts = [(values[part], probe_groups[part]) for part in np.split(rows, np.searchsorted(rows, ends))]
        if isinstance(function, Disparity):
            return function.average(parts, names).value
        tables = [per_group(*part, names=names) for part in parts] if objective.compares_groups else []
        if any(group.n < MINIMUM_PROBES for table in tables for group in table.values()):
            return float("nan")
        return float(np.mean([function(*part) for part in parts]))

    return statistic
