"""How a training step goes: path by path, or all paths at once as one graph.

Chosen by a rule on shapes and memory, not by timing, so that the same command makes the same training. The figures in
it were measured on one H200 (guide `speed`).
"""

from dataclasses import dataclass

import torch

from dualfair.supernet.families.inverted_residual import LayeredOperation
from dualfair.supernet.families.mix import MIX_OPERATIONS
from dualfair.supernet.families.residual import RESIDUAL_OPERATIONS
from dualfair.supernet.network import Network, Supernet
from dualfair.supernet.operations import Operation, Place
from dualfair.supernet.skeleton import SKELETONS, Skeleton
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import GRAPH, PATHS, STEPS, Recipe
from dualfair.supernet.training.sampling import PathSampler, StrictFairSampler

MOST_MACS = 500e9
"""Multiply-accumulates of a path's forward pass above which Python keeps up with an H200, path by path."""
MEMORY_SHARE = 0.8
"""Of a device's memory that all paths together may take."""
_NUMBER, _COPIES, _LIBRARIES = 4, 3, 2 * 2**30
"""Bytes that a training keeps for every number which an operation reads or writes; float32 copies of the weights
(gradients and momentum with them); bytes that libraries take."""


@dataclass(frozen=True)
class StepEngine:
    """The way that was chosen, `PATHS` or `GRAPH`, and in words why."""

    name: str
    reason: str

    @property
    def way(self) -> str:
        """The way in words."""
        return {PATHS: "path by path", GRAPH: "as one graph"}[self.name]

    def __str__(self) -> str:
        return f"{self.way} ({self.reason})"


def choose_engine(
    asked: str,
    network: Supernet | Network,
    sampler: PathSampler | None,
    sizes: tuple[int, ...],
    recipe: Recipe,
    device: torch.device,
    processes: ProcessGroup,
) -> StepEngine:
    """The way that a training's steps go: as `asked`, one of `STEPS`, or by the rule for "auto".

    `sampler` deals the choices of choice blocks of so many `sizes`; None for one network. Raises ValueError where a
    graph is asked for and cannot be.
    """
    if asked not in STEPS:
        raise ValueError(f"step must be one of {', '.join(STEPS)}, got {asked!r}")
    if asked == PATHS:
        return StepEngine(PATHS, "as asked for")
    impossible = _why_impossible(sampler, sizes, recipe, processes)
    if asked == GRAPH:
        if impossible:
            raise ValueError(f"--step graph cannot be: {impossible}; leave it out")
        return StepEngine(GRAPH, "as asked for")
    if device.type != "cuda":
        return StepEngine(PATHS, "a CPU gains nothing by all paths at once")
    unwise = impossible or _why_unwise(network, sampler, recipe, device)
    return StepEngine(PATHS, unwise) if unwise else StepEngine(GRAPH, "a GPU waits for Python otherwise")


def _why_impossible(
    sampler: PathSampler | None, sizes: tuple[int, ...], recipe: Recipe, processes: ProcessGroup
) -> str:
    if processes.size > 1:
        return "ranks share the paths of a step"
    if recipe.accumulate > 1:
        return "the batch goes in parts, to save memory that a graph would take"
    if recipe.recompute:
        return "blocks are computed again, to save memory that a graph would take"
    if sampler is not None and not deals_evenly(sampler, sizes):
        return "the sampler does not deal every choice equally often in every step"
    return ""


def _why_unwise(network: Supernet | Network, sampler: PathSampler | None, recipe: Recipe, device: torch.device) -> str:
    skeleton = network.skeleton
    if not network.trunk.blocks or not _built_in(skeleton):
        return "parts that are not built in may wait for the device; --step graph tries"
    if sampler is None:
        return ""
    if (macs := recipe.batch * mean_path_macs(skeleton)) > MOST_MACS:
        return f"a path's {macs / 1e9:,.0f} G multiply-accumulates keep the device busy"
    needed, there = (
        joint_memory(skeleton, network, sampler.paths_per_step * recipe.batch),
        torch.cuda.get_device_properties(device).total_memory,
    )
    if needed > MEMORY_SHARE * there:
        return f"all paths at once would take about {needed / 2**30:,.0f} of {there / 2**30:,.0f} GiB"
    return ""


def deals_evenly(sampler: PathSampler, sizes: tuple[int, ...]) -> bool:
    """Whether every step uses every choice of each choice block equally often, whatever the seed."""
    return isinstance(sampler, StrictFairSampler) and all(sampler.paths_per_step % size == 0 for size in sizes)


def mean_path_macs(skeleton: Skeleton) -> float:
    """Multiply-accumulates of the searched positions for an image, by the mean over the candidate operations."""
    places = [place for block in skeleton.block_places() for place in block]
    return sum(each.macs(place) for each in skeleton.operations for place in places) / len(skeleton.operations)


def joint_memory(skeleton: Skeleton, network: Supernet | Network, images: int) -> int:
    """About how many bytes a training takes that passes so many images along all paths together."""
    places = [place for block in skeleton.block_places() for place in block]
    numbers = sum(_numbers(each, place) for each in skeleton.operations for place in places) / len(skeleton.operations)
    weights = sum(weight.nbytes for weight in network.parameters())
    return round(_NUMBER * numbers * images) + _COPIES * weights + _LIBRARIES


def _numbers(operation: Operation, place: Place) -> int:
    """How many numbers an operation reads and writes for an image, in every one of its layers."""
    places = [layer.place for layer in operation.layers(place)] if isinstance(operation, LayeredOperation) else [place]
    return sum(each.in_channels * each.side**2 + each.out_channels * each.out_side**2 for each in places)


def _built_in(skeleton: Skeleton) -> bool:
    built_in = [operation for each in SKELETONS.values() for operation in each.operations]
    built_in += [*MIX_OPERATIONS, *RESIDUAL_OPERATIONS]
    return not skeleton.own_heads and all(operation in built_in for operation in skeleton.operations)
