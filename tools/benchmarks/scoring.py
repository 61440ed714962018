"""Embedding faces, embedding a population by inherited weights, and ranking all images: the plain way, and ours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import timm
import torch
from timm.layers import BatchNormAct2d, ConvNormAct
from timm.models.dpn import BnAct, DualPathBlock
from torch import Tensor, nn

from dualfair.benchmarks.contest import SPACE, Contest, Setting, Skipped, rounded
from dualfair.benchmarks.timing import Call, compare, compare_apart
from dualfair.benchmarks.training import GENOTYPE
from dualfair.evaluation.metrics.identification import ranks as counted_ranks
from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring.embedding import Faces, embed, network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_embeddings
from dualfair.evaluation.scoring.sharing import work
from dualfair.evolution.nsga2 import evolve
from dualfair.runs.devices import seeded
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.synthetic.people import SyntheticFaces, synthesize
from dualfair.supernet.memory import available_ram
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

TIMM_MODELS = {"small": "dpn68", "paper": "dpn107"}
"""timm's networks with the widths of a skeleton; their depth is an argument."""
BATCHES = 2
"""Batches that a call embeds."""
PEOPLE, IMAGES_EACH = 16, 3
"""Generated faces that the search for a realistic population scores on."""
GENERATIONS, EPOCHS, SIBLINGS = 6, 8, (1, 8)
"""Generations of the searches for one, passes over its faces that the supernet is trained for, and children with a
common beginning that those searches make."""
DIMENSIONS, PER_PERSON = 512, 5
"""Numbers of an embedding that is ranked, and images of a person."""
SORT_BYTES = 21
"""Bytes of the full sort for every pair of images at its peak: cosine 4, order 8, identity 8, found or not 1."""
LARGE = 10_000
"""From here on ranks are compared once only."""


def timm_network(skeleton: Skeleton) -> nn.Module:
    """timm's dual path network in the skeleton's shape: its own model, or, for other widths, one of its parts."""
    if skeleton.name in TIMM_MODELS:
        return timm.create_model(TIMM_MODELS[skeleton.name], k_sec=skeleton.blocks, num_classes=skeleton.embedding)
    return timm_parts(skeleton)


def timm_parts(skeleton: Skeleton) -> nn.Module:
    """The network that GENOTYPE names, of timm's parts, with timm's classifier as neck."""
    norm = partial(BatchNormAct2d, eps=1e-3)
    blocks = []
    for block in skeleton.block_shapes():
        kind = "normal" if not block.shortcut else "down" if block.stride == 2 else "proj"
        widths = (block.in_channels, block.bottleneck, block.bottleneck, block.residual, block.increment)
        blocks.append(DualPathBlock(*widths, block.groups, kind))
    return nn.Sequential(
        ConvNormAct(3, skeleton.stem_width, kernel_size=skeleton.stem_kernel, stride=2, norm_layer=norm),
        nn.MaxPool2d(3, stride=2, padding=1) if skeleton.stem_pool else nn.Identity(),
        *blocks,
        BnAct(skeleton.features, norm_layer=partial(BatchNormAct2d, act_layer=nn.ELU, inplace=False)),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(skeleton.features, skeleton.embedding, kernel_size=1),
        nn.Flatten(),
    )


def embedding(setting: Setting) -> list[Contest]:
    """Ours against timm's network in the same shape, of equal cost."""
    images, shape = BATCHES * setting.batch, setting.shape
    faces = setting.scored_faces(images)

    def embedder(network: nn.Module) -> Call:
        network = network.to(setting.device, memory_format=torch.channels_last).eval()
        return lambda: embed(network, faces, batch=setting.batch)

    with seeded(setting.seed):
        plain, ours = embedder(timm_network(shape)), embedder(build(GENOTYPE, shape))
    return [
        Contest(
            title=f"embedding: {images} images (random pixels), each mirrored too, {GENOTYPE} and its like in timm",
            plain=f"timm {TIMM_MODELS.get(setting.skeleton, 'parts')}, {'-'.join(map(str, shape.blocks))} blocks",
            ours="DualFair",
            work=images,
            unit="images",
            comparison=compare(plain, ours, repeats=setting.repeats, device=setting.device),
        )
    ]


def scoring(setting: Setting) -> list[Contest]:
    """Some populations, each scored both ways, beside what sharing could give at best."""
    space = setting.space
    # Untrained, as weights cost no time.
    with seeded(setting.seed):
        supernet = Supernet(setting.shape, 0, space.heads).to(setting.device, memory_format=torch.channels_last).eval()
    faces = setting.scored_faces(setting.batch)
    sample = network_input(setting.scored_faces(setting.batch, 1), np.arange(setting.batch), setting.device)
    populations = {
        "a random population": random_population(space, setting),
        **searched_populations(space, setting),
        "all heads of random backbones": all_heads(space, setting),
    }
    contests = []
    for title, population in populations.items():
        inputs = supernet, population, faces, sample, setting.batch
        comparison = compare(
            partial(one_by_one, *inputs), partial(in_one_trie, *inputs), repeats=setting.repeats, device=setting.device
        )
        effort = work(population, setting.shape)
        share = comparison.ratio.median / effort.saving
        contests.append(
            Contest(
                title=f"scoring: {title}, {len(population)} genotypes of {SPACE}, {setting.batch} images (random "
                "pixels) with their mirror images, as many to calibrate",
                plain="one by one",
                ours="one trie",
                work=len(population) * setting.batch,
                unit="images x genotypes",
                comparison=comparison,
                facts={
                    "MACs an image": {"one by one": effort.one_by_one, "distinct prefixes": effort.shared},
                    "ideal ratio": effort.saving,
                    "share of the ideal": share,
                },
                notes=(
                    f"ideal ratio {rounded(effort.saving)}: {rounded(effort.one_by_one / 1e6)} M MACs an image one by "
                    f"one, {rounded(effort.shared / 1e6)} M of distinct prefixes; {share:.0%} of it is reached (time "
                    "is not quite proportional to MACs, so that it may be more than all)",
                ),
            )
        )
    return contests


def one_by_one(
    supernet: Supernet, genotypes: Sequence[Genotype], faces: Faces, calibration: Tensor, batch: int
) -> dict[Genotype, np.ndarray]:
    """Embeddings of every genotype, each scored by itself."""
    embeddings = {}
    for genotype in genotypes:
        embeddings |= in_one_trie(supernet, [genotype], faces, calibration, batch)
    return embeddings


def in_one_trie(
    supernet: Supernet, genotypes: Sequence[Genotype], faces: Faces, calibration: Tensor, batch: int
) -> dict[Genotype, np.ndarray]:
    """Embeddings of all genotypes in one call."""
    return population_embeddings(supernet, genotypes, faces, calibration, batch=batch)


def random_population(space: SearchSpace, setting: Setting) -> list[Genotype]:
    """Genotypes that have nothing but chance in common."""
    return space.sample_distinct(setting.population, np.random.default_rng(setting.seed))


def all_heads(space: SearchSpace, setting: Setting) -> list[Genotype]:
    """Random backbones, each with every head: as many genotypes as fit in the population."""
    backbones = random_population(space, setting)[: setting.population // len(space.heads)]
    return [Genotype(backbone.blocks, head) for backbone in backbones for head in space.heads]


def searched_populations(space: SearchSpace, setting: Setting) -> dict[str, list[Genotype]]:
    """What real searches of GENERATIONS ask to be scored in their middle, by a briefly trained supernet."""
    faces = generated_faces(setting)
    with seeded(setting.seed):
        supernet = Supernet(setting.shape, faces.identity_count, space.heads)
    recipe = Recipe(batch=setting.batch, epochs=EPOCHS)
    list(Trainer(supernet, faces, recipe, seed=setting.seed, space=space, device=setting.device).run())
    calibration = network_input(faces, np.arange(setting.batch), setting.device)
    scorer = InheritedScorer(supernet.eval(), faces, calibration, EvaluationProtocol())
    # A generation does not depend on how many follow it, so the search may end here.
    budget = {"population": setting.population, "generations": GENERATIONS // 2 + 1}
    title = f"generation {GENERATIONS // 2 + 1} of {GENERATIONS} of a search on generated faces"
    populations = {}
    for siblings in SIBLINGS:
        result = evolve(space, scorer, **budget, seed=setting.seed, columns=scorer.columns, siblings=siblings)
        name = title + (f" with {siblings} siblings" if siblings > 1 else "")
        populations[name] = [evaluation.genotype for evaluation in result.evaluated[-setting.population :]]
    return populations


def generated_faces(setting: Setting) -> FaceSet:
    """A few dozen generated faces, of enough people for a batch."""
    people = max(PEOPLE, -(-setting.batch // IMAGES_EACH))
    config = SyntheticFaces(identities=people, images=IMAGES_EACH, size=setting.size, seed=setting.seed)
    identities, groups, images = zip(*synthesize(config), strict=True)
    stored, each = np.concatenate(images), np.repeat(np.arange(people), IMAGES_EACH)
    return FaceSet(stored, np.arange(len(stored)), np.array(identities)[each], np.array(groups)[each], setting.size)


def ranks(setting: Setting) -> list[Contest | Skipped]:
    """Ranks of sets of every size that the full sort has memory for."""
    return [_ranks_of(images, setting) for images in setting.embeddings]


def _ranks_of(images: int, setting: Setting) -> Contest | Skipped:
    title = f"ranks: {images:,} random embeddings of {DIMENSIONS} dimensions (numpy, on the CPU)"
    needed, available = SORT_BYTES * images**2, available_ram()
    if 1.2 * needed > available:
        gib = f"the full sort needs about {needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are available"
        return Skipped(title=title, reason=gib)
    makers = [partial(ranking, images, setting.seed, sort) for sort in (True, False)]
    repeats, calls = (1, 1) if images >= LARGE else (setting.repeats, 3)
    comparison, peaks = compare_apart(*makers, repeats=repeats, calls=calls)
    return Contest(
        title=title,
        plain="sort all similarities",
        ours="identification.ranks",
        work=images,
        unit="probes",
        comparison=comparison,
        peaks=peaks,
        notes=("timed once",) if repeats == 1 else (),
    )


def ranking(images: int, seed: int, sort: bool) -> Call:
    """The ranks of random embeddings, by the full sort or by the chunked count."""
    embeddings, identities = random_embeddings(images, seed)
    return lambda: full_sort_ranks(embeddings, identities) if sort else counted_ranks(embeddings, identities)


def random_embeddings(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
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
