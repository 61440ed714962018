"""The contests of `dualfair bench`: a strictly fair training step, scoring a population, and ranking all images.

Every plain way is the one that one writes first. The training loop is timed twice: with PyTorch's own layout and
allocator, and with those of the Trainer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from timm.optim import create_optimizer_v2
from torch import nn

from dualfair.benchmarks.contest import SPACE, Call, Contest, Setting, compare
from dualfair.evaluation.metrics.identification import ranks as counted_ranks
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.evaluation.scoring.sharing import work
from dualfair.runs.devices import keep_freed_memory, seeded
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.augmentation import augment, draw, to_input
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.memory import available_ram
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.batches import BatchSampler
from dualfair.supernet.training.optimisation import GROUPS, classification_loss, group_of, make_scheduler
from dualfair.supernet.training.process_group import ALONE
from dualfair.supernet.training.recipe import AUTO, Recipe
from dualfair.supernet.training.sampling import StrictFairSampler
from dualfair.supernet.training.step_engine import StepEngine, choose_engine
from dualfair.supernet.training.trainer import Trainer, TrainingFaces

IDENTITIES = 64
"""People in the random training faces."""
CALLS, WARM_UP = 8, 2
"""Steps of a timing, and those before it."""
POPULATION = 64
"""Genotypes that are scored."""
EMBEDDINGS, DIMENSIONS, PER_PERSON = 20_000, 512, 5
"""Images that are ranked, at most, numbers of an embedding, and images of a person."""
SORT_BYTES = 25
"""Bytes of the full sort for every pair of images at its peak: cosine 4, order 8, identity 8, found or not 1, and a
fifth to spare."""


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
        images, draws = to_input(faces.read(chosen).to(device)), draw(len(chosen), generator, recipe.cutout)
        images = augment(images, draws, faces.size, **recipe.augmentation)
        images = images.contiguous(memory_format=layout)
        labels = torch.from_numpy(faces.labels[chosen]).to(device)
        scheduler.step_update(step)
        optimizer.zero_grad()
        genotypes = [space.decode(row) for row in paths.deal()]
        losses = []
        for genotype in genotypes:
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
                features = network.trunk(images, genotype.blocks)
                margin = min(1.0, step / (recipe.margin_warmup * steps))
                result = network.heads[genotype.head](features, labels, margin)
            loss = classification_loss(result.logits(recipe.scale), labels, recipe) + result.penalty
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


def parts(setting: Setting) -> tuple[Supernet, FaceSet, Recipe, SearchSpace]:
    """What is trained on what, and how: the default recipe, so long that its schedule never ends; four batches of
    random pixels, or more."""
    with seeded(0):
        supernet = Supernet(setting.shape, IDENTITIES, setting.space.heads)
    faces = random_faces(max(4 * setting.batch, IDENTITIES), IDENTITIES, setting.shape.image_size)
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


def chosen_engine(setting: Setting) -> StepEngine:
    """How the Trainer's steps go, by its own rule."""
    space, recipe = setting.space, Recipe(batch=setting.batch)
    with torch.device("meta"):
        supernet = Supernet(setting.shape, IDENTITIES, space.heads)
    sampler = StrictFairSampler(space.sizes, 0)
    return choose_engine(AUTO, supernet, sampler, space.sizes, recipe, torch.device(setting.device), ALONE)


def step(setting: Setting) -> list[Contest]:
    """The loop both ways against the Trainer, whose steps go as they do in a training."""
    paths, trainer = max(setting.space.sizes), f"Trainer, {chosen_engine(setting).way}"
    timing = {"repeats": setting.repeats, "calls": CALLS, "warm_up": WARM_UP, "device": setting.device}
    contests = []
    for name, like_ours in {"PyTorch's defaults": False, "channels last, our allocator": True}.items():
        loop = f"a pass for every path, {name}"
        contest = Contest(
            title=f"step: one strictly fair update of {SPACE}, {paths} paths x {setting.batch} images (random pixels)",
            work=paths * setting.batch,
            unit="images x paths",
            ways=compare({loop: partial(plain, setting, like_ours), trainer: partial(ours, setting)}, **timing),
        )
        contests.append(contest)
    return contests


def populations(space: SearchSpace, size: int) -> dict[str, list[Genotype]]:
    """Genotypes that have nothing but chance in common, and random backbones with every head."""
    random = space.sample_distinct(size, np.random.default_rng(0))
    backbones = [genotype.blocks for genotype in random[: size // len(space.heads)]]
    all_heads = [Genotype(blocks, head) for blocks in backbones for head in space.heads]
    return {"a random population": random, "all heads of random backbones": all_heads}


def embedding(setting: Setting, parts: list[list[Genotype]]) -> Call:
    """Embeds genotypes by one supernet, untrained, as weights cost no time: those of each part in one trie."""
    with seeded(0):
        supernet = Supernet(setting.shape, 0, setting.space.heads)
    supernet = supernet.to(setting.device, memory_format=torch.channels_last).eval()
    batch, size = setting.batch, setting.shape.image_size
    faces, others = (random_faces(batch, max(1, batch // 4), size, seed) for seed in (0, 1))
    calibration = network_input(others, np.arange(batch), setting.device)
    return lambda: [population_answers(supernet, part, faces, calibration, batch=batch) for part in parts]


def scoring(setting: Setting) -> list[Contest]:
    """Populations scored one by one and in one trie, beside what sharing could give at best, by MACs; time is not quite
    proportional to these, so it may be more than all."""
    contests = []
    for name, genotypes in populations(setting.space, POPULATION).items():
        ways = {"one by one": [[genotype] for genotype in genotypes], "one trie": [genotypes]}
        ways = {way: partial(embedding, setting, parts) for way, parts in ways.items()}
        contest = Contest(
            title=f"scoring: {name}, {len(genotypes)} genotypes of {SPACE}, {setting.batch} images (random pixels) "
            "with their mirror images, as many to calibrate",
            work=len(genotypes) * setting.batch,
            unit="images x genotypes",
            ways=compare(ways, repeats=setting.repeats, calls=1, warm_up=1, device=setting.device),
            ideal=work(genotypes, setting.shape).saving,
        )
        contests.append(contest)
    return contests


def ranks(setting: Setting) -> list[Contest]:
    """Ranks of many embeddings, or as many as the full sort has memory for; timed once, as it takes long."""
    images = min(EMBEDDINGS, math.isqrt(available_ram() // SORT_BYTES))
    ways = {"sort all similarities": full_sort_ranks, "identification.ranks": counted_ranks}
    contest = Contest(
        title=f"ranks: {images:,} random embeddings of {DIMENSIONS} dimensions (numpy, on the CPU)",
        work=images,
        unit="probes",
        ways=compare({name: partial(ranking, images, way) for name, way in ways.items()}, repeats=1, calls=1),
    )
    return [contest]


def ranking(images: int, ranks_of: Callable[[np.ndarray, np.ndarray], object]) -> Call:
    """The ranks of random embeddings by a way of finding them."""
    return partial(ranks_of, *random_embeddings(images))


def random_embeddings(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random float32 embeddings (N, 512) and their identities (N,), five images each."""
    embeddings = np.random.default_rng(seed).standard_normal((images, DIMENSIONS), dtype=np.float32)
    return embeddings, np.arange(images) // PER_PERSON


def full_sort_ranks(embeddings: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Every probe's rank as the place of its first mate among all images sorted by cosine, int64 (N,).

    Ties fall as the sort has them, where `identification.ranks` counts them against the probe.
    """
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1)
    return (identities[order] == identities[:, None]).argmax(axis=1)


CONTESTS: dict[str, Callable[[Setting], list[Contest]]] = {"step": step, "scoring": scoring, "ranks": ranks}
"""By the names of `benchmarks.BENCHMARKS`."""
