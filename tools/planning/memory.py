"""How much memory training, search and retraining need, and whether the device has it.

Weights, gradients and the optimizer's state are counted. What grows with the images at work is read off two small
batches and carried on in a straight line: steps and scoring are run on tensors that have shapes but no data, in no
memory and hardly any time. The same on every device; what kernels and allocators take comes on top.
"""

import math
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial

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
from dualfair.stages.confirm import GENOTYPES_A_CALL
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.image_set import ImageSet
from dualfair.supernet.memory import available_ram
from dualfair.supernet.network import StandaloneNetwork, Supernet, build
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.gradients import path_loss
from dualfair.supernet.training.optimisation import make_optimizer
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import AUTO, GRAPH, Recipe
from dualfair.supernet.training.static_step import StaticStep
from dualfair.supernet.training.statistics import StepStatistics
from dualfair.supernet.training.step import accumulate
from dualfair.supernet.training.step_engine import StepEngine, choose_engine

SMALL = (16, 32)
"""The two batches that larger ones are told from."""
FEWEST = 2
"""Images at once that a batch or a calibration sample holds at least."""
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


def line(run: Callable[[int], object]) -> Callable[[int], int]:
    """Bytes that `run` takes by the number of images: in a straight line through what two small batches take."""
    few, more = (peak_bytes(partial(run, images)) for images in SMALL)
    each = (more - few) / (SMALL[1] - SMALL[0])
    return lambda images: max(0, round(few + each * (images - SMALL[0])))


@dataclass(frozen=True)
class StageMemory:
    """Bytes that a stage needs on the device.

    `weights` are parameters and buffers; `training` the optimizer's state, copies of the buffers and, with EMA, of the
    weights; `batch` gradients, activations and on the way back their gradients. `results` are the answers of a score
    call and the comparisons of a judging, which lie in the machine's RAM.
    """

    weights: int
    training: int = 0
    batch: int = 0
    results: int = 0

    @property
    def device(self) -> int:
        return self.weights + self.training + self.batch


@dataclass(frozen=True)
class StageNeed:
    """What a stage `needs`, by the numbers of images at once that `asked` has, under the options that set them."""

    name: str
    asked: dict[str, int]
    needs: Callable[..., StageMemory]

    def at(self, **images: int) -> StageMemory:
        """What it needs as it is asked for, but with other numbers of images under some options."""
        return self.needs(*{**self.asked, **images}.values())


def supernet_engine(workload: Workload, device: torch.device, devices: int = 1) -> Callable[[int], StepEngine]:
    """How steps of the supernet's training will go unless a way is asked for, by the images of a batch."""
    with torch.device("meta"):
        supernet = Supernet(workload.skeleton, workload.faces.classes, workload.space.heads)
    sampler, sizes, processes = workload.path_sampler, workload.space.sizes, ProcessGroup(size=devices)

    def engine(batch: int) -> StepEngine:
        return choose_engine(AUTO, supernet, sampler, sizes, replace(workload.train, batch=batch), device, processes)

    return engine


def stage_needs(
    workload: Workload, *, half: bool, together: Callable[[int], bool] = lambda images: False
) -> Iterator[StageNeed]:
    """What training, searching and retraining need; `half`: the device trains in bfloat16 where a recipe allows it.

    `together` says whether the paths of a step with so many images advance at once.
    A few paths that hold every choice of the space stand for all: one that mixes their choices may need a little more.
    """
    space, skeleton, classes = workload.space, workload.skeleton, workload.faces.classes
    paths, calibrate = covering_paths(space), workload.protocol.calibrate
    supernet = partial(Supernet, skeleton, classes, space.heads)
    batch = workload.train.batch
    yield StageNeed("train", {"--batch": batch}, training_memory(supernet, paths, workload.train, half, together))

    scored = _scoring_memory(workload, paths)

    def searching(calibrate: int, batch: int) -> StageMemory:
        genotypes = min(GENOTYPES_A_CALL, workload.evaluations)
        calls = [scored(calibrate, workload.searched, batch, genotypes)]
        if workload.confirmations:
            sample = workload.confirmation_calibrate(calibrate)
            calls.append(scored(sample, workload.faces.confirmation, batch, genotypes))
        return _most(calls)

    yield StageNeed("search", {"--calibrate": calibrate, "--search-batch": workload.batch}, searching)

    networks = {path: partial(build, path, skeleton, classes) for path in paths}
    trainings = [training_memory(network, [path], workload.retrain, half) for path, network in networks.items()]

    def retraining(batch: int, calibrate: int) -> StageMemory:
        dearest = max((training(batch) for training in trainings), key=lambda need: need.device)
        judged = _most(scored(calibrate, images, workload.batch, 1) for images in workload.evaluated)
        return replace(dearest, batch=max(dearest.batch, judged.batch), results=judged.results)

    yield StageNeed("retrain", {"--retrain-batch": workload.retrain.batch, "--calibrate": calibrate}, retraining)


def _most(needs: Iterable[StageMemory]) -> StageMemory:
    """What suffices for several calls, one after the other."""
    columns = zip(*((need.weights, need.training, need.batch, need.results) for need in needs), strict=True)
    return StageMemory(*map(max, columns))


def _scoring_memory(workload: Workload, paths: list[Genotype]) -> Callable[[int, int, int, int], StageMemory]:
    """What scoring by the supernet takes: on a calibration sample and so many images, a batch at once, for so many
    genotypes together."""
    skeleton, faces = workload.skeleton, workload.faces
    # Modules without data can be copied, as the trie does, on this device only.
    with torch.device("meta"), torch.no_grad():
        supernet = Supernet(skeleton, faces.classes, workload.space.heads).eval()
        weights = _bytes([*supernet.parameters(), *supernet.buffers()])
        calibration = line(lambda images: build_trie(supernet, paths, _images(supernet, images)))
        answering = line(lambda images: _answer(supernet, paths, faces.random(images, 1), images))

    def scored(calibrate: int, images: int, batch: int, genotypes: int) -> StageMemory:
        at_work = FLOAT * 3 * skeleton.image_size**2 * calibrate + answering(min(batch, images))
        answers = FLOAT * images * workload.answer_length
        # Judged one by one: a copy, and of faces at most 2.5 chunks of cosines.
        judging = answers + min(5 * CHUNK_BYTES // 2, 10 * faces.comparisons(images))
        at_most = max(at_work, calibration(calibrate) if calibrate else 0)
        return StageMemory(weights, batch=at_most, results=genotypes * answers + judging)

    return scored


def training_memory(
    opened: Callable[[], Supernet | StandaloneNetwork],
    paths: list[Genotype],
    recipe: Recipe,
    half: bool,
    together: Callable[[int], bool] = lambda images: False,
) -> Callable[[int], StageMemory]:
    """What training the network takes along `paths` by the number of images; `together` says whether all paths of a
    step with so many advance at once, or one after the other."""
    copies, half = optimizer_copies(recipe), half and recipe.half
    mode = FakeTensorMode()
    with mode:
        network = opened().train()

    @cache
    def batch(at_once: bool) -> Callable[[int], int]:
        with mode:
            return line(lambda images: training_step(network, paths, recipe, images, half, at_once))

    weights, buffers = _bytes(network.parameters()), _bytes(network.buffers())
    learnt = _bytes(parameter for parameter in network.parameters() if parameter.requires_grad)
    average = weights + buffers if recipe.ema else 0
    training = round(learnt * copies) + buffers + average
    image = FLOAT * 3 * network.skeleton.image_size**2

    def step(images: int) -> StageMemory:
        part = math.ceil(images / recipe.accumulate)
        return StageMemory(weights + buffers, training, batch(together(images))(part) + image * (images - part))

    return step


def training_step(
    network: Supernet | StandaloneNetwork, paths: list[Genotype], recipe: Recipe, batch: int, half: bool, at_once: bool
) -> None:
    """The gradients of a training step, of images without content; `half`: forward passes in half precision;
    `at_once`: of all paths together."""
    images, lesson = _images(network, batch), (torch.zeros(batch, dtype=torch.long),)

    loss_of = partial(path_loss, network, recipe)

    def loss_along(path: Genotype, features: Tensor) -> tuple[Tensor, Tensor]:
        return loss_of(path.head, features, lesson, 1.0)

    network.zero_grad()
    statistics = StepStatistics(network)

    def autocast() -> AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16, enabled=half, cache_enabled=not at_once)

    if at_once:
        StaticStep(network, loss_of, statistics, autocast)(images, lesson, paths, 1.0)
    else:
        accumulate(network, images, paths, loss_along, statistics, autocast, recompute=recipe.recompute)


def optimizer_copies(recipe: Recipe) -> float:
    """How many numbers a recipe's optimizer keeps for every weight: 1 for momentum, 2 for Adam. Seen on one layer."""
    layer = nn.Linear(64, 64, bias=False)
    optimizer = make_optimizer(layer, recipe)
    layer(torch.zeros(1, 64)).sum().backward()
    optimizer.step()
    kept = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(value.numel() for value in kept if value.numel() > 1) / layer.weight.numel()


def _answer(network: Supernet, genotypes: list[Genotype], faces: ImageSet, images: int) -> None:
    pixels = _images(network, images)
    pixels = with_mirror(pixels) if faces.mirrored else pixels
    for genotype, embedding in leaves(build_trie(network, genotypes, None), (pixels, None)):
        faces.answer(network.heads[genotype.head], embedding)


def _images(network: nn.Module, images: int) -> Tensor:
    side = network.skeleton.image_size
    return torch.empty(images, 3, side, side).contiguous(memory_format=torch.channels_last)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def covering_paths(space: SearchSpace) -> list[Genotype]:
    """Few genotypes of a space that hold every choice of every choice block: the i-th choice of each, or its last."""
    return [space.decode([min(i, size - 1) for size in space.sizes]) for i in range(max(space.sizes))]


def checked_memory(workload: Workload, device: torch.device, devices: int = 1) -> dict[str, StageMemory]:
    """What training, searching and retraining need on `device`, one of so many `devices`.

    Raises ValueError in one line for the first stage that does not fit: what it needs, what there is, and the largest
    batch or calibration sample that would fit.
    """
    there, ram, memory = device_memory(device), available_ram(), {}
    engine = supernet_engine(workload, device, devices)
    for stage in stage_needs(
        workload, half=device.type == "cuda", together=lambda images: engine(images).name == GRAPH
    ):
        memory[stage.name] = stage.at()
        if lack := _lack(memory[stage.name], device, there, ram):
            remedy = _remedy(stage, lambda need: bool(_lack(need, device, there, ram)))
            raise ValueError(f"{stage.name} needs {lack}; {remedy}")
    return memory


def _lack(need: StageMemory, device: torch.device, there: int, ram: int) -> str:
    """What is needed and what there is, in words; "" where it fits. On a CPU results lie beside the network."""
    whole = need.device + need.results
    if device.type == "cpu":
        return f"{gigabytes(whole)} of RAM, {gigabytes(there)} are available" if whole > there else ""
    if need.device > there:
        return f"{gigabytes(need.device)} on the device, which has {gigabytes(there)}"
    if need.results > ram:
        return f"{gigabytes(need.results)} of RAM for results, {gigabytes(ram)} are available"
    return ""


def _remedy(stage: StageNeed, too_much: Callable[[StageMemory], bool]) -> str:
    """The largest number of images at once that fits, by the option that says how many; or that none does."""
    for flag, most in stage.asked.items():
        numbers = range(FEWEST, most + 1)
        if fitting := bisect_left(numbers, True, key=lambda images, flag=flag: too_much(stage.at(**{flag: images}))):
            return f"the largest {flag} that could fit is {numbers[fitting - 1]}"
    return f"no {' or '.join(stage.asked)} fits: use a smaller --skeleton, --blocks or --size"


def device_memory(device: torch.device) -> int:
    """Bytes of a CUDA device in all; on a CPU, the machine's RAM that programs could have at this moment."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return available_ram()


def gigabytes(size: int) -> str:
    """Bytes as GB or MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
