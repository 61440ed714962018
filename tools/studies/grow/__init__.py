"""Depth and width found by growing networks, then the operations and kernels of their layers: what is asked for.

`evolution.growing` says what is tried next; `networks` are candidates as networks of ours, `training` trains and
scores one, `candidates` keeps them, `study` goes through a search and tells, `ranking` asks how few epochs rank random
networks, and `traces` goes through a search that others have published.
"""

from dataclasses import dataclass

from dualfair.evolution.growing import CONVOLUTION, SEPARABLE, GrowthOptions
from dualfair.runs.config import option

MOST = 500
"""Trainings of one network, and random networks."""
PLAIN = {"mix": SEPARABLE, "ir": CONVOLUTION}
"""The operation of all layers of a family's networks until layers are searched, as published."""


@dataclass(frozen=True, kw_only=True)
class GrowOptions:
    """How far networks grow, for how long each is trained, and by what they are compared."""

    family: str = option(
        "",
        "mix, layers without shortcuts, or ir, residual blocks as of face networks, whose depth counts blocks.  "
        "[default: mix for labels, ir for faces]",
    )
    least_depth: int = option(10, "Layers, or blocks, of the first network.")
    most_depth: int = option(100, "Layers, or blocks, beyond which none is made deeper.")
    least_width: int = option(16, "Channels of the first layer below which none is made narrower.")
    most_width: int = option(64, "Channels of the first layer that networks grow deeper with.")
    width_step: int = option(2, "Channels that each narrower network has fewer.")
    first_epochs: int = option(10, "Epochs of the first network; one more for each layer, two for each step of width.")
    layer_epochs: int = option(2, "Epochs of networks whose layers change; 0 leaves layers as they are.")
    head: str = option("", "Head of all networks.  [default: softmax for labels, cosface for faces]")
    size: int = option(0, "Side of the networks' input in pixels.  [default: that of the images]")
    disparity: str = option("", "Objective that counts beside the error, such as accuracy_disparity.  [default: none]")
    weight: float = option(1.0, "How much it counts: networks are compared by error + weight x disparity.")
    group_column: str = option("group", "Manifest column that says which group a person belongs to.")
    split: str = option("0.6,0.2,0.2", "Shares of the identities for training, validation and test.")
    split_seed: int = option(0, "Seed of the splits.")
    drop_unknown: bool = option(False, "Leave out images whose label or group is unknown.")
    seed: int = option(0, "Seed of initial weights and of the order of images.")

    def __post_init__(self) -> None:
        if self.family and self.family not in PLAIN:
            raise ValueError(f"family must be one of {', '.join(PLAIN)}, got {self.family!r}")
        self.growth_of("mix")
        if not 0 <= self.seed < 1000:
            raise ValueError(f"seed must be 0 to 999, got {self.seed}")
        if not self.weight > 0:
            raise ValueError(f"weight must be above 0, got {self.weight:g}")
        if self.weight != 1 and not self.disparity:
            raise ValueError("weight is that of a disparity; name one by --disparity, or leave --weight out")

    def growth_of(self, family: str) -> GrowthOptions:
        """What the search is bound by among networks of a family, one of PLAIN."""
        bounds = ("least_depth", "most_depth", "least_width", "most_width", "width_step", "layer_epochs")
        return GrowthOptions(
            epochs=self.first_epochs, operation=PLAIN[family], **{name: getattr(self, name) for name in bounds}
        )


@dataclass(frozen=True, kw_only=True)
class FinalOptions:
    """How what was found is trained in the end, and beside what."""

    epochs: float = option(50.0, "Epochs of the network that was found, and of random ones.")
    seeds: int = option(1, "Trainings of the network that was found.")
    random: int = option(
        0,
        "Random networks within the bounds, each trained once like it, for comparison; -1: as many as the epochs of "
        "the search allow.",
    )

    def __post_init__(self) -> None:
        for name, least in (("seeds", 1), ("random", -1)):
            if not least <= getattr(self, name) <= MOST:
                raise ValueError(f"{name} must be {least} to {MOST}, got {getattr(self, name)}")
