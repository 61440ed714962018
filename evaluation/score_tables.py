"""Reads published tables of cheap and true scores of networks, as CSV, for the ranking study."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.evaluation.ranking_tables import ScoreTables
from dualfair.supernet.images.labels import fold, spelled_alike
from dualfair.supernet.images.manifest import read_table

NETWORK, SEED = "network", "seed"
"""Columns that are no scores."""
FIRST_LINE = 2
"""The line of a table's first row: the one below its header."""


@dataclass(frozen=True)
class Read:
    """Score tables of the networks that both files have, columns of which more is better with their sign changed.

    `only_inherited` and `only_standalone` count networks that one file lacks; `left_out` lack a seed that most have,
    `unused` counts rows of seeds that most do not have.
    """

    tables: ScoreTables
    only_inherited: int
    only_standalone: int
    left_out: tuple[str, ...]
    unused: int


def read_score_tables(inherited: Path, standalone: Path, maximise: Sequence[str] = ()) -> Read:
    """The tables of two CSV files: `inherited` has a first column `network` and scores, one row a network; `standalone`
    the same with an optional column `seed`, several rows a network being its seeds.

    Columns of both are measures, those of the cheap file alone are baselines; smaller is better but in `maximise`.
    Raises ValueError naming file, line and value of whatever is malformed.
    """
    cheap, truth = _read(inherited), _read(standalone)
    if SEED in cheap:
        raise ValueError(f"{inherited} has a column {SEED!r}; seeds belong into the table of the truth")
    scores, true_scores = ([name for name in columns if name not in (NETWORK, SEED)] for columns in (cheap, truth))
    measures = [name for name in scores if name in true_scores]
    if not measures:
        raise ValueError(
            f"no measure is in both tables: {inherited} has {_listed(scores)}, {standalone} has {_listed(true_scores)}"
        )
    for name in maximise:
        if name not in (*scores, *true_scores):
            raise ValueError(
                f"no column {name!r} to maximise; there is {_listed(dict.fromkeys([*scores, *true_scores]))}"
            )
    row_of: dict[str, int] = {}
    for row, network in enumerate(cheap[NETWORK]):
        if network in row_of:
            before = row_of[network] + FIRST_LINE
            raise ValueError(
                f"{inherited}, line {row + FIRST_LINE}: network {network!r} is there already, in line {before}"
            )
        row_of[network] = row
    if alike := spelled_alike({*row_of, *truth[NETWORK]}, f"{inherited} and {standalone} have networks"):
        raise ValueError(f"{alike[0]}; give each one spelling")
    seeds_of = _rows_by_seed(standalone, truth)
    names = [name for name in row_of if name in seeds_of]
    if not names:
        raise ValueError(f"no network is in both {inherited} and {standalone}")
    whole, rows_by_seed = _of_common_seeds({name: seeds_of[name] for name in names})
    rows = [row_of[name] for name in whole]

    def signed(columns: Mapping[str, Sequence], name: str) -> np.ndarray:
        return np.array(columns[name]) * (-1.0 if name in maximise else 1.0)

    tables = ScoreTables(
        whole,
        (frozenset({"named"}),) * len(whole),
        {name: signed(cheap, name)[rows] for name in measures},
        {name: signed(truth, name)[rows_by_seed] for name in measures},
        baselines={name: signed(cheap, name)[rows] for name in scores if name not in measures},
    )
    left_out = tuple(name for name in names if name not in whole)
    unused = sum(len(seeds_of[name]) - len(used) for name, used in zip(whole, rows_by_seed, strict=True))
    return Read(tables, len(row_of) - len(names), len(seeds_of) - len(names), left_out, unused)


def read_standalone_table(path: Path) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Networks and their scores (n, S) by measure, of a CSV file as `standalone` of `read_score_tables`; networks that
    lack a seed which most have are left out. Raises ValueError likewise."""
    columns = _read(path)
    networks, rows = _of_common_seeds(_rows_by_seed(path, columns))
    return networks, {name: np.array(of)[rows] for name, of in columns.items() if name not in (NETWORK, SEED)}


def _of_common_seeds(seeds_of: Mapping[str, Mapping[str, int]]) -> tuple[tuple[str, ...], list[list[int]]]:
    """Networks that have the seeds which most have, and their rows by seed."""
    (seeds, _), *_ = Counter(tuple(sorted(seeds)) for seeds in seeds_of.values()).most_common(1)
    whole = tuple(name for name in seeds_of if set(seeds) <= set(seeds_of[name]))
    return whole, [[seeds_of[name][seed] for seed in seeds] for name in whole]


def _read(path: Path) -> dict[str, tuple]:
    """The columns of a CSV file by name: networks and seeds as text, scores as finite numbers."""
    try:
        columns = read_table(path, "network,error")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    first, *others = columns
    if first != NETWORK:
        raise ValueError(f"{path}: the first column must be {NETWORK!r}, got {first!r}")
    if "" in others:
        raise ValueError(f"{path}: every column needs a name, got {_listed(columns)}")
    if not {*others} - {SEED}:
        raise ValueError(f"{path} has no column of scores beside {_listed(columns)}")
    if "" in columns[NETWORK]:
        raise ValueError(f"{path}, line {columns[NETWORK].index('') + FIRST_LINE}: the network has no name")
    scores = {name: _numbers(path, name, columns[name]) for name in others if name != SEED}
    return {**columns, **scores}


def _numbers(path: Path, name: str, cells: Sequence[str]) -> tuple[float, ...]:
    values = []
    for line, cell in enumerate(cells, FIRST_LINE):
        try:
            values.append(float(cell))
        except ValueError:
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            raise ValueError(
                f"{path}, line {line}: {name} must be a finite number, got {cell[:40]!r}; leave that row out"
            )
    return tuple(values)


def _rows_by_seed(path: Path, columns: Mapping[str, Sequence]) -> dict[str, dict[str, int]]:
    """Rows by network and seed; where no column names the seeds, a network's rows are numbered."""
    rows: dict[str, dict[str, int]] = {}
    for row, network in enumerate(columns[NETWORK]):
        of_network = rows.setdefault(network, {})
        seed = fold(columns[SEED][row]) if SEED in columns else f"{len(of_network):09d}"
        if seed in of_network:
            raise ValueError(f"{path}, line {row + FIRST_LINE}: seed {seed!r} of network {network!r} is there already")
        of_network[seed] = row
    if SEED not in columns:
        whole = list(zip(*columns.values(), strict=True))
        if all(
            len(of_network) > 1 and len({whole[row] for row in of_network.values()}) == 1
            for of_network in rows.values()
        ):
            raise ValueError(
                f"{path}: every row stands there several times, and would count as several seeds; leave the copies "
                f"out, or name the seeds in a column {SEED!r}"
            )
    return rows


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
