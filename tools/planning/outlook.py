"""What a set of faces can be expected to tell apart, by sets that were measured, and how to begin on it. Needs no
torch."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import log

from dualfair.evaluation.searchability import ENOUGH
from dualfair.presentation.format import two
from dualfair.runs.options import FEW_TO_TRAIN_ON, TrainOptions
from dualfair.supernet.images.inspection import Count


@dataclass(frozen=True)
class MeasuredSet:
    """How reliably so many validation `people` told 32 random networks apart, by measure; in [0, 1], ENOUGH is wanted.

    Of generated faces, 8 images a person, half of them of either group; networks of `dpn81` with the weights of one
    supernet, trained on 600 others.
    """

    people: int
    error: float
    rank_disparity: float


MEASURED = (
    MeasuredSet(20, 0.00, 0.00),
    MeasuredSet(40, 0.43, 0.00),
    MeasuredSet(80, 0.69, 0.18),
    MeasuredSet(160, 0.87, 0.00),
    MeasuredSet(320, 0.95, 0.27),
    MeasuredSet(640, 0.96, 0.00),
    MeasuredSet(900, 0.97, 0.15),
)
"""The guide few-people.md has the commands."""


def outlook_of(counts: Iterable[Count]) -> list[str]:
    """The `outlook` of a folder's people by split, with half of the validation people kept from the search as training
    keeps them unless told otherwise; nothing where a split is empty."""
    people = Counter()
    for count in counts:
        people[count.split] += count.identities
    scored = round(people["validation"] * (1 - TrainOptions.confirm))
    return outlook(people["train"], scored) if people["train"] and scored else []


def outlook(training: int, scored: int) -> list[str]:
    """What to expect of so many people to train on and so many validation people to score on, in sentences."""
    nearest = min(MEASURED, key=lambda measured: abs(log(measured.people / max(scored, 1))))
    enough = next(measured.people for measured in MEASURED if measured.error >= ENOUGH)
    told = (
        "networks can be told apart in error"
        if nearest.error >= ENOUGH
        else f"few networks will be told apart; {enough} people were enough, and train --folds 4 has more people score"
    )
    lines = [
        f"Outlook: a search scores on {scored:,} people. {nearest.people:,} generated people told random networks "
        f"apart with reliability {two(nearest.error)} in error and {two(nearest.rank_disparity)} in rank disparity "
        f"({two(ENOUGH)} is wanted): {told}"
    ]
    if training < FEW_TO_TRAIN_ON:
        lines.append(
            f"Outlook: {training:,} people are few to train on from scratch. Start from a supernet of more people, "
            "generated ones if there are no others (train --weights-from RUN), or learn from a face network (--teacher)"
        )
    return lines
