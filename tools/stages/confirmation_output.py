"""A confirmed front in words, as tables and as a record."""

from collections.abc import Sequence

import numpy as np

from dualfair.evaluation.scoring.scorer import ENDS
from dualfair.presentation.format import listed, spoken, with_interval
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.records.search import ConfirmedFront, FrontNetwork
from dualfair.stages.confirm import Confirmation
from dualfair.stages.inherited import RESAMPLES

COSTS = {"params": Column("params", "millions"), "macs": Column("MACs", "millions")}
"""Columns of costs; any other is a number by its name."""


def record_of(c: Confirmation) -> ConfirmedFront:
    """A confirmation as it is kept: what it was measured on, the search's front with both scores, and the baseline."""
    fronts = {"search front": c.leading, "random subnets": c.random & ~c.leading}
    return ConfirmedFront(
        people=c.people,
        images=c.images,
        calibrate=c.calibrate,
        resamples=RESAMPLES,
        candidates=int(c.candidates.sum()),
        random_subnets=int(c.random.sum()),
        survived=int((c.leading & c.confirmed).sum()),
        search_front=tuple(front_network(c, place) for place in np.flatnonzero(c.leading).tolist()),
        means={name: {of: c.shift(name, which) for of, which in fronts.items()} for name in c.measured},
        against_random=tuple(map(c.chance, c.measured)),
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
    shown = [*c.objectives, *(f"{name} {end}" for name in c.measured for end in ENDS)]
    networks = [front_network(c, place) for place in places]
    header: list[object] = ["genotype", *c.columns, *(f"{name}, confirmed" for name in shown)]
    rows = ([n.genotype, *n.values.values(), *(n.confirmed[name] for name in shown)] for n in networks)
    return [header, *([str(genotype), *values] for genotype, *values in rows)]


def confirmed_table(c: Confirmation) -> Table:
    """The networks of either front as text: which it is on, objectives in the search and on fresh people, costs."""
    columns = [Column("genotype", "text"), Column("on the front of", "text")]
    for name in map(spoken, c.measured):
        ends = f"{name}, fresh low", f"{name}, fresh high"
        columns += [Column(f"{name}, search"), Column(f"{name}, fresh", low=ends[0], high=ends[1]), *map(Column, ends)]
    costs = [name for name in c.objectives if name not in c.measured]
    columns += [COSTS.get(name) or Column(spoken(name)) for name in costs]
    rows = []
    either = np.flatnonzero(c.leading | c.confirmed).tolist()
    for place in sorted(either, key=lambda place: tuple(np.nan_to_num(c.after[place], nan=np.inf))):
        fronts = [name for name, on in (("search", c.leading), ("fresh", c.confirmed)) if on[place]]
        before = dict(zip(c.objectives, c.before[place].tolist(), strict=True))
        row: list[object] = [str(c.fresh[place].genotype), " and ".join(fronts)]
        for name, fresh in zip(c.measured, c.intervals([place], c.measured)[0].tolist(), strict=True):
            row += [before[name], *(None if np.isnan(value) else value for value in fresh)]
        rows.append([*row, *(before[name] for name in costs)])
    return table(columns, rows, "The search's front and the confirmed one")


def sentences(c: Confirmation) -> list[str]:
    """How the search's front fared on fresh people, in words with n."""
    stayed, joined = int((c.leading & c.confirmed).sum()), int((c.confirmed & ~c.leading).sum())
    moves = []
    for name in c.measured:
        before, after = c.shift(name, c.leading)
        plain = c.shift(name, c.random & ~c.leading)
        verb = "rose" if after > before else "went"
        moves.append(
            f"{spoken(name)} {verb} from {before:.3f} to {after:.3f} (random subnets: from {plain[0]:.3f} to "
            f"{plain[1]:.3f})"
        )
    lines = [
        f"Confirmed on {c.people:,} people that the search has not seen: {stayed} of the search's {c.leading.sum()} "
        f"front networks stay on the front, {joined} from the layers behind join it",
        f"On average over the search's front {listed(moves)}: a rise beyond that of the random subnets is the winner's "
        "luck",
    ]
    for chance in map(c.chance, c.measured):
        name = spoken(chance.objective)
        if chance.p is None:
            lines.append(f"{name}: undefined for the search's best on {c.people:,} fresh people")
            continue
        lines.append(
            f"{name}: the search's best has {with_interval(chance.value, chance.low, chance.high)} on {c.people:,} "
            f"fresh people; {chance.as_good} of {chance.random} random subnets are as good (p = {chance.p:.2f}): "
            f"{chance.verdict}"
        )
    return lines
