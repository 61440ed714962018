"""Networks and hyper-parameters together: what is asked for, without torch. `study` climbs the rungs with `trials`."""

from dataclasses import dataclass

from dualfair.evolution.halving import SCHEDULES
from dualfair.runs.config import option

PROPOSERS = ("random", "parego")


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Which networks and hyper-parameters are tried, and how much is spent on the best."""

    trials: int = option(16, "Networks with hyper-parameters each; more may be added later.")
    proposer: str = option("parego", "Who chooses the trials: parego (a model of what was seen so far), or random.")
    schedule: str = option("asha", "How epochs are spent: asha, or hyperband (in brackets, some begin with more).")
    vary: str = option(
        "",
        "What is varied beside the network, such as 'optimizer=sgd,sgd.lr=0.05..0.5,batch=16|32'; '' = as published.",
    )
    pool: int = option(0, "Networks that trials draw from: the best by the search's scores; 0 = any of the space.")
    epochs: float = option(0.0, "Epochs of the last rung; 0 = as many as retrain's recipe has.")
    first_rung: float = option(0.0, "Epochs of the first rung; 0 = a quarter of the last rung's.")
    eta: int = option(2, "One in so many trials of a rung goes on to the next, which has so many times the epochs.")
    seed: int = option(0, "Seed of the trials.")
    ranks_per_job: int = option(1, "With torchrun: ranks that train one network together; has to divide their number.")

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("pool", 0), ("epochs", 0), ("first_rung", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        for name, known in (("proposer", PROPOSERS), ("schedule", tuple(SCHEDULES))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
