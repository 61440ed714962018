"""Training a supernet strictly fairly, and one network: the loop that one writes first, and the Trainer's.

The loop is timed twice: with PyTorch's own layout and allocator, in turn in processes of their own; and in one process
with the Trainer, channels last and with the allocator set as the Trainer has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from timm.optim import create_optimizer_v2
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dualfair.benchmarks.contest import IDENTITIES, SPACE, Contest, Setting, rounded
from dualfair.benchmarks.timing import Call, compare, compare_apart, synchronise
from dualfair.runs.devices import keep_freed_memory, seeded
from dualfair.supernet.images.augmentation import augment, draw, to_input
from dualfair.supernet.network import StandaloneNetwork, Supernet, build
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.batches import BatchSampler
from dualfair.supernet.training.optimisation import GROUPS, classification_loss, group_of, make_scheduler
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.sampling import StrictFairSampler
from dualfair.supernet.training.trainer import Trainer, TrainingFaces

GENOTYPE = "101:cosface"
"""The operations of timm's own dual path networks."""
STEP_CALLS, STANDALONE_CALLS = 9, 40
"""Steps of a timing in a process of its own, the first one left out."""
SIDES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
"""Sides of the square matrices whose product is the best that a device could do."""


class PlainTraining:
    """Training on timm's optimizer and schedule, every path a whole forward and backward pass, every loss logged.

    With a space the paths are those of FairNAS, algorithm 1, as it reads; without one there is the network's own.
    """

    def __init__(
        self,
        network: Supernet | StandaloneNetwork,
        faces: TrainingFaces,
        recipe: Recipe,
        *,
        seed: int,
        space: SearchSpace | None = None,
        device: str = "cpu",
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.network = network.to(device, memory_format=layout).train()
        self.faces, self.recipe, self.space, self.layout = faces, recipe, space, layout
        self.device = torch.device(device)
        self.batches = BatchSampler(len(faces.labels), recipe.batch, seed)
        self.paths = StrictFairSampler(space.sizes, seed) if space else None
        self.generator = torch.Generator(device).manual_seed(seed)
        self.steps = round(recipe.epochs * self.batches.batches_per_epoch)
        self.taken = 0
        self.learnt = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        self.optimizer = create_optimizer_v2(
            network, opt=recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
        )
        self.scheduler = make_scheduler(self.optimizer, recipe, self.steps)

    def step(self) -> float:
        """One update; returns the mean loss of its paths."""
        recipe, bfloat16 = self.recipe, self.recipe.amp and self.device.type == "cuda"
        chosen = self.batches.deal()
        images, draws = to_input(self.faces.read(chosen).to(self.device)), draw(len(chosen), self.generator)
        images = augment(images, draws, flip=recipe.flip, shift=recipe.shift, brightness=recipe.brightness)
        images = images.contiguous(memory_format=self.layout)
        labels = torch.from_numpy(self.faces.labels[chosen]).to(self.device)
        paths = [self.space.decode(row) for row in self.paths.deal()] if self.space else [self.network.spec]
        self.taken += 1
        margin = min(1.0, self.taken / (recipe.margin_warmup * self.steps))
        self.scheduler.step_update(self.taken)
        self.optimizer.zero_grad()
        losses = []
        for path in paths:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bfloat16):
                features = self.network.trunk(images, path.blocks)
                result = self.network.heads[path.head](features, labels, margin)
            loss = classification_loss(recipe.scale * result.cosines, labels, recipe) + result.penalty
            loss.backward()
            losses.append(loss.item())
        self._divide_shared_gradients([path.head for path in paths])
        for group in GROUPS:
            weights = [weight for name, weight in self.learnt.items() if group_of(name) == group]
            nn.utils.clip_grad_norm_(weights, recipe.clip)
        self.optimizer.step()
        return sum(losses) / len(losses)

    def _divide_shared_gradients(self, heads: list[str]) -> None:
        """Turn sums into means over the paths that used a weight; an operation is one path's own."""
        for name, weight in self.learnt.items():
            if weight.grad is not None and group_of(name) != "operations":
                weight.grad /= heads.count(name.split(".")[1]) if name.startswith("heads.") else len(heads)


def subject(setting: Setting, strict: bool) -> tuple[Supernet | StandaloneNetwork, SearchSpace | None]:
    """What is trained: a supernet with its space, or a network without one."""
    space = setting.space if strict else None
    with seeded(setting.seed):
        network = (
            Supernet(setting.shape, IDENTITIES, space.heads) if space else build(GENOTYPE, setting.shape, IDENTITIES)
        )
    return network, space


def plain(setting: Setting, strict: bool, layout: torch.memory_format = torch.contiguous_format) -> Call:
    """The plain loop's step."""
    network, space = subject(setting, strict)
    faces, recipe, where = setting.training_faces, setting.recipe, {"device": setting.device, "layout": layout}
    return PlainTraining(network, faces, recipe, seed=setting.seed, space=space, **where).step


def ours(setting: Setting, strict: bool) -> Call:
    """The Trainer's step, in a process that keeps freed memory as `dualfair train` does."""
    if torch.device(setting.device).type == "cpu":
        keep_freed_memory()
    steps = trainer(setting, strict).run()
    return lambda: next(steps)


def trainer(setting: Setting, strict: bool = True, **distributed: ProcessGroup) -> Trainer:
    """A Trainer of the setting's supernet, or of one network, on random pixels; of many ranks, with their groups."""
    network, space = subject(setting, strict)
    faces, recipe, device = setting.training_faces, setting.recipe, setting.device
    return Trainer(network, faces, recipe, seed=setting.seed, space=space, device=device, **distributed)


def step(setting: Setting) -> list[Contest]:
    """Strict steps, with the share of the device's peak that they reach."""
    contest, alike = _contests(setting, True, "a pass for every path", STEP_CALLS)
    flops, peak = count_flops(plain(setting, True)), matmul_flops(setting)
    seconds = {"plain": contest.comparison.plain.median, "ours": contest.comparison.ours.median}
    shares = {name: flops / median / peak for name, median in seconds.items()}
    facts = {"step FLOPs": flops, "matrix product FLOP/s": peak, "share of the matrix product": shares}
    note = (
        f"the plain step is {rounded(flops / 1e9)} GFLOP; a matrix product runs at {rounded(peak / 1e9)} GFLOP/s, of "
        f"which plain reaches {shares['plain']:.1%} and ours {shares['ours']:.1%} (both by the plain step's FLOPs)"
    )
    return [replace(contest, facts=facts, notes=(note,)), alike]


def standalone(setting: Setting) -> list[Contest]:
    """Steps of one standalone network."""
    return _contests(setting, False, "timm loop", STANDALONE_CALLS)


def _contests(setting: Setting, strict: bool, loop: str, calls: int) -> list[Contest]:
    """The loop with PyTorch's defaults against the Trainer, apart; and channels last, in this process."""
    paths = max(setting.space.sizes) if strict else 1
    subject = f"strictly fair update of {SPACE}, {paths} paths x" if strict else f"update of {GENOTYPE},"
    title = f"{'step' if strict else 'standalone'}: one {subject} {setting.batch} images (random pixels)"
    shared = {"ours": "Trainer", "work": paths * setting.batch, "unit": "images x paths" if strict else "images"}
    make_plain, make_ours = partial(plain, setting, strict), partial(ours, setting, strict)
    timing = {"repeats": setting.repeats, "device": setting.device}
    comparison, peaks = compare_apart(make_plain, make_ours, calls=calls, **timing)
    alike = compare(make_plain(torch.channels_last), make_ours(), **timing)
    return [
        Contest(title=title, plain=f"{loop}, PyTorch's defaults", comparison=comparison, peaks=peaks, **shared),
        Contest(title=f"{title}, likewise", plain=f"{loop}, channels last", comparison=alike, **shared),
    ]


def count_flops(work: Callable[[], object]) -> int:
    """Floating point operations of convolutions and matrix products in a call, two a multiply-accumulate."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def matmul_flops(setting: Setting, tries: int = 5) -> float:
    """The largest FLOP/s of some products of square matrices, in the dtype that training computes in."""
    device = torch.device(setting.device)
    best = 0.0
    for side in SIDES[device.type]:
        dtype = torch.bfloat16 if setting.bfloat16 else torch.float32
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        a @ b
        for _ in range(tries):
            synchronise(setting.device)
            start = time.perf_counter()
            a @ b
            synchronise(setting.device)
            best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best
