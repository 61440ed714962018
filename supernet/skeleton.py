"""The built-in skeletons, one table: everything about a network that is not searched, as data. Needs no torch."""

from collections.abc import Callable

from dualfair.supernet.families.base import LINEAR, NECKS, OwnHead, Skeleton, size_in_name
from dualfair.supernet.families.dual_path import DualPathSkeleton
from dualfair.supernet.families.inverted_residual import (
    FAIRNAS_OPERATIONS,
    MACRO_OPERATIONS,
    InvertedResidualSkeleton,
)
from dualfair.supernet.families.mix import MixSkeleton, mix_skeleton
from dualfair.supernet.families.residual import ResidualSkeleton, residual_skeleton

__all__ = [
    "LINEAR",
    "NECKS",
    "SIZED",
    "SKELETONS",
    "DualPathSkeleton",
    "InvertedResidualSkeleton",
    "MixSkeleton",
    "OwnHead",
    "ResidualSkeleton",
    "Skeleton",
    "sized_skeleton",
    "skeleton_of",
]

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        DualPathSkeleton(
            name="nano",
            image_size=48,
            stem_kernel=3,
            stem_width=16,
            stem_pool=True,
            residual_widths=(16, 32, 64, 128),
            bottlenecks=(16, 32, 64, 96),
            increments=(4, 8, 8, 16),
            groups=8,
            embedding=64,
        ),
        DualPathSkeleton(
            name="small",
            image_size=112,
            stem_kernel=3,
            stem_width=10,
            stem_pool=True,
            residual_widths=(64, 128, 256, 512),
            bottlenecks=(128, 256, 512, 1024),
            increments=(16, 32, 32, 64),
            groups=32,
        ),
        DualPathSkeleton(
            name="paper",
            image_size=112,
            stem_kernel=7,
            stem_width=128,
            stem_pool=True,
            residual_widths=(256, 512, 1024, 2048),
            bottlenecks=(200, 400, 800, 1600),
            increments=(20, 64, 64, 128),
            groups=50,
        ),
        # NAS-Bench-Macro (Su et al., CVPR 2021).
        InvertedResidualSkeleton(
            name="nas-bench-macro",
            image_size=32,
            stem_width=32,
            stem_stride=1,
            widths=(64, 128, 256),
            blocks=(2, 3, 3),
            strides=(2, 2, 2),
            operations=MACRO_OPERATIONS,
            heads=("softmax",),
        ),
        # FairNAS (Chu et al., ICCV 2021).
        InvertedResidualSkeleton(
            name="fairnas",
            image_size=224,
            stem_width=32,
            stem_stride=2,
            stem_out=16,
            widths=(32, 40, 80, 96, 192, 320),
            blocks=(2, 4, 4, 4, 4, 1),
            strides=(2, 2, 2, 1, 2, 1),
            activation="relu6",
            operations=FAIRNAS_OPERATIONS,
            heads=("softmax",),
        ),
    )
}


SIZED: dict[str, Callable[..., MixSkeleton | ResidualSkeleton]] = {"mix": mix_skeleton, "ir": residual_skeleton}
"""Families whose skeletons are named by depth and width, mix-d21-w56 and ir-d8-w64, and what makes them of these and an
image size."""


def sized_skeleton(name: str) -> MixSkeleton | ResidualSkeleton | None:
    """The skeleton of a name that says family, depth and width; None for any other name. Raises ValueError for a depth
    that there is not."""
    family, *size = size_in_name(name) or ("",)
    return SIZED[family](*size) if family in SIZED else None


def skeleton_of(skeleton: str | Skeleton) -> Skeleton:
    """The skeleton itself, or the built-in one of that name. Raises ValueError for an unknown name."""
    if isinstance(skeleton, Skeleton):
        return skeleton
    if found := SKELETONS.get(skeleton) or sized_skeleton(skeleton):
        return found
    raise ValueError(
        f"unknown skeleton {skeleton!r}; choose from {', '.join(SKELETONS)}, or such as mix-d21-w56, ir-d8-w64"
    )
