"""The same networks ranked by several supernets: what is asked for, without torch; `study` trains and compares."""

from dataclasses import dataclass

from dualfair.runs.config import option


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """How much is trained."""

    supernets: int = option(3, "Supernets of every variant, seeds seed, seed + 1, ...")
    networks: int = option(33, "Networks drawn uniformly from the space, to be trained by themselves.")
    seeds: int = option(2, "Independent trainings of every network.")
    standalone_epochs: float = option(60.0, "Epochs of a network that is trained by itself.")
    resamples: int = option(1000, "Bootstrap resamples of an interval.")

    def __post_init__(self) -> None:
        for name, least in (("supernets", 1), ("networks", 3), ("seeds", 2), ("resamples", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
