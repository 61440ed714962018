"""Reads published tables of cheap and true scores of networks, as CSV, for the ranking study."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.stages.ranking_study import ScoreTables

NETWORK, SEED = "network", "seed"
"""Columns that are no scores."""


@dataclass(frozen=True)
class Read:
    """Score tables of the networks that both files have, `maximised` columns with their sign changed.

    `only_inherited` and `only_standalone` count networks that one file lacks; `left_out` lack a seed that most have.
    """

    tables: ScoreTables
    maximised: tuple[str, ...]
    only_inherited: int
    only_standalone: int
    left_out: tuple[str, ...]


def read_score_tables(inherited: Path, standalone: Path, maximise: Sequence[str] = ()) -> Read:
    """The tables of two CSV files: `inherited` has a first column `network` and scores, one row a network; `standalone`
    the same with an optional column `seed`, several rows a network being its seeds.

    Columns of both are measures, those of the cheap file alone are baselines; smaller is better but in `maximise`.
    Raises ValueError naming file, line and value of whatever is malformed.
    """
    cheap_columns, cheap_rows = _read(inherited)
    true_columns, true_rows = _read(standalone)
    if SEED in cheap_columns:
        raise ValueError(f"{inherited} has a column {SEED!r}; seeds belong into the table of the truth")
    scores, true_scores = cheap_columns[1:], [name for name in true_columns[1:] if name != SEED]
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
    signs = {name: -1.0 if name in maximise else 1.0 for name in (*scores, *true_scores)}
    by_network = {row[NETWORK]: row for _, row in _distinct(inherited, cheap_rows)}
    seeds_of = _seeds(standalone, true_rows, SEED in true_columns)
    names = [name for name in by_network if name in seeds_of]
    if not names:
        raise ValueError(f"no network is in both {inherited} and {standalone}")
    (seeds, _), *_ = Counter(tuple(sorted(seeds_of[name])) for name in names).most_common(1)
    whole = [name for name in names if set(seeds) <= set(seeds_of[name])]

    def column(name: str) -> np.ndarray:
        return np.array([signs[name] * by_network[network][name] for network in whole])

    def by_seed(name: str) -> np.ndarray:
        return np.array([[signs[name] * seeds_of[network][seed][name] for seed in seeds] for network in whole])

    tables = ScoreTables(
        tuple(whole),
        (frozenset({"named"}),) * len(whole),
        {name: column(name) for name in measures},
        {name: by_seed(name) for name in measures},
        baselines={name: column(name) for name in scores if name not in measures},
    )
    left_out = tuple(name for name in names if name not in whole)
    return Read(tables, tuple(maximise), len(by_network) - len(names), len(seeds_of) - len(names), left_out)


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict]]]:
    """Column names and rows (line, {column: network, seed or finite number}) of a CSV file."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV in UTF-8: {error}") from None
    columns = lines[0][1] if lines else []
    if columns[:1] != [NETWORK]:
        raise ValueError(f"{path}: the first column must be {NETWORK!r}, got {columns[0] if columns else ''!r}")
    if twice := [name for name, times in Counter(columns).items() if times > 1 or not name]:
        raise ValueError(f"{path}: every column needs a name of its own, got {twice[0]!r} twice or empty")
    if not {*columns} - {NETWORK, SEED}:
        raise ValueError(f"{path} has no column of scores beside {_listed(columns)}")
    if len(lines) < 2:
        raise ValueError(f"{path} has no row below its header")
    return columns, [(line, _row(path, line, columns, cells)) for line, cells in lines[1:]]


def _row(path: Path, line: int, columns: Sequence[str], cells: Sequence[str]) -> dict:
    if len(cells) != len(columns):
        raise ValueError(f"{path}, line {line}: {len(cells)} values for {len(columns)} columns")
    row: dict = dict(zip(columns, cells, strict=True))
    if not row[NETWORK]:
        raise ValueError(f"{path}, line {line}: the network has no name")
    for name in columns:
        if name in (NETWORK, SEED):
            continue
        try:
            row[name] = float(row[name])
        except ValueError:
            row[name] = math.nan
        if not math.isfinite(row[name]):
            value = dict(zip(columns, cells, strict=True))[name]
            raise ValueError(
                f"{path}, line {line}: {name} must be a finite number, got {value[:40]!r}; leave that row out"
            )
    return row


def _distinct(path: Path, rows: Sequence[tuple[int, dict]]) -> Sequence[tuple[int, dict]]:
    seen: dict[str, int] = {}
    for line, row in rows:
        if row[NETWORK] in seen:
            raise ValueError(
                f"{path}, line {line}: network {row[NETWORK]!r} is there already, in line {seen[row[NETWORK]]}"
            )
        seen[row[NETWORK]] = line
    return rows


def _seeds(path: Path, rows: Sequence[tuple[int, dict]], named: bool) -> dict[str, dict[str, dict]]:
    """Rows by network and seed; where no column names the seeds, a network's rows are numbered."""
    seeds_by_network: dict[str, dict[str, dict]] = {}
    for line, row in rows:
        of = seeds_by_network.setdefault(row[NETWORK], {})
        seed = row[SEED] if named else f"{len(of):09d}"
        if seed in of:
            raise ValueError(f"{path}, line {line}: seed {seed!r} of network {row[NETWORK]!r} is there already")
        of[seed] = row
    return seeds_by_network


def _listed(names) -> str:
    return ", ".join(map(repr, names)) or "none"
