"""Training one standalone network: a plain loop on timm's optimizer and schedule, and the Trainer's.

The loop is timed twice: with PyTorch's own layout and allocator, in turn in processes of their own; and in one process
with the Trainer, channels last and with the allocator set as the Trainer has it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn

from dualfair.benchmarks.memory import in_turn
from dualfair.benchmarks.report import Contest
from dualfair.benchmarks.setting import IDENTITIES, Setting, training_faces
from dualfair.benchmarks.step import plain_batch, plain_bfloat16
from dualfair.planning.stopwatch import compare
from dualfair.runs.devices import keep_freed_memory
from dualfair.supernet.network import StandaloneNetwork, build
from dualfair.supernet.training.batches import BatchSampler
from dualfair.supernet.training.optimisation import classification_loss
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

GENOTYPE = "101:cosface"
CALLS = 40
"""Steps of a timing, the first one left out."""


class PlainTraining:
    """A plain training loop over one network: timm's optimizer and schedule, one clip, the loss logged."""

    def __init__(
        self,
        network: StandaloneNetwork,
        faces,
        recipe: Recipe,
        *,
        seed: int,
        device: str = "cpu",
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.network = network.to(device, memory_format=layout).train()
        self.layout = layout
        self.faces, self.recipe, self.device = faces, recipe, torch.device(device)
        self.shuffler = BatchSampler(len(faces.labels), recipe.batch, seed)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.steps = round(recipe.epochs * self.shuffler.batches_per_epoch)
        self.taken = 0
        self.optimizer = create_optimizer_v2(
            network, opt=recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
        )
        self.scheduler, _ = create_scheduler_v2(
            self.optimizer,
            sched=recipe.schedule,
            num_epochs=self.steps,
            warmup_epochs=round(recipe.warmup * self.steps),
            warmup_prefix=True,
            step_on_epochs=False,
            updates_per_epoch=1,
        )

    def step(self) -> float:
        """One update; returns the loss."""
        batch = plain_batch(self.faces, self.shuffler, self.recipe, self.generator, self.device)
        images, labels = batch[0].contiguous(memory_format=self.layout), batch[1]
        margin = min(1.0, (self.taken + 1) / (self.recipe.margin_warmup * self.steps))
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=plain_bfloat16(self.recipe, self.device)):
            genotype = self.network.genotype
            features = self.network.trunk(images, genotype.blocks)
            result = self.network.heads[genotype.head](features, labels, margin)
        loss = classification_loss(self.recipe.scale * result.cosines, labels, self.recipe) + result.penalty
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.taken += 1
        self.scheduler.step_update(self.taken)
        return loss.item()


def plain(setting: Setting, layout: torch.memory_format = torch.contiguous_format) -> Callable[[], object]:
    """The plain loop's step."""
    network, faces = _what_is_trained(setting)
    training = PlainTraining(network, faces, setting.recipe, seed=setting.seed, device=setting.device, layout=layout)
    return training.step


def ours(setting: Setting) -> Callable[[], object]:
    """The Trainer's step, in a process that keeps freed memory as `dualfair train` does."""
    if torch.device(setting.device).type == "cpu":
        keep_freed_memory()
    network, faces = _what_is_trained(setting)
    steps = Trainer(network, faces, setting.recipe, seed=setting.seed, device=setting.device).run()
    return lambda: next(steps)


def _what_is_trained(setting: Setting):
    torch.manual_seed(setting.seed)
    return build(GENOTYPE, setting.shape, IDENTITIES), training_faces(setting)


CONTESTANTS = {"plain": plain, "ours": ours}


def run(setting: Setting) -> list[Contest]:
    """Steps of one standalone network."""
    comparison, measured = in_turn(setting, "standalone", CALLS)
    alike = compare(
        plain(setting, torch.channels_last), ours(setting), repeats=setting.repeats, synchronise=setting.synchronise
    )
    return [
        Contest(
            title=f"standalone: one update of {GENOTYPE}, {setting.batch} images (random pixels)",
            plain="timm loop, PyTorch's defaults",
            ours="Trainer",
            work=setting.batch,
            unit="images",
            comparison=comparison,
            peaks=measured if setting.memory else None,
        ),
        Contest(
            title="standalone: the same with the timm loop channels last too",
            plain="timm loop, channels last",
            ours="Trainer",
            work=setting.batch,
            unit="images",
            comparison=alike,
        ),
    ]
