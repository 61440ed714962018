"""Parameters and multiply-accumulates: of a genotype by formula, no network being built, and of any network counted
while it runs, for those that no formula knows. The formulas need no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import LINEAR, Skeleton, skeleton_of
from dualfair.supernet.space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor, nn


def parameters(genotype: Genotype | str, skeleton: Skeleton | str) -> int:
    """Learnt weights of the standalone network: trunk and neck, without the class weights of the training identities.

    The sum of what every operation says of its place; the nine built-in ones have k^2 * Cin * Cout / groups, plus 2 * C
    where they normalise C channels. The neck's fixed BN scale is not learnt and does not count. Raises ValueError for a
    genotype that does not fit.
    """
    return _cost(genotype, skeleton_of(skeleton))[0]


def macs(genotype: Genotype | str, skeleton: Skeleton | str, size: int | None = None) -> int:
    """Multiply-accumulates of convolutions and the neck's linear layer, for one image of `size` x `size` pixels.

    `size` is the skeleton's own image size unless given. Raises ValueError for a genotype that does not fit.
    """
    skeleton = skeleton_of(skeleton)
    return _cost(genotype, skeleton if size is None else skeleton.resized(size))[1]


def _cost(genotype: Genotype | str, skeleton: Skeleton) -> tuple[int, int]:
    """(parameters, MACs) of all that the network of a genotype consists of."""
    genotype = skeleton.fit(genotype)
    ends = skeleton.stem_cost(), skeleton.tail_cost(), neck_cost(genotype.head, skeleton)
    weights, multiplied = zip(*ends, *block_costs(genotype, skeleton), strict=True)
    return sum(weights), sum(multiplied)


def neck_cost(head: str, skeleton: Skeleton) -> tuple[int, int]:
    """(parameters, MACs) of the neck of a head: a linear layer with a bias, or with the shift of its BN, on what is
    pooled or, with BN in front, on all pixels; none where it only pools, as for softmax."""
    if head == "softmax" or skeleton.neck == "none":
        return 0, 0
    length = embedding_length(head, skeleton)
    if skeleton.neck == "flatten":
        read = skeleton.features * skeleton.last_side**2
        return 2 * skeleton.features + (read + 1) * length, read * length
    return (skeleton.features + 1) * length, skeleton.features * length


def embedding_length(head: str, skeleton: Skeleton) -> int:
    """How long the embedding of a head is: as the features where nothing stands behind the pooling."""
    if head == "softmax" or skeleton.neck == "none":
        return skeleton.features
    return LINEAR if skeleton.neck == "linear1000" else skeleton.embedding


def expected_macs(space: SearchSpace, skeleton: Skeleton) -> float:
    """Mean of `macs` over a whole space; nothing is enumerated, as a position's cost depends on its operation only."""
    necks = [neck_cost(head, skeleton)[1] for head in space.heads or ("",)]
    total = skeleton.stem_cost()[1] + skeleton.tail_cost()[1] + sum(necks) / len(necks)
    total += sum(operation.macs(place) for operation, place in filter(None, skeleton.shortcut_layers()))
    places = skeleton.block_places()
    for choice_block, genes in zip(space.choice_blocks, space.genes, strict=True):
        operations = [skeleton.operations[code] for code in choice_block.codes] if genes else []
        for block, position in genes:
            total += sum(operation.macs(places[block][position]) for operation in operations) / len(operations)
    return total


def block_costs(genotype: Genotype | str, skeleton: Skeleton | str) -> list[tuple[int, int]]:
    """(parameters, MACs) of every block, shortcut included, at the skeleton's image size."""
    return [tuple(map(sum, zip(*layers, strict=True))) for layers in layer_costs(genotype, skeleton)]


def layer_costs(genotype: Genotype | str, skeleton: Skeleton | str) -> list[list[tuple[int, int]]]:
    """(parameters, MACs) of the searched operations of every block, and of its shortcut where there is one."""
    skeleton = skeleton_of(skeleton)
    blocks = zip(skeleton.fit(genotype).blocks, skeleton.block_places(), skeleton.shortcut_layers(), strict=True)
    costs = []
    for codes, places, shortcut in blocks:
        layers = [(skeleton.operations[code], place) for code, place in zip(codes, places, strict=True)]
        layers += [] if shortcut is None else [shortcut]
        costs.append([(operation.parameters(place), operation.macs(place)) for operation, place in layers])
    return costs


def measured_cost(network: nn.Module, size: int, channels: int = 3) -> tuple[int, int]:
    """(parameters, MACs) of a network's forward pass on one image of `size` x `size` pixels, or a map of `channels`.

    Parameters are the learnt ones of all layers that take part, each once; class weights, which do not, are left out.
    MACs are those of convolutions and linear layers, as `macs` counts them; what attention multiplies between
    activations is not among them. The network, which has to be in evaluation mode, stays as it is. Raises ValueError
    otherwise.
    """
    import torch
    from torch import nn

    if network.training:
        raise ValueError("measured_cost() needs the network in evaluation mode; call network.eval() first")
    weights: dict[Tensor, int] = {}
    layer_macs: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weights.update((weight, weight.numel()) for weight in module.parameters(recurse=False) if weight.requires_grad)
        if isinstance(module, nn.Conv2d):
            layer_macs.append(output.shape[2:].numel() * module.weight.numel())
        elif isinstance(module, nn.Linear):
            layer_macs.append(output.shape[1:-1].numel() * module.weight.numel())

    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.inference_mode():
            network(torch.zeros(1, channels, size, size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(weights.values()), sum(layer_macs)
