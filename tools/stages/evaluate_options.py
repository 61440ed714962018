"""What an evaluation is asked for. Needs nothing but Python."""

from __future__ import annotations

from dataclasses import dataclass

from dualfair.runs.config import option

METRICS = ("identification", "disparity", "open-set", "verification")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is measured, and how sure one can be of it."""

    metrics: str = option("all", f"all, or some of: {','.join(METRICS)}.")
    enrol: int = option(0, "Random images of each person that form the gallery; 0 = all images against all others.")
    reference: str = option("", "Group that ratios are also taken to, one by one.  [default: all orders]")
    gallery: str = option("all", "Identities that disparities are also taken at: all, or a number.")
    galleries: int = option(8, "Number of galleries of a stated size.")
    resamples: int = option(1000, "Bootstrap resamples over identities; 0 = no intervals.")
    interval: str = option("bca", "bca or percentile.")
    least_people: int = option(5, "Groups with fewer people are listed and stay in galleries, but are not compared.")
    folds: int = option(10, "Folds of pairs that are drawn; fewer where groups have few people.")
    within_group: bool = option(False, "Draw impostor pairs within a group only, as in RFW.")
    seed: int = option(0, "Seed of galleries, pairs, splits into enrolled and unknown people, and resamples.")

    def __post_init__(self) -> None:
        unknown = [name for name in self.sections if name not in METRICS]
        if unknown:
            raise ValueError(f"unknown metrics {unknown[0]!r}; choose from all, {', '.join(METRICS)}")
        if self.enrol < 0:
            raise ValueError(f"enrol must be 0 or more images of each person, got {self.enrol}")
        if self.folds < 2:
            raise ValueError(f"folds must be 2 or more, one to judge and one to learn from, got {self.folds}")
        if self.least_people < 1:
            raise ValueError(f"least_people must be 1 or more, got {self.least_people}")
        if self.gallery != "all" and not self.gallery.isdecimal():
            raise ValueError(f"gallery must be 'all' or a number of identities, got {self.gallery!r}")

    @property
    def sections(self) -> tuple[str, ...]:
        """The metrics asked for."""
        return METRICS if self.metrics == "all" else tuple(part.strip() for part in self.metrics.split(","))
