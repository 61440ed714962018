"""A confirmed front in words, as table cells, CSV rows and a record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dualfair.evaluation.scoring.scorer import ENDS
from dualfair.runs.records.search import ConfirmedFront, FrontNetwork
from dualfair.stages.confirm import MEASURED, RESAMPLES, Confirmation


def record_of(c: Confirmation) -> ConfirmedFront:
    """A confirmation as it is kept: what it was measured on, the search's front with both scores, and the baseline."""
    return ConfirmedFront(
        people=c.people,
        images=c.images,
        calibrate=c.calibrate,
        resamples=RESAMPLES,
        candidates=int(c.candidates.sum()),
        random_subnets=int(c.random.sum()),
        survived=int((c.leading & c.confirmed).sum()),
        search_front=tuple(front_network(c, place) for place in np.flatnonzero(c.leading).tolist()),
        means={
            name: {"search front": c.shift(number, c.leading), "random subnets": c.shift(number, c.random & ~c.leading)}
            for number, name in enumerate(c.objectives[:MEASURED])
        },
        against_random=tuple(map(c.chance, range(MEASURED))),
    )


def front_network(c: Confirmation, place: int) -> FrontNetwork:
    """A network of a confirmation: the search's values by column, and the fresh ones."""
    searched, fresh = c.searched[place], c.fresh[place]
    return FrontNetwork(
        searched.genotype,
        dict(zip(c.columns, searched.values, strict=True)),
        dict(zip(c.fresh_columns, fresh.values, strict=True)),
    )


def csv_rows(c: Confirmation, places: Sequence[int]) -> list[list[object]]:
    """Networks as rows of a CSV file, the header first: the search's values, then fresh objectives with intervals."""
    shown = [*c.objectives, *(f"{name} {end}" for name in c.objectives[:MEASURED] for end in ENDS)]
    rows: list[list[object]] = [["genotype", *c.columns, *(f"{name}, confirmed" for name in shown)]]
    for place in places:
        fresh = dict(zip(c.fresh_columns, c.fresh[place].values, strict=True))
        searched = c.searched[place]
        rows.append([str(searched.genotype), *searched.values, *(fresh[name] for name in shown)])
    return rows


def table_rows(c: Confirmation) -> list[list[str]]:
    """Cells of text, the header first: both scores of every network of either front, by its fresh scores."""
    names = [name.replace("_", " ") for name in c.objectives]
    titles = [title for name in names[:MEASURED] for title in (f"{name}: search", "fresh")]
    rows = [["genotype", "on the front of", *titles, *names[MEASURED:]]]
    either = np.flatnonzero(c.leading | c.confirmed).tolist()
    for place in sorted(either, key=lambda place: tuple(np.nan_to_num(c.after[place], nan=np.inf))):
        fronts = [name for name, on in (("search", c.leading), ("fresh", c.confirmed)) if on[place]]
        row = [str(c.fresh[place].genotype), " and ".join(fronts)]
        for number, interval in enumerate(c.intervals([place])[0]):
            row += [f"{c.before[place, number]:.3f}", with_interval(*interval)]
        rows.append([*row, *(f"{value:,.0f}" for value in c.before[place, MEASURED:])])
    return rows


def with_interval(value: float, low: float, high: float) -> str:
    """A number with its interval, where it has one."""
    return f"{value:.3f}" + ("" if np.isnan([low, high]).any() else f" [{low:.3f}, {high:.3f}]")


def sentences(c: Confirmation) -> list[str]:
    """How the search's front fared on fresh people, in words with n."""
    stayed, joined = int((c.leading & c.confirmed).sum()), int((c.confirmed & ~c.leading).sum())
    moves = []
    for number, name in enumerate(c.objectives[:MEASURED]):
        before, after = c.shift(number, c.leading)
        plain = c.shift(number, c.random & ~c.leading)
        verb = "rose" if after > before else "went"
        moves.append(
            f"{name.replace('_', ' ')} {verb} from {before:.3f} to {after:.3f} (random subnets: from {plain[0]:.3f} to "
            f"{plain[1]:.3f})"
        )
    lines = [
        f"Confirmed on {c.people:,} people that the search has not seen: {stayed} of the search's {c.leading.sum()} "
        f"front networks stay on the front, {joined} from the layers behind join it",
        f"On average over the search's front {' and '.join(moves)}: a rise beyond that of the random subnets is "
        "the winner's luck",
    ]
    for chance in map(c.chance, range(MEASURED)):
        name = chance.objective.replace("_", " ")
        if chance.p is None:
            lines.append(f"{name}: undefined for the search's best on {c.people:,} fresh people")
            continue
        lines.append(
            f"{name}: the search's best has {with_interval(chance.value, chance.low, chance.high)} on {c.people:,} "
            f"fresh people; {chance.as_good} of {chance.random} random subnets are as good (p = {chance.p:.2f}): "
            f"{chance.verdict}"
        )
    return lines
