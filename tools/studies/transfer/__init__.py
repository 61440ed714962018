"""Retrained networks on other faces: what is asked for, without torch; `study` measures and tells what carries over."""

from dataclasses import dataclass

from dualfair.runs.config import option
from dualfair.runs.options import RESAMPLES, ProtocolOptions
from dualfair.supernet.images import DROP_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """What is measured, and how sure one can be of it."""

    disparity: str = option("rank_disparity", "A disparity by name, or module:function of your own f(ranks, groups).")
    count: str = option("images", "A rank counts the images, or the identities, nearer than the nearest mate.")
    gallery: str = option("all", "Identities the disparity is taken at: all, or a number (mean over seeded galleries).")
    galleries: int = option(8, "Number of galleries of a stated size.")
    resamples: int = option(RESAMPLES, "Bootstrap resamples over networks, for the intervals of tau.")
    seed: int = option(0, "Seed of those.")
    drop_unknown: bool = option(False, DROP_UNKNOWN, omitted=True)

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise ValueError(f"resamples must be 1 or more, got {self.resamples}")

    def protocol(self):
        """The evaluation protocol of these options: error and the disparity."""
        variant = ",".join(f"{name}={getattr(self, name)}" for name in ("gallery", "galleries", "count"))
        return ProtocolOptions(objectives=f"error,{self.disparity}({variant})").protocol()
