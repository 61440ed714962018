"""What a drawing of a network needs: its blocks with operations, widths, sizes and costs."""

import math

from dualfair.evaluation.cost import block_costs, macs, parameters
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.operations import Operation, Place
from dualfair.supernet.skeleton import DualPathSkeleton, Skeleton


def architecture(network: Genotype | str, skeleton: Skeleton) -> dict:
    """The blocks of a network on a skeleton, first to last, and what every part costs.

    {"genotype", "head", "skeleton", "image_size", "stem": {"what", "width", "side"}, "blocks": [{"block", "in", "out",
    "stride", "shortcut", "side": of its output in px, "operations": [{"name", "kernel", "norm", "in", "out",
    "groups"}], "parameters", "macs"}], "tail": in words, "features", "embedding", "costs": {"stem and tail", "blocks",
    "neck", "total": {"parameters", "macs"}}}. Kernel and norm are None for operations that have none. Raises ValueError
    for a genotype that does not fit.
    """
    genotype = skeleton.fit(network)
    blocks = _blocks(genotype, skeleton)
    first = skeleton.block_places()[0][0]
    what, tail = _ends_in_words(skeleton)
    return {
        "genotype": str(genotype),
        "head": genotype.head,
        "skeleton": skeleton.name,
        "image_size": skeleton.image_size,
        "stem": {"what": what, "width": first.in_channels, "side": first.side},
        "blocks": blocks,
        "tail": tail,
        "features": skeleton.features,
        "embedding": skeleton.embedding,
        "costs": _costs(genotype, skeleton, blocks),
    }


def _blocks(genotype: Genotype, skeleton: Skeleton) -> list[dict]:
    """The rows of the blocks. What a block gives is what the next one reads, and the last one its last operation."""
    places = skeleton.block_places()
    last = places[-1][-1]
    # The tail of a dual path network keeps the channels, which two paths make up.
    out = skeleton.features if isinstance(skeleton, DualPathSkeleton) else last.out_channels
    behind = [(row[0].in_channels, row[0].side) for row in places[1:]] + [(out, last.out_side)]
    blocks = zip(
        genotype.blocks, places, behind, skeleton.shortcut_layers(), block_costs(genotype, skeleton), strict=True
    )
    return [
        {
            "block": number,
            "in": row[0].in_channels,
            "out": out,
            "stride": math.prod(place.stride for place in row),
            "shortcut": shortcut is not None,
            "side": side,
            "operations": [_operation(skeleton.operations[code], at) for code, at in zip(codes, row, strict=True)],
            "parameters": weights,
            "macs": multiplied,
        }
        for number, (codes, row, (out, side), shortcut, (weights, multiplied)) in enumerate(blocks, 1)
    ]


def _operation(operation: Operation, place: Place) -> dict:
    """An operation of one's own has a name, and need not have a kernel or a norm."""
    about = {"name": operation.name, "kernel": getattr(operation, "kernel", None)}
    about["norm"] = getattr(operation, "norm", None)
    return {**about, "in": place.in_channels, "out": place.out_channels, "groups": place.groups}


def _ends_in_words(skeleton: Skeleton) -> tuple[str, str]:
    """What the stem and the tail are made of, as far as the skeleton tells."""
    if not isinstance(skeleton, DualPathSkeleton):
        return "stem", "tail"
    kernel = skeleton.stem_kernel
    pool = ", 3x3 max pool" if skeleton.stem_pool else ""
    return f"stem {kernel}x{kernel}, stride 2{pool}", "BN, ELU"


def _costs(genotype: Genotype, skeleton: Skeleton, blocks: list[dict]) -> dict[str, dict[str, int]]:
    total = {"parameters": parameters(genotype, skeleton), "macs": macs(genotype, skeleton)}
    costs = skeleton.stem_cost(), skeleton.tail_cost()
    ends = {name: stem + tail for name, stem, tail in zip(total, *costs, strict=True)}
    inside = {name: sum(block[name] for block in blocks) for name in total}
    neck = {name: total[name] - ends[name] - inside[name] for name in total}
    return {"stem and tail": ends, "blocks": inside, "neck": neck, "total": total}
