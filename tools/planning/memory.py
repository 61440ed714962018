"""How much memory every stage needs, and whether the device has it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from dualfair.evaluation.metrics.similarity import CHUNK_BYTES
from dualfair.evaluation.scoring.embedding import with_mirror
from dualfair.planning.live_memory import live_bytes
from dualfair.planning.workload import Workload
from dualfair.supernet.calibration import calibrate_stage
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.memory import available_ram
from dualfair.supernet.network import StandaloneNetwork, Supernet, build
from dualfair.supernet.training.optimisation import classification_loss, make_optimizer
from dualfair.supernet.training.recipe import Recipe

FLOAT = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class StageMemory:
    """Bytes that a stage needs on the device.

    `weights` are parameters and buffers; `training` their gradients, the optimizer's state and a copy of the buffers;
    `batch` is what grows with the images at work: activations, and on the way back their gradients. `results` are the
    embeddings of a population and the comparisons of a judging, which lie in the machine's RAM.
    """

    weights: int
    training: int = 0
    batch: int = 0
    results: int = 0

    @property
    def device(self) -> int:
        return self.weights + self.training + self.batch


def training_memory(
    network: Supernet | StandaloneNetwork, paths: list[Genotype], recipe: Recipe, half: bool
) -> StageMemory:
    """Memory of training `network` at the recipe's batch along the dearest of `paths`, one after the other.

    Every weight has its gradient when the last path of a step goes back; a path's own are counted with its batch.
    `half`: activations in bfloat16, as on CUDA. `network` may be fake.
    """
    network.train()
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = _bytes(parameters)
    dearest = 0
    for path in paths:
        alive = live_bytes(lambda path=path: _one_path(network, path, recipe, half))
        of_the_path = _bytes([parameter for parameter in parameters if parameter.grad is not None])
        for parameter in parameters:
            parameter.grad = None
        dearest = max(dearest, alive.peak - of_the_path)
    buffers = _bytes(list(network.buffers()))
    training = gradients + round(gradients * optimizer_copies(recipe)) + buffers
    return StageMemory(_bytes(list(network.parameters())) + buffers, training, dearest)


def _one_path(network: Supernet | StandaloneNetwork, path: Genotype, recipe: Recipe, half: bool) -> None:
    """Forward and backward along one path, on a batch without content."""
    side = network.skeleton.image_size
    images = torch.empty(recipe.batch, 3, side, side)
    labels = torch.zeros(recipe.batch, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        result = network.heads[path.head](network.trunk(images, path.blocks), labels, 1.0)
    loss = classification_loss(recipe.scale * result.cosines, labels, recipe) + result.penalty
    loss.backward()


def optimizer_copies(recipe: Recipe) -> float:
    """How many numbers a recipe's optimizer keeps for every weight: 1 for momentum, 2 for Adam. Seen on one layer."""
    layer = nn.Linear(64, 64, bias=False)
    optimizer = make_optimizer(layer, recipe)
    layer(torch.zeros(1, 64)).sum().backward()
    optimizer.step()
    kept = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    return sum(value.numel() for value in kept if value.numel() > 1) / layer.weight.numel()


def scoring_memory(
    network: Supernet | StandaloneNetwork, path: Genotype, workload: Workload, genotypes: int
) -> StageMemory:
    """Memory of scoring `genotypes` at once along prefixes like those of `path`: a batch at every depth of the trie."""
    side = network.skeleton.image_size
    images, batch = workload.searched, min(workload.batch, workload.searched)
    calibration = live_bytes(lambda: _walk(network, path, lambda: torch.empty(workload.calibrate, 3, side, side)))
    embedding = live_bytes(lambda: _walk(network, path, lambda: with_mirror(torch.empty(batch, 3, side, side))))
    sample = FLOAT * 3 * side**2 * workload.calibrate
    weights = _bytes([*network.parameters(), *network.buffers()])
    embeddings = FLOAT * images * network.skeleton.embedding
    # Judged one by one: a normalised copy, and at most 2.5 chunks of cosines.
    judging = embeddings + min(5 * CHUNK_BYTES // 2, 10 * images**2)
    return StageMemory(
        weights,
        batch=max(calibration.peak if workload.calibrate else 0, sample + embedding.peak),
        results=genotypes * embeddings + judging,
    )


def _walk(network: Supernet | StandaloneNetwork, path: Genotype, images: Callable[[], torch.Tensor]) -> list:
    """One path of the trie with what the scorer holds meanwhile: what every stage before has put out."""
    x = images()
    held = [x]

    def through(stage: nn.Module) -> torch.Tensor:
        held.append(calibrate_stage(stage, x))
        return held[-1]

    x = through(network.trunk.stem)
    for block, codes in zip(network.trunk.blocks, path.blocks, strict=True):
        carried = x if block.shortcut is None else through(block.shortcut)
        for position, code in enumerate(codes):
            x = through(block.operation(position, code))
        x = block.join(carried, x)
        held[-1] = x
    x = through(network.trunk.tail)
    x = through(network.heads[path.head].neck)
    return held


def _bytes(tensors: list) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def covering_paths(workload: Workload) -> list[Genotype]:
    """Few genotypes of the space that hold every choice of every choice block: the i-th choice of each, or its last."""
    sizes = workload.space.sizes
    return [workload.space.decode([min(i, size - 1) for size in sizes]) for i in range(max(sizes))]


class MemoryPlan:
    """The memory of every stage of a workload, counted on networks without data.

    Dearest of `covering_paths`: a path that mixes their choices may need a little more. `half` says whether the
    device trains in bfloat16 where a recipe allows it, as CUDA does.
    """

    def __init__(self, workload: Workload, *, half: bool) -> None:
        self.workload, self.half = workload, half
        self._paths = covering_paths(workload)
        identities = workload.faces.identities
        self._fake = FakeTensorMode()
        with self._fake:
            self._supernet = Supernet(workload.skeleton, identities, workload.space.heads)
            self._standalone = {path: build(path, workload.skeleton, identities) for path in self._paths}

    def along(self, path: Genotype) -> MemoryPlan:
        """The same plan for one of the paths."""
        narrow = copy.copy(self)
        narrow._paths = [path]
        return narrow

    def dearest(self, need: Callable[[MemoryPlan], StageMemory]) -> MemoryPlan:
        """The same plan for the path of which a stage needs most."""
        return max((self.along(path) for path in self._paths), key=lambda plan: need(plan).device)

    def train(self, batch: int) -> StageMemory:
        """Training the supernet with `batch` images a step."""
        recipe = replace(self.workload.train, batch=batch)
        with self._fake:
            return training_memory(self._supernet, self._paths, recipe, self.half and recipe.amp)

    def retrain(self, batch: int) -> StageMemory:
        """Training the dearest standalone network with `batch` images a step."""
        recipe = replace(self.workload.retrain, batch=batch)
        with self._fake:
            needs = [
                training_memory(self._standalone[path], [path], recipe, self.half and recipe.amp)
                for path in self._paths
            ]
        return max(needs, key=lambda memory: memory.device)

    def search(self, calibrate: int, batch: int) -> StageMemory:
        """Scoring a generation with `calibrate` images for BN statistics and `batch` images at once, or confirming."""
        workload = replace(self.workload, calibrate=calibrate, batch=batch)
        calls = [(workload, max(workload.calls))]
        if workload.confirmations:
            calls.append((workload.confirming, min(max(workload.calls), workload.confirmations)))
        with self._fake:
            needs = [scoring_memory(self._supernet, path, *call) for path in self._paths for call in calls]
        dearest = max(needs, key=lambda memory: memory.device)
        return replace(dearest, results=max(memory.results for memory in needs))


def device_memory(device: torch.device) -> int:
    """Bytes of a CUDA device in all; on a CPU, the machine's RAM that programs could have at this moment."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return available_ram()
