"""What a whole evaluation is asked for. Needs no torch."""

from dataclasses import dataclass, field

from dualfair.supernet.images import DROP_UNKNOWN

METRICS = ("identification", "disparity", "open-set", "verification")
INTERVALS = ("percentile", "bca")
PRECISIONS = ("float32", "tf32", "bf16")
"""What a network computes embeddings in, on CUDA: float32 throughout, TF32 convolutions, or bfloat16 autocast."""


def _option(default: object, text: str) -> object:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is measured, and how sure one can be of it."""

    metrics: str = _option("all", f"all, or some of: {','.join(METRICS)}.")
    enrol: int = _option(0, "Random images of each person that form the gallery; 0 = all images against all others.")
    probes: str = _option(
        "", "Images that are looked for among all others, COLUMN=VALUE of the manifest.  [default: all among all]"
    )
    reference: str = _option("", "Group that ratios are also taken to, one by one.  [default: all orders]")
    gallery: str = _option("all", "Identities that disparities are also taken at: all, or a number.")
    galleries: int = _option(8, "Number of galleries of a stated size.")
    resamples: int = _option(1000, "Bootstrap resamples over identities; 0 = no intervals.")
    interval: str = _option("bca", "bca or percentile.")
    least_people: int = _option(5, "Groups with fewer people are listed and stay in galleries, but are not compared.")
    far: str = _option("0.001,0.01,0.1", "False accept rates, joined by ',', that verification is also judged at.")
    folds: int = _option(10, "Folds of pairs that are drawn; fewer where groups have few people.")
    within_group: bool = _option(False, "Draw impostor pairs within a group only, as in RFW.")
    seed: int = _option(0, "Seed of galleries, pairs, splits into enrolled and unknown people, and resamples.")
    drop_unknown: bool = _option(False, DROP_UNKNOWN)

    def __post_init__(self) -> None:
        unknown = [name for name in self.sections if name not in METRICS]
        if unknown:
            raise ValueError(f"unknown metrics {unknown[0]!r}; choose from all, {', '.join(METRICS)}")
        for name, least in (("enrol", 0), ("resamples", 0), ("least_people", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if self.probes and (self.enrol or "=" not in self.probes.strip("=")):
            raise ValueError(f"probes must be COLUMN=VALUE, without enrol, got {self.probes!r} and enrol {self.enrol}")
        if self.folds < 2:
            raise ValueError(f"folds must be 2 or more, one to judge and one to learn from, got {self.folds}")
        if self.interval not in INTERVALS:
            raise ValueError(f"interval must be one of {', '.join(INTERVALS)}, got {self.interval!r}")
        if self.gallery != "all" and not self.gallery.isdecimal():
            raise ValueError(f"gallery must be 'all' or a number of identities, got {self.gallery!r}")

        _ = self.fars

    @property
    def fars(self) -> tuple[float, ...]:
        """The false accept rates asked for. Raises ValueError where they are none."""
        try:
            rates = tuple(map(float, self.far.split(",")))
        except ValueError:
            rates = ()
        if not rates or len(set(rates)) < len(rates) or not all(0 < rate < 1 for rate in rates):
            raise ValueError(f"far must be different numbers above 0 and below 1, joined by ',', got {self.far!r}")
        return rates

    @property
    def sections(self) -> tuple[str, ...]:
        """The metrics asked for."""
        return METRICS if self.metrics == "all" else tuple(part.strip() for part in self.metrics.split(","))
