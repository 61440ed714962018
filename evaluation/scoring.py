"""Scores genotypes by the weights they inherit. A population is a trie of paths: every distinct prefix runs once.

The activations and calibrated BN statistics of an operation depend only on the choices up to it. So the population is
walked depth first, once to calibrate every stage of the trie on a fixed sample and once a batch of faces to embed
them. Memory is one batch times the depth. Scores equal those of scoring the genotypes one by one.

Shape legend: N images, B batch, D embedding, S side of the images in pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from evaluation.complexity import macs, parameters
from evaluation.embedding import Faces, batches, with_mirror
from evaluation.protocol import LITERAL, EvaluationProtocol, Verdict, judge
from evaluation.sharing import Work, divide, work
from supernet.calibration import calibrate_stage
from supernet.dpn import DualPathBlock, StandaloneNetwork, with_own_statistics
from supernet.genotype import Genotype
from supernet.network import Supernet
from supernet.process_group import ALONE, ProcessGroup

State = tuple[Tensor, Tensor | None]
"""What the next stage works on, and what the block carries past its searched positions (None between blocks)."""


@dataclass(frozen=True)
class _Stage:
    """A part of a network that runs at once. Behind equal beginnings, equal names are equal computations.

    `merge` puts the module's output into the state that it worked on.
    """

    name: tuple
    module: nn.Module
    merge: Callable[[State, Tensor], State]


@dataclass(frozen=True)
class _Node:
    """A stage of the trie, with BN statistics of its own, and what follows it; a leaf is one genotype's."""

    stage: _Stage
    children: tuple[_Node, ...]
    genotype: Genotype | None

    def run(self, state: State) -> State:
        return self.stage.merge(state, self.stage.module(state[0]))


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
        roots = _build_trie(network, distinct, calibration)
        for place, images in batches(faces, batch, device):
            for genotype, output in _leaves(roots, (with_mirror(images), None)):
                plain, mirrored = output.float().chunk(2)
                embeddings[genotype][place] = functional.normalize(plain + mirrored).cpu().numpy()
    return embeddings


def _stages(network: nn.Module, genotype: Genotype) -> list[_Stage]:
    """Every convolution of a genotype's network with its BN, in order; then the tail, and the neck of its head."""
    stages = [_Stage(("stem",), network.trunk.stem, _alone)]
    for block, codes in zip(network.trunk.blocks, genotype.blocks, strict=True):
        if block.shortcut is not None:
            stages.append(_Stage(("shortcut",), block.shortcut, _beside))
        for position, code in enumerate(codes):
            last = position == len(codes) - 1
            merge = partial(_joined, block) if last else _carrying
            stages.append(_Stage((position, code), block.operation(position, code), merge))
    neck = network.heads[genotype.head].neck
    return [*stages, _Stage(("tail",), network.trunk.tail, _alone), _Stage(("neck", genotype.head), neck, _alone)]


def _alone(_: State, output: Tensor) -> State:
    return output, None


def _beside(state: State, output: Tensor) -> State:
    return state[0], output


def _carrying(state: State, output: Tensor) -> State:
    # Without a shortcut a block carries its own input.
    return output, state[0] if state[1] is None else state[1]


def _joined(block: DualPathBlock, state: State, output: Tensor) -> State:
    return block.join(state[1], output), None


def _build_trie(network: nn.Module, genotypes: Sequence[Genotype], calibration: Tensor | None) -> tuple[_Node, ...]:
    """The trie of the genotypes; every stage is a copy that shares weights and owns its BN statistics."""

    def grow(members: Sequence[tuple[Genotype, list[_Stage]]], depth: int, state: State | None) -> tuple[_Node, ...]:
        """The stages at a depth, of genotypes alike so far; `state` is that of the calibration sample, if any."""
        groups = defaultdict(list)
        for genotype, stages in members:
            if depth < len(stages):
                groups[stages[depth].name].append((genotype, stages))
        nodes = []
        for inside in groups.values():
            genotype, stages = inside[0]
            own = replace(stages[depth], module=with_own_statistics(stages[depth].module).eval())
            behind = None if state is None else own.merge(state, calibrate_stage(own.module, state[0]))
            last = depth == len(stages) - 1
            nodes.append(_Node(own, grow(inside, depth + 1, behind), genotype if last else None))
        return tuple(nodes)

    sample = None if calibration is None else (calibration, None)
    return grow([(genotype, _stages(network, genotype)) for genotype in genotypes], 0, sample)


def _leaves(nodes: Sequence[_Node], state: State) -> Iterator[tuple[Genotype, Tensor]]:
    """Run the trie depth first on one batch: the output of every genotype."""
    for node in nodes:
        output = node.run(state)
        if node.genotype is not None:
            yield node.genotype, output[0]
        yield from _leaves(node.children, output)


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
