"""What a space and the skeleton of its networks have to be, whoever wrote them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dualfair.conformance.operations import check_operation
from dualfair.evaluation.cost import macs, measured_cost, parameters
from dualfair.evaluation.scoring.scorer import population_embeddings
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.skeleton import Skeleton, skeleton_of
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import NonFinite, Trainer

PEOPLE = 6
"""So many people, of four random images each, are trained and scored on."""


def check_space(space: SearchSpace, skeleton: Skeleton | str, paths: int = 3) -> list[str]:
    """Faults of a space with the skeleton whose networks it is of: genotypes, every operation wherever it may stand,
    costs by formula, a supernet that trains strictly fairly, subnets equal to their standalone networks bit for bit,
    and scores that do not depend on who is scored beside them. `paths` random networks are looked at."""
    skeleton = skeleton_of(skeleton)
    rng = np.random.default_rng(0)
    genotypes = space.sample_distinct(min(paths, space.size), rng)
    try:
        fitted = [skeleton.fit(genotype) for genotype in genotypes]
    except ValueError as error:
        return [str(error)]
    if fitted != genotypes or any(space.parse(str(genotype)) != genotype for genotype in genotypes):
        return [f"genotype {genotypes[0]} does not come back the same when it is printed and read"]
    faults = list(_faults_of_operations(space, skeleton)) or list(_faults_of_costs(genotypes, skeleton))
    if faults:
        return faults
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return list(_faults_of_supernet(space, skeleton, genotypes))


def _faults_of_operations(space: SearchSpace, skeleton: Skeleton) -> Iterator[str]:
    places = skeleton.block_places()
    looked = set()
    for choice_block, genes in zip(space.choice_blocks, space.genes, strict=True):
        for block, position in genes:
            for code, name in zip(choice_block.codes, choice_block.choices, strict=True):
                operation, place = skeleton.operations[code], places[block][position]
                if operation.name != name:
                    called = f"choice block {choice_block.name!r} calls code {code} {name!r}"
                    yield f"{called}; operation {code} is {operation.name!r}"
                    return
                if (code, place) not in looked:
                    looked.add((code, place))
                    yield from check_operation(operation, place)


def _faults_of_costs(genotypes: Sequence[Genotype], skeleton: Skeleton) -> Iterator[str]:
    for genotype in genotypes:
        try:
            network = build(genotype, skeleton).eval()
            counted = measured_cost(network, skeleton.image_size)
        except Exception as error:
            yield f"network {genotype} does not run: {type(error).__name__}: {error}"
            return
        by_formula = parameters(genotype, skeleton), macs(genotype, skeleton)
        if by_formula != counted:
            yield (
                f"network {genotype}: by formula {by_formula[0]:,} parameters and {by_formula[1]:,} MACs, counted "
                f"{counted[0]:,} and {counted[1]:,}; every operation agrees, so look at stem_cost(), "
                "tail_cost(), features and shortcut_layers()"
            )
            return


def _faults_of_supernet(space: SearchSpace, skeleton: Skeleton, genotypes: Sequence[Genotype]) -> Iterator[str]:
    faces = RandomFaces(4 * PEOPLE, PEOPLE, skeleton.image_size)
    supernet = Supernet(skeleton, PEOPLE, space.heads)
    recipe = dataclasses.replace(Recipe(), batch=2 * PEOPLE, epochs=1.0)
    trainer = Trainer(supernet, faces, recipe, seed=0, space=space)
    try:
        for _ in trainer.run():
            pass
    except NonFinite as error:
        yield f"training does not get going: {error}"
        return
    for choice_block, genes in zip(space.choice_blocks, space.genes, strict=True):
        counts = [trainer.operation_updates[block, at, code] for block, at in genes for code in choice_block.codes]
        if counts and max(counts) - min(counts) > 1:
            yield f"choice block {choice_block.name!r}: updates from {min(counts)} to {max(counts)}"
    supernet.eval()
    images = faces.read(np.arange(4)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        for genotype in genotypes:
            standalone = supernet.extract(genotype).to(memory_format=torch.channels_last)
            if not torch.equal(supernet(images, genotype), standalone(images)):
                yield f"subnet {genotype} is not its standalone network: weights or state are shared outside paths"
                return
    sample = faces.read(np.arange(2 * PEOPLE)).permute(0, 3, 1, 2) / 127.5 - 1
    embeddings = population_embeddings(supernet, genotypes, faces, sample)
    for genotype in genotypes:
        alone = population_embeddings(supernet, [genotype], faces, sample)[genotype]
        if not np.array_equal(embeddings[genotype], alone):
            yield f"network {genotype} gets other embeddings when it is scored beside others"
            return
