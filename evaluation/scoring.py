"""Scores genotypes by the weights they inherit. A population is a trie of paths: every distinct prefix runs once.

A block's activations and calibrated BN statistics depend only on the choices before and in it. So the population is
walked depth first, once to calibrate every stage of the trie on a fixed sample and once a batch of faces to embed
them. Memory is one batch times the depth. Scores equal those of scoring the genotypes one by one.

Shape legend: N images, B batch, D embedding, S side of the images in pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from evaluation.complexity import macs, parameters
from evaluation.embedding import Faces, batches, with_mirror
from evaluation.protocol import LITERAL, EvaluationProtocol, Verdict, judge
from evaluation.sharing import Work, divide, work
from supernet.calibration import calibrate_stage
from supernet.dpn import StandaloneNetwork, with_own_statistics
from supernet.genotype import Genotype
from supernet.network import Supernet
from supernet.process_group import ALONE, ProcessGroup


@dataclass
class _Node:
    """A stage of the trie: the part of the network that runs here, and what follows it."""

    run: Callable[[Tensor], Tensor]
    children: list[_Node] = field(default_factory=list)
    genotype: Genotype | None = None


def population_embeddings(
    network: Supernet | StandaloneNetwork,
    genotypes: Sequence[Genotype],
    faces: Faces,
    calibration: Tensor | None,
    *,
    batch: int = 128,
) -> dict[Genotype, np.ndarray]:
    """Test-time embeddings float32 (N, D) of all faces, for every genotype, by the weights of `network`.

    `calibration` are the images (B, 3, S, S) on which the BN statistics of every path are measured, as one batch;
    None keeps the statistics that the network has. `network` is not changed. For a standalone network the only
    genotype is its own, and this is how it is judged too.
    """
    distinct = list(dict.fromkeys(genotypes))
    device = next(network.parameters()).device
    embeddings = {
        genotype: np.empty((len(faces.identities), network.skeleton.embedding), np.float32) for genotype in distinct
    }
    with torch.no_grad():
        root = _build_trie(network, distinct, calibration)
        for place, images in batches(faces, batch, device):
            for genotype, output in _leaves(root, with_mirror(images)):
                plain, mirrored = output.float().chunk(2)
                embeddings[genotype][place] = functional.normalize(plain + mirrored).cpu().numpy()
    return embeddings


def _build_trie(network: nn.Module, genotypes: Sequence[Genotype], calibration: Tensor | None) -> _Node:
    """The trie of the genotypes; every stage is a copy that shares weights and owns its BN statistics."""

    def prepare(stage: nn.Module, x: Tensor | None, *codes: object) -> Tensor | None:
        if x is None:
            stage.eval()
            return None
        return calibrate_stage(stage, x, *codes)

    def grow(members: Sequence[Genotype], depth: int, x: Tensor | None) -> list[_Node]:
        """The stages behind `depth` blocks, for genotypes alike so far; `x` is the calibration sample there."""
        if depth == len(network.trunk.blocks):
            return [end(members, x)]
        nodes = []
        for codes, inside in _grouped(members, lambda genotype: genotype.blocks[depth]).items():
            block = network.trunk.blocks[depth].select(codes)
            output = prepare(block, x, codes)
            nodes.append(_Node(lambda x, block=block, codes=codes: block(x, codes), grow(inside, depth + 1, output)))
        return nodes

    def end(members: Sequence[Genotype], x: Tensor | None) -> _Node:
        """The tail of one trunk, and the neck of every head that is asked of it."""
        tail = with_own_statistics(network.trunk.tail)
        features = prepare(tail, x)
        leaves = []
        for genotype in members:
            neck = with_own_statistics(network.heads[genotype.head].neck)
            prepare(neck, features)
            leaves.append(_Node(neck, genotype=genotype))
        return _Node(tail, leaves)

    stem = with_own_statistics(network.trunk.stem)
    return _Node(stem, grow(genotypes, 0, prepare(stem, calibration)))


def _grouped(genotypes: Sequence[Genotype], key: Callable) -> dict[object, list[Genotype]]:
    groups = defaultdict(list)
    for genotype in genotypes:
        groups[key(genotype)].append(genotype)
    return dict(groups)


def _leaves(node: _Node, x: Tensor) -> Iterator[tuple[Genotype, Tensor]]:
    """Run the trie depth first on one batch: the output of every genotype."""
    output = node.run(x)
    if node.genotype is not None:
        yield node.genotype, output
    for child in node.children:
        yield from _leaves(child, output)


class InheritedScorer:
    """Scores genotypes by a supernet's weights: call it with genotypes, get an array (n, columns).

    The first columns are the `objectives` to minimise: `error`, `params`, `macs`, or the protocol's disparity by its
    name. The rest, in `columns`, are details worth keeping: both measures, the literal rank disparity, the values of
    every group, and costs. `work` sums up what the calls so far took and what they would have taken one by one.

    With several `processes` the leader is the one that is called; the others `serve` it, and each scores its part.
    """

    def __init__(
        self,
        supernet: Supernet,
        faces: Faces,
        calibration: Tensor | None,
        protocol: EvaluationProtocol,
        *,
        objectives: Sequence[str] = (),
        batch: int = 128,
        processes: ProcessGroup = ALONE,
    ) -> None:
        self.supernet, self.faces, self.calibration = supernet, faces, calibration
        self.protocol, self.batch, self.processes = protocol, batch, processes
        self.work = Work()
        self.objectives = tuple(objectives) or ("error", protocol.disparity_name)
        details = ["error", protocol.disparity_name, "params", "macs"]
        if protocol.disparity_name != LITERAL.name:
            details.append(LITERAL.name)
        for name in self.objectives:
            if name not in details:
                raise ValueError(f"unknown objective {name!r}; choose from {', '.join(details)}")
        for group in np.unique(faces.groups).tolist():
            details += [f"error of {group}", f"mean rank of {group}"]
        self.columns = (*self.objectives, *(name for name in details if name not in self.objectives))

    def __call__(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Values of every genotype, float64 (n, columns), in `columns` order."""
        if not genotypes:
            return np.empty((0, len(self.columns)))
        self.work += work(genotypes, self.supernet.skeleton)
        self.processes.broadcast(" ".join(map(str, genotypes)))
        return self._score(genotypes)

    def serve(self) -> None:
        """On every rank but the leader: score this rank's part of whatever the leader scores, until it is dismissed."""
        while announced := self.processes.broadcast():
            self._score([Genotype.parse(text) for text in announced.split()])

    def dismiss(self) -> None:
        """On the leader: nothing is left to score."""
        self.processes.broadcast()

    def _score(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Values (n, columns), each genotype's computed by one rank and known to all."""
        mine = divide(genotypes, self.processes.size, self.supernet.skeleton)[self.processes.rank]
        embeddings = population_embeddings(self.supernet, mine, self.faces, self.calibration, batch=self.batch)
        rows = {genotype: self._row(genotype, embeddings[genotype]) for genotype in mine}
        nothing = [0.0] * len(self.columns)
        values = torch.tensor([rows.get(genotype, nothing) for genotype in genotypes], dtype=torch.float64)
        return self.processes.add(values.to(self.processes.device)).cpu().numpy()

    def _row(self, genotype: Genotype, embeddings: np.ndarray) -> list[float]:
        skeleton = self.supernet.skeleton
        verdict = judge(embeddings, self.faces.identities, self.faces.groups, self.protocol)
        values = {
            **verdict_columns(verdict, self.protocol),
            "params": parameters(genotype, skeleton),
            "macs": macs(genotype, skeleton),
        }
        return [values[name] for name in self.columns]


def verdict_columns(verdict: Verdict, protocol: EvaluationProtocol) -> dict[str, float]:
    """A verdict as named numbers, the names that `InheritedScorer.columns` uses."""
    values = {"error": verdict.error, LITERAL.name: verdict.literal, protocol.disparity_name: verdict.disparity}
    for group in verdict.groups:
        for name, value in (("error", group.error), ("mean rank", group.mean_rank)):
            values[f"{name} of {group.group}"] = float("nan") if value is None else value
    return values
