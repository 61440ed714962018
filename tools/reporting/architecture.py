"""What a drawing of a network needs: its blocks with operations, widths and sizes."""

from __future__ import annotations

from supernet.genotype import Genotype
from supernet.operations import OPERATION_NAMES, OPERATIONS
from supernet.skeleton import Skeleton


def architecture(text: str, skeleton: Skeleton) -> dict:
    """The blocks of a network on a skeleton, first to last.

    {"genotype", "head", "image_size", "stem": {"kernel", "width", "pool", "side"}, "blocks": [{"block", "in", "out",
    "side": of its output in px, "stride", "shortcut", "operations": [{"name", "kernel", "norm", "in", "out",
    "groups"}]}], "embedding"}. Raises ValueError for a genotype that does not fit.
    """
    genotype = skeleton.fit(Genotype.parse(text))
    side = (skeleton.image_size + 1) // 2
    side = (side + 1) // 2 if skeleton.stem_pool else side
    stem = {"kernel": skeleton.stem_kernel, "width": skeleton.stem_width, "pool": skeleton.stem_pool, "side": side}
    blocks = []
    for number, (shape, codes) in enumerate(zip(skeleton.block_shapes(), genotype.blocks, strict=True), 1):
        side = (side + 1) // 2 if shape.stride == 2 else side
        operations = []
        for code, (wide, out, groups, _) in zip(codes, shape.positions, strict=True):
            operation = OPERATIONS[OPERATION_NAMES[code]]
            about = {"name": operation.name, "kernel": operation.kernel, "norm": operation.norm}
            operations.append({**about, "in": wide, "out": out, "groups": groups})
        blocks.append(
            {
                "block": number,
                "in": shape.in_channels,
                "out": shape.out_channels,
                "side": side,
                "stride": shape.stride,
                "shortcut": shape.shortcut,
                "operations": operations,
            }
        )
    return {
        "genotype": str(genotype),
        "head": genotype.head,
        "image_size": skeleton.image_size,
        "stem": stem,
        "blocks": blocks,
        "embedding": skeleton.embedding,
    }
