"""What `dualfair train` is asked for, besides the recipe. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from dualfair.runs.config import option


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What is trained, and on which faces."""

    space: str = option("dpn81", "dpn81, dpn729, either with -shared, or module:object of your own SearchSpace.")
    skeleton: str = option(
        "nano", "nano (48 px), small (112 px, DPN-68 widths), paper (112 px), or module:object of your own Skeleton."
    )
    heads: str = option("", "Heads to choose from, joined by ','; module:object for your own.  [default: the space's]")
    blocks: str = option("", "Blocks of every stage, e.g. 3-4-20-3.  [default: 1-1-1-1]")
    size: int = option(0, "Side of the network's input in pixels.  [default: the skeleton's]")
    group_column: str = option("group", "Manifest column that says which group a person belongs to.")
    split: str = option("0.6,0.2,0.2", "Shares of the identities for training, validation and test.")
    confirm: float = option(0.5, "Share of the validation people kept from the search to confirm its front; 0 = none.")
    sampler: str = option(
        "strict",
        "strict: every operation once a step (FairNAS); sequential: likewise, with an update after every path; "
        "uniform: one random path (SPOS).",
    )
    split_seed: int = option(0, "Seed of the splits of the people: trainings of several seeds share them.")
    seed: int = option(0, "Seed of initial weights, paths and order of the faces.")
