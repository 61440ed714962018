"""How much memory training, search and retraining need, and whether the device has it.

Weights, gradients and the optimizer's state are counted. What grows with the images at work is read off two small
batches and carried on in a straight line: steps and scoring are run on tensors that have shapes but no data, in no
memory and hardly any time. The same on every device; what kernels and allocators take comes on top.
"""

from __future__ import annotations

import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from dualfair.evaluation.metrics.similarity import CHUNK_BYTES
from dualfair.evaluation.scoring.embedding import with_mirror
from dualfair.evaluation.scoring.trie import build_trie, leaves
from dualfair.planning.workload import Workload
from dualfair.runs.options import BATCH
from dualfair.stages.confirm import GENOTYPES_A_CALL
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.memory import available_ram
from dualfair.supernet.network import StandaloneNetwork, Supernet, build
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.optimisation import classification_loss, make_optimizer
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.statistics import StepStatistics
from dualfair.supernet.training.step import accumulate

SMALL = (16, 32)
"""The two batches that larger ones are told from."""
FLOAT = 4
"""Bytes of a float32."""


class _Alive(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self._known:
                self._known[storage] = True
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes())
        return made

    def _add(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)


def peak_bytes(run: Callable[[], object]) -> int:
    """Most bytes at once of the tensors that `run` makes. With or without data they are the same."""
    with _Alive() as alive:
        run()
    return alive.peak


@dataclass(frozen=True)
class Line:
    """Bytes for so many images at work: `fixed` + `each` * images."""

    fixed: float
    each: float

    @classmethod
    def of(cls, run: Callable[[int], object]) -> Line:
        """The line through what `run` takes with the two small batches."""
        few, more = (peak_bytes(lambda images=images: run(images)) for images in SMALL)
        each = (more - few) / (SMALL[1] - SMALL[0])
        return cls(few - each * SMALL[0], each)

    def at(self, images: int) -> int:
        """Bytes for so many images, 0 or more."""
        return max(0, round(self.fixed + self.each * images))


@dataclass(frozen=True)
class StageMemory:
    """Bytes that a stage needs on the device.

    `weights` are parameters and buffers; `training` the optimizer's state, copies of the buffers and, with EMA, of the
    weights; `batch` gradients, activations and on the way back their gradients. `results` are the embeddings of a score
    call and the comparisons of a judging, which lie in the machine's RAM.
    """

    weights: int
    training: int = 0
    batch: int = 0
    results: int = 0

    @property
    def device(self) -> int:
        return self.weights + self.training + self.batch


class MemoryPlan:
    """What the stages of a workload need; `half` says whether the device trains in bfloat16 where a recipe allows it.

    A few paths that hold every choice of the space stand for all: one that mixes their choices may need a little more.
    Networks are looked at once, so that asking what another batch would need costs nothing.
    """

    def __init__(self, workload: Workload, *, half: bool) -> None:
        self._workload, self._half = workload, half
        self._paths = covering_paths(workload.space)

    @cached_property
    def _supernet(self) -> Callable[[int], StageMemory]:
        space, skeleton, identities = self._workload.space, self._workload.skeleton, self._workload.faces.identities
        supernet = partial(Supernet, skeleton, identities, space.heads)
        return training_memory(supernet, self._paths, self._workload.train, self._half)

    @cached_property
    def _standalone(self) -> list[Callable[[int], StageMemory]]:
        skeleton, identities, recipe = self._workload.skeleton, self._workload.faces.identities, self._workload.retrain
        networks = {path: partial(build, path, skeleton, identities) for path in self._paths}
        return [training_memory(network, [path], recipe, self._half) for path, network in networks.items()]

    @cached_property
    def _scoring(self) -> tuple[int, Line, Line, Line]:
        """Bytes of the supernet's weights, of a calibration sample, of calibrating with it, and of embedding."""
        # Modules without data can be copied, as the trie does, on this device only.
        with torch.device("meta"), torch.no_grad():
            supernet = Supernet(self._workload.skeleton, 0, self._workload.space.heads).eval()
            return (
                _bytes([*supernet.parameters(), *supernet.buffers()]),
                Line.of(lambda images: _images(supernet, images)),
                Line.of(lambda images: build_trie(supernet, self._paths, _images(supernet, images))),
                Line.of(lambda images: _embed(supernet, self._paths, images)),
            )

    def train(self, workload: Workload) -> StageMemory:
        """Training the supernet at a workload's batch."""
        return self._supernet(workload.train.batch)

    def retrain(self, workload: Workload) -> StageMemory:
        """Training the dearest standalone network at a workload's batch, or judging it where that needs more."""
        dearest = max((need(workload.retrain.batch) for need in self._standalone), key=lambda need: need.device)
        judged = [
            self._scored(workload, workload.protocol.calibrate, images, BATCH, 1) for images in workload.evaluated
        ]
        batch, results = (max(column) for column in zip(*judged, strict=True))
        return replace(dearest, batch=max(dearest.batch, batch), results=results)

    def search(self, workload: Workload) -> StageMemory:
        """A score call of the search, or one that confirms its front where that needs more."""
        call = workload.batch, min(GENOTYPES_A_CALL, workload.evaluations)
        scored = [self._scored(workload, workload.protocol.calibrate, workload.searched, *call)]
        if workload.confirmations:
            calibrate, images = workload.confirmation_calibrate, workload.faces.confirmation
            scored.append(self._scored(workload, calibrate, images, *call))
        batch, results = (max(column) for column in zip(*scored, strict=True))
        return StageMemory(self._scoring[0], batch=batch, results=results)

    def _scored(self, workload: Workload, calibrate: int, images: int, batch: int, genotypes: int) -> tuple[int, int]:
        """Bytes of scoring genotypes together: what is at work on the device, and results."""
        _, sample, calibration, embedding = self._scoring
        at_work = sample.at(calibrate) + embedding.at(min(batch, images))
        embeddings = FLOAT * images * workload.skeleton.embedding
        # Judged one by one: a normalised copy, and at most 2.5 chunks of cosines.
        judging = embeddings + min(5 * CHUNK_BYTES // 2, 10 * images**2)
        return max(at_work, calibration.at(calibrate) if calibrate else 0), genotypes * embeddings + judging


def training_memory(
    opened: Callable[[], Supernet | StandaloneNetwork], paths: list[Genotype], recipe: Recipe, half: bool
) -> Callable[[int], StageMemory]:
    """What training the network takes along `paths`, one after the other, by the number of images."""
    copies, half = optimizer_copies(recipe), half and recipe.amp
    with FakeTensorMode():
        network = opened().train()
        batch = Line.of(lambda images: training_step(network, paths, recipe, images, half))
    weights, buffers = _bytes(network.parameters()), _bytes(network.buffers())
    learnt = _bytes(parameter for parameter in network.parameters() if parameter.requires_grad)
    average = weights + buffers if recipe.ema else 0
    training = round(learnt * copies) + buffers + average
    return lambda images: StageMemory(weights + buffers, training, batch.at(images))


def training_step(
    network: Supernet | StandaloneNetwork, paths: list[Genotype], recipe: Recipe, batch: int, half: bool
) -> None:
    """The gradients of a training step, of images without content; `half`: forward passes in bfloat16."""
    images, labels = _images(network, batch), torch.zeros(batch, dtype=torch.long)

    def loss_along(path: Genotype, features: Tensor) -> tuple[Tensor, Tensor]:
        result = network.heads[path.head](features, labels, 1.0)
        loss = classification_loss(recipe.scale * result.cosines, labels, recipe) + result.penalty
        return loss, result.embedding

    network.zero_grad()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=half)
    accumulate(network, images, paths, loss_along, StepStatistics(network), lambda: autocast)


def optimizer_copies(recipe: Recipe) -> float:
    """How many numbers a recipe's optimizer keeps for every weight: 1 for momentum, 2 for Adam. Seen on one layer."""
    layer = nn.Linear(64, 64, bias=False)
    optimizer = make_optimizer(layer, recipe)
    layer(torch.zeros(1, 64)).sum().backward()
    optimizer.step()
    kept = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(value.numel() for value in kept if value.numel() > 1) / layer.weight.numel()


def _embed(network: Supernet, genotypes: list[Genotype], images: int) -> None:
    for _ in leaves(build_trie(network, genotypes, None), (with_mirror(_images(network, images)), None)):
        pass


def _images(network: nn.Module, images: int) -> Tensor:
    side = network.skeleton.image_size
    return torch.empty(images, 3, side, side).contiguous(memory_format=torch.channels_last)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def covering_paths(space: SearchSpace) -> list[Genotype]:
    """Few genotypes of a space that hold every choice of every choice block: the i-th choice of each, or its last."""
    return [space.decode([min(i, size - 1) for size in space.sizes]) for i in range(max(space.sizes))]


IMAGES = {
    "train": {"--batch": (2, "train", "batch")},
    "search": {"--calibrate": (2, "protocol", "calibrate"), "--search-batch": (1, None, "batch")},
    "retrain": {"--retrain-batch": (2, "retrain", "batch"), "--calibrate": (2, "protocol", "calibrate")},
}
"""Options that say how many images a stage works on at once: the least, and a workload's options and field for it."""


def checked_memory(workload: Workload, device: torch.device) -> dict[str, StageMemory]:
    """What training, searching and retraining need on `device`.

    Raises ValueError in one line for the first stage that does not fit: what it needs, what there is, and the largest
    batch or calibration sample that would fit.
    """
    plan = MemoryPlan(workload, half=device.type == "cuda")
    there, ram = device_memory(device), available_ram()
    needs = {}
    for stage, needed in {"train": plan.train, "search": plan.search, "retrain": plan.retrain}.items():
        needs[stage] = needed(workload)
        if lack := _lack(needs[stage], device, there, ram):

            def fits(changed: Workload, needed: Callable = needed) -> bool:
                return not _lack(needed(changed), device, there, ram)

            raise ValueError(f"{stage} needs {lack}; {_remedy(stage, workload, fits)}")
    return needs


def _lack(need: StageMemory, device: torch.device, there: int, ram: int) -> str:
    """What is needed and what there is, in words; "" where it fits. On a CPU results lie beside the network."""
    whole = need.device + need.results
    if device.type == "cpu":
        return f"{gigabytes(whole)} of RAM, {gigabytes(there)} are available" if whole > there else ""
    if need.device > there:
        return f"{gigabytes(need.device)} on the device, which has {gigabytes(there)}"
    if need.results > ram:
        return f"{gigabytes(need.results)} of RAM for embeddings, {gigabytes(ram)} are available"
    return ""


def _remedy(stage: str, workload: Workload, fits: Callable[[Workload], bool]) -> str:
    """The largest number of images at once that fits, by the option that says how many; or that none does."""
    for flag, (least, owner, field) in IMAGES[stage].items():
        options = getattr(workload, owner) if owner else workload
        numbers = range(least, getattr(options, field) + 1)

        def too_many(images: int, options=options, owner=owner, field=field) -> bool:
            changed = replace(options, **{field: images})
            return not fits(replace(workload, **{owner: changed}) if owner else changed)

        if fitting := bisect_left(numbers, True, key=too_many):
            return f"the largest {flag} that could fit is {numbers[fitting - 1]}"
    return f"no {' or '.join(IMAGES[stage])} fits: use a smaller --skeleton, --blocks or --size"


def device_memory(device: torch.device) -> int:
    """Bytes of a CUDA device in all; on a CPU, the machine's RAM that programs could have at this moment."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return available_ram()


def gigabytes(size: int) -> str:
    """Bytes as GB or MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
