"""Unfair classifiers mended without new training data, beside the known ways: what is asked for, without torch.

`task` is what all strategies have in common, `tuning` the loops, `strategies` alter structure, `baselines` are the
known ones, `images`, `faces` and `tabular` bring data, `study` runs and tells, `entry` begins.
"""

from dataclasses import dataclass

from dualfair.evaluation.decisions import TOLERANCE
from dualfair.runs.config import option
from dualfair.runs.options import DROP_UNKNOWN, RESAMPLES
from dualfair.supernet.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class RepairOptions:
    """How networks are repaired, and by what they are judged."""

    performance: str = option(
        "", "accuracy, balanced_accuracy (default of two classes) or, of faces, identification_rate."
    )
    bias: str = option(
        "",
        "aod (default of two classes), spd, eod, bias_amplification (of more); or, of faces, log_rank_disparity "
        "(default), rank_disparity, capped_rank_disparity, accuracy_disparity.",
    )
    tolerance: float = option(TOLERANCE, "Absolute bias from which on a network is of no use.")
    epochs: int = option(100, "Epochs over the tuning samples behind every change of the structure.")
    mask_epochs: int = option(80, "Epochs in which a mask is learnt.")
    training_epochs: int = option(50, "Epochs over the training samples, of what trains from scratch.")
    batch: int = option(64, "Samples a step.")
    lr: float = option(1e-3, "Learning rate of Adam for weights.")
    mask_lr: float = option(1e-2, "Learning rate of Adam for masks.")
    scale: float = option(Recipe().scale, "Scale s of the margin logits, of faces.")
    share: str = option("removed", "Share of the weights that a mask bounds: removed, or kept as equation 7 says.")
    bound: float = option(0.1, "Its bound, tau.")
    each: str = option("weight", "What a mask takes out at a time: weight or filter.")
    drop_unknown: bool = option(False, DROP_UNKNOWN)
    seeds: int = option(1, "Repetitions, each from a seed of its own.")
    resamples: int = option(RESAMPLES, "Bootstrap resamples, for the intervals.")
    seed: int = option(0, "Seed of those, and of what is drawn for tuning.")

    def __post_init__(self) -> None:
        least = {"epochs": 1, "mask_epochs": 1, "training_epochs": 1, "batch": 2, "seeds": 1, "resamples": 1, "seed": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be {bound} or more, got {getattr(self, name)}")
        for name in ("lr", "mask_lr", "scale"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name):g}")
