"""The strict-fairness training step: the loop that one writes first, and the Trainer's.

The loop is timed twice: with PyTorch's own layout and allocator, in turn in processes of their own; and in one process
with the Trainer, channels last and with the allocator set as the Trainer has it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from dualfair.benchmarks.memory import in_turn
from dualfair.benchmarks.report import Contest, rounded
from dualfair.benchmarks.roofline import count_flops, matmul_peak
from dualfair.benchmarks.setting import IDENTITIES, Setting, training_faces
from dualfair.planning.stopwatch import compare
from dualfair.runs.devices import keep_freed_memory
from dualfair.supernet.images.augmentation import augment, draw, to_input
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import SearchSpace, dpn_space
from dualfair.supernet.training.batches import BatchSampler
from dualfair.supernet.training.optimisation import GROUPS, classification_loss, group_of, make_scheduler
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.sampling import StrictFairSampler
from dualfair.supernet.training.trainer import Trainer

SPACE = "dpn81"
CALLS = 9
"""Steps of a timing, the first one left out."""


class PlainStrictTraining:
    """FairNAS, algorithm 1, as it reads: every path is a whole forward and backward pass of its own."""

    def __init__(
        self,
        supernet: Supernet,
        faces,
        recipe: Recipe,
        *,
        seed: int,
        space: SearchSpace,
        device: str = "cpu",
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.supernet = supernet.to(device, memory_format=layout).train()
        self.layout = layout
        self.faces, self.recipe, self.space, self.device = faces, recipe, space, torch.device(device)
        self.shuffler = BatchSampler(len(faces.labels), recipe.batch, seed)
        self.dealer = StrictFairSampler(space.sizes, seed)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.steps = round(recipe.epochs * self.shuffler.batches_per_epoch)
        self.taken = 0
        self.groups = {group: [] for group in GROUPS}
        for name, parameter in supernet.named_parameters():
            if parameter.requires_grad:
                self.groups[group_of(name)].append(parameter)
        self.optimizer = plain_sgd(supernet, recipe)
        self.scheduler = make_scheduler(self.optimizer, recipe, self.steps)

    def step(self) -> list[float]:
        """One update; returns the loss of every path."""
        batch = plain_batch(self.faces, self.shuffler, self.recipe, self.generator, self.device)
        images, labels = batch[0].contiguous(memory_format=self.layout), batch[1]
        paths = [self.space.decode(row) for row in self.dealer.deal()]
        margin = min(1.0, (self.taken + 1) / (self.recipe.margin_warmup * self.steps))
        self.scheduler.step_update(self.taken + 1)
        losses = []
        for path in paths:
            with torch.autocast(
                self.device.type, dtype=torch.bfloat16, enabled=plain_bfloat16(self.recipe, self.device)
            ):
                features = self.supernet.trunk(images, path.blocks)
                result = self.supernet.heads[path.head](features, labels, margin)
            loss = classification_loss(self.recipe.scale * result.cosines, labels, self.recipe) + result.penalty
            loss.backward()
            losses.append(loss.item())
        self._divide_shared_gradients(paths)
        for weights in self.groups.values():
            nn.utils.clip_grad_norm_(weights, self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.taken += 1
        return losses

    def _divide_shared_gradients(self, paths) -> None:
        uses = {f"heads.{head}.": sum(path.head == head for path in paths) for head in self.supernet.heads}
        for name, parameter in self.supernet.named_parameters():
            if parameter.grad is None or group_of(name) == "operations":
                continue
            divisor = next((count for prefix, count in uses.items() if name.startswith(prefix)), len(paths))
            parameter.grad /= divisor


def plain_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    """Whether a step runs under bfloat16 autocast: as in the Trainer, where the recipe wants it, and on CUDA."""
    return recipe.amp and device.type == "cuda"


def plain_batch(faces, shuffler: BatchSampler, recipe: Recipe, generator: torch.Generator, device: torch.device):
    """The next batch, augmented: images (B, 3, S, S) and labels (B,)."""
    chosen = shuffler.deal()
    images = to_input(faces.read(chosen).to(device))
    draws = draw(len(images), generator)
    images = augment(images, draws, flip=recipe.flip, shift=recipe.shift, brightness=recipe.brightness)
    labels = torch.from_numpy(faces.labels[chosen]).to(device)
    return images, labels


def plain_sgd(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """torch's SGD with Nesterov momentum, one-dimensional weights spared from decay."""
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learnt if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=True, fused=False)


def plain(setting: Setting, layout: torch.memory_format = torch.contiguous_format) -> Callable[[], object]:
    """The plain loop's step."""
    faces, space, supernet = _what_is_trained(setting)
    training = PlainStrictTraining(
        supernet, faces, setting.recipe, seed=setting.seed, space=space, device=setting.device, layout=layout
    )
    return training.step


def ours(setting: Setting) -> Callable[[], object]:
    """The Trainer's step, in a process that keeps freed memory as `dualfair train` does."""
    if torch.device(setting.device).type == "cpu":
        keep_freed_memory()
    faces, space, supernet = _what_is_trained(setting)
    trainer = Trainer(supernet, faces, setting.recipe, seed=setting.seed, space=space, device=setting.device)
    steps = trainer.run()
    return lambda: next(steps)


def _what_is_trained(setting: Setting):
    torch.manual_seed(setting.seed)
    space = dpn_space(SPACE, sum(setting.shape.blocks))
    return training_faces(setting), space, Supernet(setting.shape, IDENTITIES, space.heads)


CONTESTANTS = {"plain": plain, "ours": ours}


def run(setting: Setting) -> list[Contest]:
    """Strict steps, with the share of the device's peak that they reach."""
    comparison, measured = in_turn(setting, "step", CALLS)
    plain_step = plain(setting)
    alike = compare(
        plain(setting, torch.channels_last), ours(setting), repeats=setting.repeats, synchronise=setting.synchronise
    )
    flops = count_flops(plain_step)
    roof = matmul_peak(setting)
    paths = max(dpn_space(SPACE, sum(setting.shape.blocks)).sizes)
    reached = {"plain": flops / comparison.plain.median, "ours": flops / comparison.ours.median}
    shares = {name: speed / roof.flops for name, speed in reached.items()}
    return [
        Contest(
            title=f"step: one strictly fair update of {SPACE}, {paths} paths x {setting.batch} images (random pixels)",
            plain="a pass for every path, PyTorch's defaults",
            ours="Trainer",
            work=paths * setting.batch,
            unit="images x paths",
            comparison=comparison,
            peaks=measured if setting.memory else None,
            facts={
                "step FLOPs": flops,
                "FLOP/s": reached,
                "matrix product": {"FLOP/s": roof.flops, "side": roof.side, "dtype": roof.dtype},
                "share of the matrix product": shares,
            },
            notes=(
                f"the plain step is {rounded(flops / 1e9)} GFLOP; a {roof.dtype} matrix product of side {roof.side:,} "
                f"runs at {rounded(roof.flops / 1e9)} GFLOP/s, of which plain reaches {shares['plain']:.1%} and ours "
                f"{shares['ours']:.1%} (both by the plain step's FLOPs)",
            ),
        ),
        Contest(
            title="step: the same with the plain loop channels last too",
            plain="a pass for every path, channels last",
            ours="Trainer",
            work=paths * setting.batch,
            unit="images x paths",
            comparison=alike,
        ),
    ]
