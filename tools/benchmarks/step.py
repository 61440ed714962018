"""A strictly fair training step: the loop that one writes first, and the Trainer's.

The loop is timed twice: with PyTorch's own layout and allocator, and with those of the Trainer.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from timm.optim import create_optimizer_v2
from torch import nn

from dualfair.benchmarks.contest import SPACE, Call, Contest, Setting, compare
from dualfair.runs.devices import keep_freed_memory, seeded
from dualfair.supernet.images.augmentation import augment, draw, to_input
from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.batches import BatchSampler
from dualfair.supernet.training.optimisation import GROUPS, classification_loss, group_of, make_scheduler
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.sampling import StrictFairSampler
from dualfair.supernet.training.trainer import Trainer, TrainingFaces

IDENTITIES = 64
"""People in the random training faces."""
CALLS, WARM_UP = 8, 2
"""Steps of a timing, and those before it."""


def plain_steps(
    network: Supernet,
    faces: TrainingFaces,
    recipe: Recipe,
    space: SearchSpace,
    device: str = "cpu",
    layout: torch.memory_format = torch.contiguous_format,
) -> Iterator[float]:
    """FairNAS, algorithm 1, as it reads: an update at a time, on timm's optimizer and schedule, every path a whole
    forward and backward pass, every loss logged. Yields the mean loss of an update's paths."""
    network = network.to(device, memory_format=layout).train()
    batches, paths = BatchSampler(len(faces.labels), recipe.batch, 0), StrictFairSampler(space.sizes, 0)
    generator = torch.Generator(device).manual_seed(0)
    steps = round(recipe.epochs * batches.batches_per_epoch)
    weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    optimizer = create_optimizer_v2(
        network, opt=recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
    )
    scheduler = make_scheduler(optimizer, recipe, steps)
    kind = torch.device(device).type
    for step in range(1, steps + 1):
        chosen = batches.deal()
        images, draws = to_input(faces.read(chosen).to(device)), draw(len(chosen), generator)
        images = augment(images, draws, flip=recipe.flip, shift=recipe.shift, brightness=recipe.brightness)
        images = images.contiguous(memory_format=layout)
        labels = torch.from_numpy(faces.labels[chosen]).to(device)
        scheduler.step_update(step)
        optimizer.zero_grad()
        genotypes = [space.decode(row) for row in paths.deal()]
        losses = []
        for genotype in genotypes:
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=recipe.amp and kind == "cuda"):
                features = network.trunk(images, genotype.blocks)
                margin = min(1.0, step / (recipe.margin_warmup * steps))
                result = network.heads[genotype.head](features, labels, margin)
            loss = classification_loss(recipe.scale * result.cosines, labels, recipe) + result.penalty
            loss.backward()
            losses.append(loss.item())
        divide_shared_gradients(weights, [genotype.head for genotype in genotypes])
        for group in GROUPS:
            nn.utils.clip_grad_norm_([w for name, w in weights.items() if group_of(name) == group], recipe.clip)
        optimizer.step()
        yield sum(losses) / len(losses)


def divide_shared_gradients(weights: dict[str, nn.Parameter], heads: Sequence[str]) -> None:
    """Turn sums into means over the paths that used a weight; an operation is one path's own."""
    for name, weight in weights.items():
        if weight.grad is not None and group_of(name) != "operations":
            weight.grad /= heads.count(name.split(".")[1]) if name.startswith("heads.") else len(heads)


def parts(setting: Setting) -> tuple[Supernet, RandomFaces, Recipe, SearchSpace]:
    """What is trained on what, and how: the default recipe, so long that its schedule never ends; four batches of
    random pixels, or more."""
    with seeded(0):
        supernet = Supernet(setting.shape, IDENTITIES, setting.space.heads)
    faces = RandomFaces(max(4 * setting.batch, IDENTITIES), IDENTITIES, setting.shape.image_size)
    return supernet, faces, Recipe(batch=setting.batch, epochs=1e6), setting.space


def plain(setting: Setting, like_ours: bool = False) -> Call:
    """The plain loop's step, with PyTorch's own layout and allocator or with those of the Trainer."""
    if like_ours:
        keep_freed_memory()
    layout = torch.channels_last if like_ours else torch.contiguous_format
    return partial(next, plain_steps(*parts(setting), setting.device, layout))


def ours(setting: Setting) -> Call:
    """The Trainer's step, in a process that keeps freed memory as `dualfair train` does."""
    keep_freed_memory()
    supernet, faces, recipe, space = parts(setting)
    return partial(next, Trainer(supernet, faces, recipe, seed=0, space=space, device=setting.device).run())


def step(setting: Setting) -> list[Contest]:
    """The loop both ways against the Trainer."""
    paths = max(setting.space.sizes)
    timing = {"repeats": setting.repeats, "calls": CALLS, "warm_up": WARM_UP, "device": setting.device}
    contests = []
    for name, like_ours in {"PyTorch's defaults": False, "channels last, our allocator": True}.items():
        loop = f"a pass for every path, {name}"
        contest = Contest(
            title=f"step: one strictly fair update of {SPACE}, {paths} paths x {setting.batch} images (random pixels)",
            work=paths * setting.batch,
            unit="images x paths",
            ways=compare({loop: partial(plain, setting, like_ours), "Trainer": partial(ours, setting)}, **timing),
        )
        contests.append(contest)
    return contests
