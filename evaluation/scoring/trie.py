"""The trie of a population's paths: what genotypes have in common from their beginnings on runs once.

The activations and calibrated BN statistics of an operation depend only on the choices up to it. Memory is one batch
times the depth.

Shape legend: B batch, S side of the images in pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor, nn

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.memory import free_caches, is_shortage, reason_of
from dualfair.supernet.network import calibrate_stage, with_own_statistics
from dualfair.supernet.trunk import SearchedBlock

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
class Node:
    """A stage of the trie, with BN statistics of its own, and what follows it; a leaf is one genotype's."""

    stage: _Stage
    children: tuple[Node, ...]
    genotype: Genotype | None

    def run(self, state: State) -> State:
        return self.stage.merge(state, self.stage.module(state[0]))


def _stages(network: nn.Module, genotype: Genotype) -> list[_Stage]:
    """Every searched operation of a genotype's network, in order; then the tail, and the neck of its head."""
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


def _carried(state: State) -> Tensor:
    """What the block carries past its positions; without a shortcut that is its own input."""
    return state[0] if state[1] is None else state[1]


def _carrying(state: State, output: Tensor) -> State:
    return output, _carried(state)


def _joined(block: SearchedBlock, state: State, output: Tensor) -> State:
    return block.join(_carried(state), output), None


def build_trie(network: nn.Module, genotypes: Sequence[Genotype], calibration: Tensor | None) -> tuple[Node, ...]:
    """The trie of the genotypes; every stage is a copy that shares weights and owns its BN statistics.

    Raises ValueError when the calibration sample does not fit into memory.
    """
    try:
        return _grown(network, genotypes, calibration)
    except (MemoryError, RuntimeError) as error:
        if calibration is None or not is_shortage(error):
            raise
        reason = reason_of(error)
    free_caches()
    raise ValueError(
        f"the {len(calibration)} images that BN statistics are measured on do not fit into memory ({reason}); lower "
        "--calibrate, or use a device with more memory"
    )


def _grown(network: nn.Module, genotypes: Sequence[Genotype], calibration: Tensor | None) -> tuple[Node, ...]:
    def grow(members: Sequence[tuple[Genotype, list[_Stage]]], depth: int, state: State | None) -> tuple[Node, ...]:
        """The stages at a depth, of genotypes alike so far; `state` is that of the calibration sample, if any."""
        groups = defaultdict(list)
        for genotype, stages in members:
            if depth < len(stages):
                groups[stages[depth].name].append((genotype, stages))
        nodes = []
        for alike in groups.values():
            genotype, stages = alike[0]
            stage = replace(stages[depth], module=with_own_statistics(stages[depth].module).eval())
            behind = None if state is None else stage.merge(state, calibrate_stage(stage.module, state[0]))
            last = depth == len(stages) - 1
            nodes.append(Node(stage, grow(alike, depth + 1, behind), genotype if last else None))
        return tuple(nodes)

    sample = None if calibration is None else (calibration, None)
    return grow([(genotype, _stages(network, genotype)) for genotype in genotypes], 0, sample)


def leaves(nodes: Sequence[Node], state: State) -> Iterator[tuple[Genotype, Tensor]]:
    """Run the trie depth first on one batch: the output of every genotype."""
    for node in nodes:
        output = node.run(state)
        if node.genotype is not None:
            yield node.genotype, output[0]
        yield from leaves(node.children, output)
