"""Training: one loop with two kinds of step, strictly fair over a supernet and single path over a standalone network.

Shape legend: B batch.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from dualfair.supernet.families.backbone_network import BackboneNetwork
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.heads import margin_heads
from dualfair.supernet.images.augmentation import augment, draw, to_input
from dualfair.supernet.images.loader import open_loader
from dualfair.supernet.network import Network, Supernet
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.batches import BatchSampler
from dualfair.supernet.training.counters import UpdateCounters
from dualfair.supernet.training.distillation import taught_embeddings
from dualfair.supernet.training.gradients import BatchGradients
from dualfair.supernet.training.optimisation import (
    GROUPS,
    group_of,
    make_optimizer,
    make_scheduler,
)
from dualfair.supernet.training.path_sharing import share_paths
from dualfair.supernet.training.precision import LossScale, float32_products, half_type
from dualfair.supernet.training.process_group import ALONE, ProcessGroup
from dualfair.supernet.training.recipe import AUTO, PATHS, Recipe
from dualfair.supernet.training.sampling import SamplerFactory, StrictFairSampler
from dualfair.supernet.training.static_step import Lesson
from dualfair.supernet.training.statistics import StepStatistics
from dualfair.supernet.training.step import add_over_ranks, average_shared
from dualfair.supernet.training.step_engine import StepEngine, choose_engine


class TrainingFaces(Protocol):
    """What training reads: the label of every image, and images by number as uint8 (B, S, S, 3), S the `size`; those of
    the `uncropped` set are larger where a random part of S x S pixels is to be seen."""

    labels: np.ndarray
    size: int

    def read(self, images: np.ndarray) -> Tensor: ...

    def uncropped(self) -> Self: ...


@dataclass(frozen=True)
class Progress:
    """What a training step reports: updates done and planned, mean loss of its paths, learning rate, mean norm of
    the embeddings by head, gradient norm by group before clipping, and steps skipped so far. `stopped`: some rank was
    asked to stop, so this step is the last for now."""

    step: int
    steps: int
    loss: float
    lr: float
    embedding_norms: dict[str, float]
    gradient_norms: dict[str, float]
    skipped: int
    stopped: bool


class NonFinite(RuntimeError):
    """Training stopped because too many steps in a row had a non-finite loss or gradient."""


class Trainer:
    """Trains a network on faces by a recipe, step by step; all that moves is in `state_dict`.

    A supernet is trained along the paths that a sampler deals in `space`: gradients of the step's paths add up, those
    of shared weights are divided by the number of paths that used them (an operation's never), then one update
    (FairNAS, algorithm 1). A standalone network has one path. With `recipe.ema` a moving average of weights and BN
    statistics takes the place of the network's own behind the last step. All ranks of `processes` make the same
    update, which is that of one process but for rounding: the ranks of a `team` (by default all) share the images of
    the batch, and teams, of consecutive ranks, share the paths. `step` asks for a way that steps go
    (`step_engine.STEPS`): path by path, or all at once; they differ in rounding only. A `teacher` is what
    paths learn to agree with: embeddings (N, T) of the faces' N images, or a network that is asked about every batch as
    they see it, with embeddings (B, D) as theirs.
    """

    def __init__(
        self,
        network: Supernet | Network,
        faces: TrainingFaces,
        recipe: Recipe,
        *,
        seed: int,
        space: SearchSpace | None = None,
        sampler: SamplerFactory = StrictFairSampler,
        device: torch.device | str = "cpu",
        processes: ProcessGroup = ALONE,
        team: ProcessGroup | None = None,
        step: str = AUTO,
        teacher: np.ndarray | nn.Module | None = None,
    ) -> None:
        if teacher is network:
            raise ValueError("a network cannot be its own teacher; give a copy of it")
        if isinstance(network, Supernet) != (space is not None):
            raise ValueError("a supernet is trained over a space, a standalone network without one")
        if recipe.recompute and isinstance(network, BackboneNetwork):
            raise ValueError(f"recompute is of searched blocks, and {network.spec} has none; train it without")
        recipe.check_heads(margin_heads(network.skeleton))
        sharers = (team or processes).size
        if recipe.batch // recipe.accumulate < sharers:
            part = f" in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
            raise ValueError(f"a batch of {recipe.batch} images{part} cannot be shared by {sharers} ranks")
        self.device = torch.device(device)
        self.network = network.to(self.device, memory_format=torch.channels_last).train()
        self.faces, self.recipe, self.space = faces, recipe, space
        self.processes = processes
        self.team = processes if team is None else team
        self._group = processes.rank // self.team.size
        # This rank's share of every part of a batch, as places in the batch.
        self._shares = list(map(self.team.share, np.array_split(np.arange(recipe.batch), recipe.accumulate)))
        # Ranks have a GPU each, but share the memory of a CPU.
        self.loader = open_loader(faces.uncropped(), self.device, processes.size if self.device.type == "cpu" else 1)
        self.batch_sampler = BatchSampler(len(faces.labels), recipe.batch, seed)
        self.path_sampler = sampler(space.sizes, seed) if space else None
        # On the CPU, so that every device draws the same.
        self.augmentation = torch.Generator().manual_seed(seed)
        # Backbones may drop paths at random, which layers draw from torch's own generator.
        self._layers = _global_generator(self.device) if isinstance(network, BackboneNetwork) else None
        updates = self.path_sampler.updates_per_batch if self.path_sampler else 1
        self.steps = max(1, round(recipe.epochs * self.batch_sampler.batches_per_epoch * updates))
        self._teacher = teacher.to(self.device).eval() if isinstance(teacher, nn.Module) else None
        self._taught = None if teacher is None or self._teacher else self._lesson_of(teacher)
        self.step = 0
        # Updates during which margins grow: losses before and after do not compare.
        self.margin_steps = recipe.margin_warmup * self.steps
        self._half = half_type(recipe, self.device)
        self.loss_scale = LossScale() if self._half is torch.float16 else None
        self.skipped = 0
        self._skipped_in_a_row = 0
        positions = max((len(block.places) for block in network.trunk.blocks), default=0)
        shape = len(network.trunk.blocks), positions, len(network.skeleton.operations)
        self.operation_updates = np.zeros(shape, dtype=np.int64)
        self.head_updates = dict.fromkeys(network.heads, 0)
        weights = {
            group: [p for name, p in network.named_parameters() if group_of(name) == group and p.requires_grad]
            for group in GROUPS
        }
        # A network that was not searched has no candidate operations.
        self._weights = {group: parameters for group, parameters in weights.items() if parameters}
        self._head_weights = {name: list(head.parameters()) for name, head in network.heads.items()}
        self.statistics = StepStatistics(network)
        self.average = ModelEmaV3(self.network, recipe.ema, use_warmup=True) if recipe.ema else None
        self.optimizer = make_optimizer(network, recipe)
        self.scheduler = make_scheduler(self.optimizer, recipe, self.steps)
        sizes = space.sizes if space else ()
        self._asked_step = step
        self._use(choose_engine(step, network, self.path_sampler, sizes, recipe, self.device, processes))

    def _use(self, engine: StepEngine) -> None:
        parts = [len(share) for share in self._shares]
        self.gradients = BatchGradients(
            self.network, self.recipe, self.statistics, self.device, self._half, self.team, parts, engine
        )

    @property
    def engine(self) -> StepEngine:
        """The way that steps go."""
        return self.gradients.engine

    @property
    def paths_per_step(self) -> int:
        """Forward and backward passes of one step."""
        return self.path_sampler.paths_per_step if self.path_sampler else 1

    @property
    def layers_draw(self) -> bool:
        """Whether layers of the network may draw at random."""
        return self._layers is not None

    def run(self, until: int | None = None, stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
        """Train to update `until` (all of them by default), yielding after every step.

        `stop` is asked at every step; when it says yes on any rank, that step is the last on all of them.
        """
        try:
            while self.step < (self.steps if until is None else min(until, self.steps)):
                with float32_products(self.recipe, self.device):
                    progress = self._train_step(stop())
                yield progress
                if progress.stopped:
                    return
        finally:
            # What follows needs the memory, though the trainer may still be there.
            self.gradients.forget()

    def _train_step(self, stop: bool) -> Progress:
        paths = [self.space.decode(row) for row in self.path_sampler.deal()] if self.space else [self.network.spec]
        self.processes.agree(f"the paths of step {self.step + 1}", list(map(str, paths)))
        margin = min(1.0, (self.step + 1) / max(1.0, self.margin_steps))
        if self.scheduler:
            self.scheduler.step_update(self.step + 1)
        images, lesson, share = self._batch()
        path_numbers = share_paths(self.network, paths, self.processes.size // self.team.size)[self._group]
        self.statistics.begin(paths)
        loss_scale = self.loss_scale.value if self.loss_scale else 1.0
        local = [paths[number] for number in path_numbers]
        losses, norms = self.gradients(images, lesson, local, margin, share, loss_scale)
        losses, norms, stop, sums = self._over_ranks(paths, path_numbers, losses, share * norms, stop)
        if self.loss_scale:
            gradients = [w.grad for weights in self._weights.values() for w in weights if w.grad is not None]
            torch._foreach_mul_(gradients, 1 / self.loss_scale.value)
        if self.recipe.shared_gradients == "mean":
            average_shared(self._weights["trunk"], self._head_weights, paths)
        gradient_norms = self._clip()
        # The only wait for the device in a step.
        values = torch.cat([losses, norms, stop, torch.stack(list(gradient_norms.values()))]).tolist()
        losses, norms, (stops, *clipped) = (
            values[: len(paths)],
            values[len(paths) : 2 * len(paths)],
            values[2 * len(paths) :],
        )
        if np.isfinite(losses + clipped).all():
            self.optimizer.step()
            self.statistics.end(sums, paths, self.processes.size, self.team.size)
            if self.average:
                self.average.update(self.network, self.step + 1)
            if self.loss_scale:
                self.loss_scale.keep()
            self._skipped_in_a_row = 0
            self._count(paths)
        elif self.loss_scale and self.loss_scale.value > 1 and np.isfinite(losses).all():
            # Too large a scale is no fault of the training, and the next step has a smaller one.
            self.loss_scale.shrink()
            self.statistics.undo()
        else:
            self.skipped += 1
            self._skipped_in_a_row += 1
            reason = self._non_finite_reason(images, lesson, paths, losses, margin)
            self.statistics.undo()
            if reason:
                raise NonFinite(reason)
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.average and self.step == self.steps:
            self.network.load_state_dict(self.average.module.state_dict())
        return Progress(
            self.step,
            self.steps,
            float(np.mean(losses)),
            max(group["lr"] for group in self.optimizer.param_groups),
            _means_by_head(paths, norms),
            dict(zip(gradient_norms, clipped, strict=True)),
            self.skipped,
            stops > 0,
        )

    @property
    def _embedding_sizes(self) -> set[int]:
        return {head.neck.embedding for head in self.network.heads.values()}

    def _lesson_of(self, teacher: np.ndarray) -> Tensor:
        """What a teacher's embeddings teach networks, float32 (N, D). Raises ValueError where they do not fit."""
        sizes = self._embedding_sizes
        if len(teacher) != len(self.faces.labels) or len(sizes) > 1:
            raise ValueError(
                f"a teacher has an embedding for each of the {len(self.faces.labels)} images, for heads of one size of "
                f"embedding; got {len(teacher)}, and sizes {sorted(sizes)}"
            )
        return torch.from_numpy(taught_embeddings(teacher, *sizes))

    def _batch(self) -> tuple[Tensor, list[Tensor], float]:
        """This rank's images of the next batch, what is to be learnt of them, and which share of the batch they are."""
        chosen = self.batch_sampler.deal()
        local = np.concatenate(self._shares)
        pixels = self.loader.take(chosen[local], self.batch_sampler.upcoming()[local])
        recipe = self.recipe
        draws = draw(len(chosen), self.augmentation, recipe.cutout)[:, local].to(self.device)
        images = augment(to_input(pixels), draws, self.faces.size, **recipe.augmentation)
        lesson = [torch.from_numpy(self.faces.labels[chosen[local]])]
        if self._taught is not None:
            lesson.append(self._taught[chosen[local]])
        images = images.contiguous(memory_format=torch.channels_last)
        if self._teacher is not None:
            with torch.no_grad():
                taught = self._teacher(images).float()
            if {taught.shape[1]} != self._embedding_sizes:
                sizes = sorted(self._embedding_sizes)
                raise ValueError(f"the teacher's embeddings have {taught.shape[1]} numbers, those of the heads {sizes}")
            lesson.append(taught)
        lesson = [tensor.to(self.device) for tensor in lesson]
        return images, lesson, len(local) / len(chosen)

    def _over_ranks(
        self, paths: Sequence[Genotype], path_numbers: Sequence[int], losses: Tensor, norms: Tensor, stop: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Losses and embedding norms of all paths, how many ranks were asked to stop, and sums of statistics, added up
        over ranks with the gradients."""
        local = [paths[number] for number in path_numbers]
        sums, stops = self.statistics.sums(local), losses.new_full((1,), stop)
        if self.processes.size == 1:
            return losses, norms, stops, sums
        table = losses.new_zeros(2, len(paths))
        table[:, path_numbers] = torch.stack([losses, norms])
        added = add_over_ranks(self.network, paths, torch.cat([table.flatten(), stops, sums]), self.processes)
        losses, norms = added[: 2 * len(paths)].chunk(2)
        return losses, norms, added[2 * len(paths)][None], added[2 * len(paths) + 1 :]

    def _clip(self) -> dict[str, Tensor]:
        """Clip every group's gradient by its own norm; returns the norms before clipping."""
        limit = self.recipe.clip or math.inf
        return {group: nn.utils.clip_grad_norm_(weights, limit) for group, weights in self._weights.items()}

    def _count(self, paths: Sequence[Genotype]) -> None:
        for path in paths:
            for block, codes in enumerate(path.blocks):
                for position, code in enumerate(codes):
                    self.operation_updates[block, position, code] += 1
            self.head_updates[path.head] += 1

    def _non_finite_reason(
        self, images: Tensor, lesson: Lesson, paths: Sequence[Genotype], losses: Sequence[float], margin: float
    ) -> str | None:
        """Why training has to stop after too many skipped steps in a row, with the first layer at fault."""
        if self._skipped_in_a_row < self.recipe.non_finite_limit:
            return None
        bad = [path for path, loss in zip(paths, losses, strict=True) if not math.isfinite(loss)]
        path = (bad or list(paths))[0]

        layer = self.gradients.first_non_finite(images, lesson, path, margin)
        return (
            f"{self._skipped_in_a_row} steps in a row had a non-finite {'loss' if bad else 'gradient'}; "
            f"path {path}, first seen in {layer or 'the backward pass'}; lower --lr or --clip"
        )

    def state_dict(self) -> dict:
        """Everything that moves: weights, optimizer, path sampler, order of the faces, generators and counters."""
        counters = UpdateCounters(self.operation_updates, self.head_updates, self.skipped).state_dict()
        return {
            "step": self.step,
            "steps": self.steps,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.module.state_dict() if self.average else {},
            "augmentation": self.augmentation.get_state(),
            **({"layers": self._layers.get_state()} if self._layers else {}),
            "dealt": json.dumps(
                {
                    "skipped": counters.pop("skipped"),
                    "skipped_in_a_row": self._skipped_in_a_row,
                    "step_engine": self.engine.name,
                    **({"loss_scale": vars(self.loss_scale)} if self.loss_scale else {}),
                    "shuffler": self.batch_sampler.state_dict(),
                    "dealer": self.path_sampler.state_dict() if self.path_sampler else None,
                    **counters,
                }
            ),
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue exactly where `state_dict` was taken; on another kind of device but for what its layers draw."""
        dealt = json.loads(state["dealt"])
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.module.load_state_dict(state["average"])
        _restore(self.augmentation, state["augmentation"], state["step"])
        if self._layers:
            _restore(self._layers, state["layers"], state["step"])
        self.batch_sampler.load_state_dict(dealt["shuffler"])
        if self.path_sampler:
            self.path_sampler.load_state_dict(dealt["dealer"])
        engine = dealt.get("step_engine", PATHS)
        if self._asked_step == AUTO and engine != self.engine.name and self.processes.size == 1:
            self._use(StepEngine(engine, "as this training began"))
        if self.loss_scale and "loss_scale" in dealt:
            self.loss_scale = LossScale(**dealt["loss_scale"])
        counters = UpdateCounters.from_state(dealt)
        self.step, self.skipped = state["step"], counters.skipped
        self._skipped_in_a_row = dealt["skipped_in_a_row"]
        self.operation_updates, self.head_updates = counters.operations, dict(counters.heads)


def _global_generator(device: torch.device) -> torch.Generator:
    """The generator that layers on a device draw from."""
    if device.type != "cuda":
        return torch.default_generator
    torch.cuda.init()
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]


def _restore(generator: torch.Generator, state: Tensor, seed: int) -> None:
    """Go on from a generator's state; where it is of another kind of device, which draws otherwise, start anew."""
    if state.numel() == generator.get_state().numel():
        generator.set_state(state)
    else:
        generator.manual_seed(seed)


def _means_by_head(paths: Sequence[Genotype], norms: Sequence[float]) -> dict[str, float]:
    by_head: dict[str, list[float]] = {}
    for path, norm in zip(paths, norms, strict=True):
        by_head.setdefault(path.head, []).append(norm)
    return {head: float(np.mean(values)) for head, values in by_head.items()}
