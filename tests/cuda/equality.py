"""All paths at once against path by path: gradients, whole trainings, and checkpoints that change the device."""

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dualfair.runs.architectures import open_skeleton, open_space
from dualfair.runs.devices import seeded
from dualfair.supernet.convolution import GroupedPointwiseConv
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.network import Network, Supernet, build
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import SearchSpace, dpn_space
from dualfair.supernet.training.checkpoint import load_checkpoint, save_checkpoint
from dualfair.supernet.training.optimisation import group_of
from dualfair.supernet.training.recipe import AUTO, GRAPH, PATHS, Recipe
from dualfair.supernet.training.recording import record_on_cuda
from dualfair.supernet.training.sampling import StrictFairSampler
from dualfair.supernet.training.static_step import Lesson, StaticStep
from dualfair.supernet.training.statistics import StepStatistics
from dualfair.supernet.training.trainer import Trainer
from tests.cuda.devices import exact_arithmetic, seconds_of
from tests.cuda.running import Row, at_most

PEOPLE = 8
SIDE = 32
"""Of the images of whole trainings; those of gradients are of the skeleton's own size on a GPU."""
WAYS = {
    "float64": (torch.float64, False, 1e-10),
    "float32": (torch.float32, False, 5e-5),
    "bfloat16": (torch.float32, True, 5e-5),
}
"""Types of weights, whether forward passes are in bfloat16, and the relative difference that is allowed."""
RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""How far weights and statistics of two short trainings may lie apart."""
STEPS = 6
IMAGES = 16
"""Of a batch."""
GROUPS, PLACES = 50, ((200, 28), (400, 28), (800, 14), (1600, 7))
"""Of the grouped convolutions of `paper`, which are of so many channels and pixels a side."""


def gradients(skeleton: str, device: str) -> Iterator[Row]:
    """Gradients of two steps with other paths, images and margins, recorded once on CUDA, against whole passes one
    after the other.

    Both round: where the plain loop itself is further from float64 than is allowed, twice as far is; in bfloat16 that
    is said of all weights together.
    """
    exact_arithmetic()
    shape = skeleton_of(skeleton)
    shape = shape.resized(SIDE) if device == "cpu" else shape
    for name, (dtype, bfloat16, allowed) in WAYS.items():
        operations, share = _worst_differences(shape, device, dtype, bfloat16, allowed)
        if dtype == torch.float64:
            yield at_most(f"{name}, gradients of operations", operations, allowed, "of their norm")
        yield at_most(f"{name}, all gradients", share, 1, "of what is allowed")


def _worst_differences(shape, device: str, dtype: torch.dtype, bfloat16: bool, allowed: float) -> tuple[float, float]:
    space = dpn_space("dpn81", sum(shape.blocks))
    with seeded(0):
        plain = Supernet(shape, PEOPLE, space.heads)
    plain = plain.to(device, dtype).to(memory_format=torch.channels_last).train()
    network, exact = copy.deepcopy(plain), copy.deepcopy(plain).double()
    context = partial(torch.autocast, torch.device(device).type, torch.bfloat16, enabled=bfloat16, cache_enabled=False)
    statistics, sampler = StepStatistics(network), StrictFairSampler(space.sizes, 0)
    record = None if device == "cpu" else partial(record_on_cuda, torch.device(device))
    step = StaticStep(network, _loss_of(network), statistics, context, record)
    generator, operations, shares = torch.Generator().manual_seed(0), [], []
    for margin in (0.1, 1.0):
        images = torch.randn(IMAGES, 3, shape.image_size, shape.image_size, generator=generator).to(device, dtype)
        images = images.contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, PEOPLE, (IMAGES,), generator=generator).to(device)
        paths = [space.decode(row) for row in sampler.deal()]
        for each in (plain, network, exact):
            each.zero_grad(set_to_none=True)
        _plain_loop(plain, images, labels, paths, margin, context)
        _plain_loop(exact, images.double(), labels, paths, margin, nullcontext)
        statistics.begin(paths)
        step(images, (labels,), paths, margin)
        statistics.undo()
        norms = []
        weights = zip(plain.named_parameters(), network.parameters(), exact.parameters(), strict=True)
        for (name, weight), other, truth in weights:
            if (weight.grad is None) != (other.grad is None):
                raise AssertionError(f"only one way gives {name} a gradient")
            if weight.grad is not None:
                norm, difference = weight.grad.norm(), (weight.grad - other.grad).norm()
                rounding = (weight.grad.double() - truth.grad).norm()
                norms.append(torch.stack([norm, difference, rounding]).double())
                if group_of(name) == "operations":
                    operations.append((difference / norm).item())
        rows = torch.stack(norms)
        norm, difference, rounding = (rows.norm(dim=0)[None] if bfloat16 else rows).unbind(1)
        limits = torch.maximum(allowed * norm, 2 * rounding).clamp(min=1e-12)
        shares.append((difference / limits).max().item())
    # Of numpy: a NaN is the largest.
    return float(np.max(operations)), float(np.max(shares))


def _loss_of(network: Supernet) -> Callable[[str, Tensor, Lesson, Tensor | float], tuple[Tensor, Tensor]]:
    def loss(head: str, features: Tensor, lesson: Lesson, margin: Tensor | float) -> tuple[Tensor, Tensor]:
        (labels,) = lesson
        result = network.heads[head](features, labels, margin)
        return nn.functional.cross_entropy(result.logits(16), labels) + result.penalty, result.embedding

    return loss


def _plain_loop(network, images: Tensor, labels: Tensor, paths: Sequence[Genotype], margin: float, context) -> None:
    for path in paths:
        with context():
            loss, _ = _loss_of(network)(path.head, network.trunk(images, path.blocks), (labels,), margin)
        loss.backward()


def pointwise(device: str) -> Iterator[Row]:
    """Grouped 1x1 convolutions of `paper`, without groups as CUDA computes them against the library's own in groups:
    outputs and gradients in float64, and times in bfloat16."""
    exact_arithmetic()
    images, places = (2, PLACES[:1]) if device == "cpu" else (256, PLACES)
    for channels, side in places:
        layer = GroupedPointwiseConv(channels, channels, 1, groups=GROUPS, bias=False).to(device, torch.float64)
        x = torch.randn(4, channels, side, side, device=device, dtype=torch.float64, requires_grad=True)
        whole, grouped = functional.conv2d(x, layer.without_groups()), nn.Conv2d.forward(layer, x)
        slope = torch.randn_like(grouped)
        pairs = [(whole, grouped)]
        pairs += zip(*(torch.autograd.grad(each, (x, layer.weight), slope) for each in (whole, grouped)), strict=True)
        worst = max(((value - other).norm() / other.norm()).item() for value, other in pairs)
        yield at_most(f"{channels} channels, without groups", worst, 1e-12, "of the norm")
        layer = layer.bfloat16().to(memory_format=torch.channels_last)
        x = torch.randn(images, channels, side, side, device=device, dtype=torch.bfloat16)
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        ways = {"in groups": partial(nn.Conv2d.forward, layer, x), "without": partial(layer, x)}
        for name, forward in ways.items():
            slope = torch.randn_like(forward())
            step = partial(_backward, forward, (x, layer.weight), slope)
            yield Row(f"{channels} channels, {name}", 1000 * seconds_of(step, device, repeats=5, warm_up=2), "ms")


def _backward(forward: Callable[[], Tensor], inputs: tuple[Tensor, ...], slope: Tensor) -> None:
    torch.autograd.grad(forward(), inputs, slope)


Opened = tuple[Supernet | Network, SearchSpace | None]
"""A network and its space; None where it stands alone."""


def supernet() -> Opened:
    """A nano supernet for small images."""
    shape = skeleton_of("nano").resized(SIDE)
    space = dpn_space("dpn81", sum(shape.blocks))
    return Supernet(shape, PEOPLE, space.heads), space


def network() -> Opened:
    """A nano network by itself."""
    return build("101:magface", skeleton_of("nano").resized(SIDE), PEOPLE), None


def with_own_parts(skeleton: str, heads: str) -> Opened:
    """A supernet with an operation or a head of one's own, as the worked examples have them."""
    shape = open_skeleton(skeleton, size=SIDE, heads=heads)
    space = open_space("dpn81", shape, heads)
    return Supernet(shape, PEOPLE, space.heads), space


TRAINED = {
    "supernet": supernet,
    "network": network,
    # Ten operations: every head is dealt equally often where there are two.
    "own operation": partial(with_own_parts, "dualfair.guides.own_operation:skeleton", "arcface,cosface"),
    "own head": partial(with_own_parts, "nano", "arcface,cosface,dualfair.guides.own_head:sphereface"),
}
"""What is trained for a few steps, and how it is made."""


def training(name: str, device: str) -> Iterator[Row]:
    """A short training either way: weights, statistics of BN, and counters, which are the same to the last update."""
    exact_arithmetic()
    paths, graph = (_trainer(TRAINED[name], device, step) for step in (PATHS, GRAPH))
    for trainer in (paths, graph):
        list(trainer.run(until=STEPS))
    yield from _apart("graph against paths", graph, paths)
    equal = (paths.operation_updates == graph.operation_updates).all() and paths.head_updates == graph.head_updates
    yield Row("counters", "equal" if equal else "different", bound="equal", passed=bool(equal))


def checkpoints(device: str) -> Iterator[Row]:
    """A training whose second half runs on the other kind of device, by either engine, against one that stays."""
    exact_arithmetic()
    for first, second in dict.fromkeys([(device, "cpu"), ("cpu", device)]):
        with tempfile.TemporaryDirectory() as folder:
            moved = _trainer(supernet, first, GRAPH)
            list(moved.run(until=STEPS // 2))
            about = {"seconds": 0.0, "loss": None, "configuration": "", "device": first, "threads": 1, "ranks": 1}
            path = save_checkpoint(Path(folder), moved.state_dict(), step=moved.step, steps=moved.steps, **about)
            continued = _trainer(supernet, second, AUTO)
            continued.load_state_dict(load_checkpoint(path))
        for trainer in (moved, continued):
            list(trainer.run(until=STEPS))
        yield from _apart(f"written on {first}, continued on {second}", continued, moved)
        kept = continued.engine.name
        yield Row(f"written on {first}, engine on {second}", kept, bound=GRAPH, passed=kept == GRAPH)


def _trainer(make: Callable[[], Opened], device: str, step: str) -> Trainer:
    with seeded(0):
        opened, space = make()
    recipe = Recipe(epochs=4, batch=IMAGES, lr=1e-3, ema=0.9, train_precision="float32")
    return Trainer(opened, random_faces(64, PEOPLE, SIDE), recipe, seed=0, space=space, device=device, step=step)


def _apart(what: str, trainer: Trainer, other: Trainer) -> Iterator[Row]:
    shares = {"weights": [], "statistics": []}
    for (name, value), expected in zip(
        trainer.network.state_dict().items(), other.network.state_dict().values(), strict=True
    ):
        value, expected = (np.asarray(tensor.double().cpu()) for tensor in (value, expected))
        kind = "statistics" if ".running_" in name else "weights"
        if value.size:
            share = np.abs(value - expected) / (ABSOLUTE + RELATIVE * np.abs(expected))
            shares[kind].append(share.max())
    for kind, of_kind in shares.items():
        yield at_most(f"{what}, {kind}", float(np.max(of_kind)), 1, f"of {ABSOLUTE:g} + {RELATIVE:g} |value|")
