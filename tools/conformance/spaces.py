"""What a candidate operation, a space and the skeleton of its networks have to be, whoever wrote them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from dualfair.evaluation.cost import macs, measured_cost, parameters
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.runs.devices import seeded
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.operations import Operation, Place
from dualfair.supernet.skeleton import Skeleton, skeleton_of
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import NonFinite, Trainer

PEOPLE = 6
"""So many people, of four random images each, are trained and scored on."""


def check_operation(operation: Operation, place: Place | None = None) -> list[str]:
    """Faults of an operation at a place, by default one of stride 2 from 16 to 24 channels and 9 px.

    Its output must have the right shape and be the same twice, its formulas must give the costs that are counted while
    it runs, its BN statistics must be measurable, and gradients must reach all its weights.
    """
    place = Place(16, 24, 1, 2, 9) if place is None else place
    name = getattr(operation, "name", "")
    if not str(name).isidentifier():
        return [f"its name {name!r} is no name of Python, under which weights could be filed"]
    try:
        module = operation.build(place).eval()
        x = torch.randn(3, place.in_channels, place.side, place.side, generator=torch.Generator().manual_seed(0))
        output, again = module(x), module(x)
    except Exception as error:
        return [f"operation {name} at {place}: {type(error).__name__}: {error}"]
    expected = (3, place.out_channels, place.out_side, place.out_side)
    if output.shape != expected:
        return [f"operation {name} at {place} gives {tuple(output.shape)}; expected {expected}"]
    faults = []
    if not torch.equal(output, again):
        faults.append(f"operation {name} gives two outputs for the same input in evaluation mode")
    counted = measured_cost(module, place.side, place.in_channels)
    for formula, count in zip(("parameters", "macs"), counted, strict=True):
        if (value := getattr(operation, formula)(place)) != count:
            faults.append(f"operation {name} at {place}: {formula}() says {value:,}, counted {count:,}")
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if not all(norm.track_running_stats for norm in norms):
        faults.append(f"operation {name} has a batch normalisation without running statistics, which cannot be kept")
    output = module.train()(x.requires_grad_())
    if not output.requires_grad:
        return [*faults, f"operation {name}: no gradient passes from its output to its input"]
    output.sum().backward()
    without = [weights for weights, value in module.named_parameters() if value.requires_grad and value.grad is None]
    if without:
        faults.append(f"operation {name}: no gradient reaches {without[0]}; what no path uses is never trained")
    return faults


def check_space(
    space: SearchSpace, skeleton: Skeleton | str, paths: int = 3, device: torch.device | str = "cpu"
) -> list[str]:
    """Faults of a space with the skeleton whose networks it is of: genotypes, every operation wherever it may stand,
    costs by formula, a supernet that trains strictly fairly on a device, subnets equal to their standalone networks
    bit for bit, and scores that do not depend on who is scored beside them. `paths` random networks are looked at."""
    skeleton = skeleton_of(skeleton)
    genotypes = space.sample_distinct(min(paths, space.size), np.random.default_rng(0))
    try:
        fitted = [skeleton.fit(genotype) for genotype in genotypes]
    except ValueError as error:
        return [str(error)]
    if fitted != genotypes or any(space.parse(str(genotype)) != genotype for genotype in genotypes):
        return [f"genotype {genotypes[0]} does not come back the same when it is printed and read"]
    faults = _faults_of_operations(space, skeleton) or _faults_of_costs(genotypes, skeleton)
    if faults:
        return faults
    with seeded(0):
        return _faults_of_supernet(space, skeleton, genotypes, device)


def _faults_of_operations(space: SearchSpace, skeleton: Skeleton) -> list[str]:
    positions = skeleton.block_places()
    places: dict[tuple[int, Place], None] = {}
    for choice_block, genes in zip(space.choice_blocks, space.genes, strict=True):
        for code, name in zip(choice_block.codes, choice_block.choices, strict=True) if genes else ():
            if (actual := skeleton.operations[code].name) != name:
                return [
                    f"choice block {choice_block.name!r} calls code {code} {name!r}; operation {code} is {actual!r}"
                ]
            places |= {(code, positions[block][position]): None for block, position in genes}
    return [fault for code, place in places for fault in check_operation(skeleton.operations[code], place)]


def _faults_of_costs(genotypes: Sequence[Genotype], skeleton: Skeleton) -> list[str]:
    for genotype in genotypes:
        try:
            counted = measured_cost(build(genotype, skeleton).eval(), skeleton.image_size)
        except Exception as error:
            return [f"network {genotype} does not run: {type(error).__name__}: {error}"]
        by_formula = parameters(genotype, skeleton), macs(genotype, skeleton)
        if by_formula != counted:
            return [
                f"network {genotype}: by formula {by_formula[0]:,} parameters and {by_formula[1]:,} MACs, counted "
                f"{counted[0]:,} and {counted[1]:,}; every operation agrees, so look at stem_cost(), "
                "tail_cost(), features and shortcut_layers()"
            ]
    return []


def _faults_of_supernet(
    space: SearchSpace, skeleton: Skeleton, genotypes: Sequence[Genotype], device: torch.device | str
) -> list[str]:
    faces = random_faces(4 * PEOPLE, PEOPLE, skeleton.image_size)
    supernet = Supernet(skeleton, PEOPLE, space.heads)
    trainer = Trainer(supernet, faces, Recipe(batch=2 * PEOPLE, epochs=1.0), seed=0, space=space, device=device)
    try:
        list(trainer.run())
    except NonFinite as error:
        return [f"training does not get going: {error}"]
    faults = _faults_of_updates(trainer, space)
    supernet.eval()
    sample = network_input(faces, np.arange(2 * PEOPLE), device)
    embeddings = population_answers(supernet, genotypes, faces, sample)
    for genotype in genotypes:
        standalone = supernet.extract(genotype).to(memory_format=torch.channels_last)
        with torch.no_grad():
            inherited, expected = supernet(sample, genotype), standalone(sample)
        if not torch.equal(inherited, expected):
            gap = (inherited - expected).abs().max().item()
            where = "weights or state are shared outside paths"
            return [*faults, f"subnet {genotype} is not its standalone network, by {gap:.3g} at most: {where}"]
        scored_alone = population_answers(supernet, [genotype], faces, sample)[genotype]
        if not np.array_equal(embeddings[genotype], scored_alone):
            return [*faults, f"network {genotype} gets other embeddings when it is scored beside others"]
    return faults


def _faults_of_updates(trainer: Trainer, space: SearchSpace) -> list[str]:
    """Every choice of a block is taken equally often; but for the last shuffle, where its size divides no whole."""
    if trainer.skipped:
        return [f"{trainer.skipped} of {trainer.step} steps had a loss or gradient that is not finite"]
    faults = []
    paths = trainer.step * trainer.paths_per_step
    for choice_block, genes in zip(space.choice_blocks, space.genes, strict=True):
        updates = trainer.operation_updates
        counts = [updates[block, position, code] for block, position in genes for code in choice_block.codes]
        counts = counts or list(trainer.head_updates.values())
        least, most = paths // len(choice_block.choices), -(-paths // len(choice_block.choices))
        if min(counts) < least or max(counts) > most:
            expected = f"{least} to {most}" if most > least else f"{least}"
            seen = f"updates from {min(counts)} to {max(counts)} in {paths} paths"
            faults.append(f"choice block {choice_block.name!r}: {seen}; expected {expected}")
    return faults
