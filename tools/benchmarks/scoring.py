"""Embedding a population by inherited weights: genotype by genotype, and all in one trie of prefixes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dualfair.benchmarks.memory import peaks
from dualfair.benchmarks.report import Contest, rounded
from dualfair.benchmarks.setting import Setting, scored_faces
from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_embeddings
from dualfair.evaluation.scoring.sharing import work
from dualfair.evolution.nsga2 import evolve
from dualfair.planning.stopwatch import compare
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.synthetic.people import SyntheticFaces, synthesize
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import SearchSpace, dpn_space
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

SPACE = "dpn81"
PEOPLE, IMAGES_EACH = 16, 3
"""Generated faces that the search for a realistic population scores on."""

GENERATIONS, EPOCHS = 6, 8
"""Generations of that search, and passes over its faces that the supernet is trained for."""


SIBLINGS = (1, 8)
"""Children with a common beginning that those searches make."""


def one_by_one(supernet: Supernet, genotypes: Sequence[Genotype], faces, calibration, batch: int) -> dict:
    """Embeddings of every genotype, each scored by itself."""
    embeddings = {}
    for genotype in genotypes:
        embeddings |= population_embeddings(supernet, [genotype], faces, calibration, batch=batch)
    return embeddings


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
    torch.manual_seed(setting.seed)
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
        last = result.evaluated[-setting.population :]
        populations[title + (f" with {siblings} siblings" if siblings > 1 else "")] = [
            evaluation.genotype for evaluation in last
        ]
    return populations


def generated_faces(setting: Setting) -> FaceSet:
    """A few dozen generated faces, of enough people for a batch."""
    people = max(PEOPLE, -(-setting.batch // IMAGES_EACH))
    config = SyntheticFaces(identities=people, images=IMAGES_EACH, size=setting.size, seed=setting.seed)
    identities, groups, images = zip(*synthesize(config), strict=True)
    stored = np.concatenate(images)
    return FaceSet(
        stored,
        np.arange(len(stored)),
        np.repeat(identities, IMAGES_EACH),
        np.repeat(groups, IMAGES_EACH),
        setting.size,
    )


def subject(setting: Setting):
    """A supernet, its space, a batch of random faces and one to calibrate; untrained, as weights cost no time."""
    torch.manual_seed(setting.seed)
    space = dpn_space(SPACE, sum(setting.shape.blocks))
    supernet = Supernet(setting.shape, 0, space.heads).to(setting.device, memory_format=torch.channels_last).eval()
    faces = scored_faces(setting, setting.batch)
    sample = scored_faces(setting, setting.batch, 1)
    return supernet, space, faces, network_input(sample, np.arange(setting.batch), setting.device)


def _random_contestant(setting: Setting, embed: Callable) -> Callable[[], object]:
    supernet, space, faces, calibration = subject(setting)
    population = random_population(space, setting)
    return lambda: embed(supernet, population, faces, calibration, batch=setting.batch)


def plain(setting: Setting) -> Callable[[], object]:
    """A random population, genotype by genotype."""
    return _random_contestant(setting, one_by_one)


def ours(setting: Setting) -> Callable[[], object]:
    """A random population in one call."""
    return _random_contestant(setting, population_embeddings)


CONTESTANTS = {"plain": plain, "ours": ours}


def run(setting: Setting) -> list[Contest]:
    """Some populations, each scored both ways, beside what sharing could give at best."""
    space = dpn_space(SPACE, sum(setting.shape.blocks))
    populations = {
        "a random population": random_population(space, setting),
        **searched_populations(space, setting),
        "all heads of random backbones": all_heads(space, setting),
    }
    peaks_of_random = peaks(setting, "scoring")
    return [
        _contest(setting, title, population, peaks_of_random if number == 0 else None)
        for number, (title, population) in enumerate(populations.items())
    ]


def _contest(setting: Setting, title: str, population: list[Genotype], measured) -> Contest:
    supernet, _, faces, calibration = subject(setting)
    comparison = compare(
        lambda: one_by_one(supernet, population, faces, calibration, setting.batch),
        lambda: population_embeddings(supernet, population, faces, calibration, batch=setting.batch),
        repeats=setting.repeats,
        synchronise=setting.synchronise,
    )
    effort = work(population, setting.shape)
    share = comparison.ratio.median / effort.saving
    return Contest(
        title=f"scoring: {title}, {len(population)} genotypes of {SPACE}, {setting.batch} images (random pixels) with "
        f"their mirror images, as many to calibrate",
        plain="one by one",
        ours="one trie",
        work=len(population) * setting.batch,
        unit="images x genotypes",
        comparison=comparison,
        peaks=measured,
        facts={
            "MACs an image": {"one by one": effort.one_by_one, "distinct prefixes": effort.shared},
            "ideal ratio": effort.saving,
            "share of the ideal": share,
        },
        notes=(
            f"ideal ratio {rounded(effort.saving)}: {rounded(effort.one_by_one / 1e6)} M MACs an image one by one, "
            f"{rounded(effort.shared / 1e6)} M of distinct prefixes; {share:.0%} of it is reached (time is not quite "
            "proportional to MACs, so that it may be more than all)",
        ),
    )
