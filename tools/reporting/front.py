"""The search's front: its own scores, those on fresh people, what is to beat, and how the search got there."""

from collections.abc import Mapping, Sequence

from dualfair.presentation.format import number, spoken
from dualfair.presentation.table import Column, Table, interval_columns, table
from dualfair.runs.records.codec import encode
from dualfair.runs.records.search import ConfirmedFront, Front, FrontNetwork
from dualfair.runs.run_files import RunFiles
from dualfair.supernet.genotype import Genotype

MOST_POINTS = 2000
"""Scored networks that are kept for the cloud behind the front; of more, as many evenly spaced ones."""


def front_section(files: RunFiles, front: Front | None) -> dict | None:
    """The scores of a finished search, None where there is none.

    {"objectives", "images", "people", "evaluations", "space exhausted", "baselines", "scored", "front": tables,
    "confirmation": {"people", "images", "survived", "of", "joined", "random subnets", "means", "against random": for
    each objective the network that the search put first in it, with its score "before" and its fresh "value"} or None}.
    Raises KeyError or ValueError where the files of the search do not fit each other.
    """
    if front is None:
        return None
    return {
        "objectives": list(front.objectives),
        "images": front.images,
        "evaluations": front.config.evaluations,
        "exhaustive": front.config.exhaustive,
        "baselines": {name: number(error) for name, error in front.errors_to_beat.items()},
        "scored": _scored(files, front.objectives),
        "front": _table(_fronts(front), front),
        "confirmation": None if front.confirmation is None else _confirmation(front, front.confirmation),
    }


def reported_genotypes(front: Front | None) -> list[Genotype]:
    """The networks of the front that the search reports: the confirmed one where there is one."""
    return [network.genotype for network in front.networks] if front else []


def hypervolume_section(files: RunFiles) -> dict:
    """Hypervolume over evaluations: {"trace": a table (evaluations, hypervolume), None without a search}. Higher is
    better."""
    rows = files.csv(files.layout.search.hypervolume_table) or []
    points = [[int(float(row[0])), number(row[1])] for row in rows[1:]]
    return {"trace": table([Column("evaluations", "whole"), Column("hypervolume")], points) if points else None}


def _fronts(front: Front) -> list[tuple[FrontNetwork, list[str]]]:
    """The networks on the search's front or on the confirmed one, with the fronts that they are on."""
    confirmed = {network.genotype: network for network in front.networks}
    if front.confirmation is None:
        return [(network, ["search's front"]) for network in confirmed.values()]
    searched = {network.genotype: network for network in front.confirmation.search_front}
    named = (("search's front", searched), ("front on fresh people", confirmed))
    return [
        (network, [name for name, networks in named if genotype in networks])
        for genotype, network in {**searched, **confirmed}.items()
    ]


def _table(networks: Sequence[tuple[FrontNetwork, list[str]]], front: Front) -> Table:
    fresh = front.objectives if front.confirmation else ()
    fresh = [name for name in fresh if any(name in (network.confirmed or {}) for network, _ in networks)]
    columns = [Column("network", "text"), Column("is on the", "text")]
    columns += [Column(f"{spoken(name)}, search") for name in front.objectives]
    columns += [column for name in fresh for column in interval_columns(f"{spoken(name)}, fresh people")]
    rows = []
    for network, fronts in networks:
        row = [str(network.genotype), " and ".join(fronts)]
        row += [number(network.values[name]) for name in front.objectives]
        row += [
            number((network.confirmed or {}).get(f"{name}{end}")) for name in fresh for end in ("", " low", " high")
        ]
        rows.append(row)
    caption = "Networks of the search's front"
    return table(columns, rows, f"{caption} and of the front on fresh people [95 % over people]" if fresh else caption)


def _scored(files: RunFiles, objectives: Sequence[str]) -> Table:
    """Search scores of all networks, or of MOST_POINTS of them, as a table."""
    columns = [Column("network", "text"), *(Column(spoken(name)) for name in objectives)]
    header, *rows = files.csv(files.layout.search.scores_table) or [[]]
    if len(rows) > MOST_POINTS:
        rows = [rows[point * len(rows) // MOST_POINTS] for point in range(MOST_POINTS)]
    at = [header.index(name) for name in objectives] if rows else []
    return table(columns, [[row[0], *(number(row[place]) for place in at)] for row in rows])


def _confirmation(front: Front, confirmation: ConfirmedFront) -> dict:
    searched: Mapping[Genotype, FrontNetwork] = {network.genotype: network for network in confirmation.search_front}
    return {
        **encode(confirmation),
        "of": len(searched),
        "joined": sum(network.genotype not in searched for network in front.networks),
        "against random": [
            {**encode(chance), "before": _before(searched.get(chance.genotype), chance.objective)}
            for chance in confirmation.against_random
        ],
    }


def _before(network: FrontNetwork | None, objective: str) -> float | None:
    """The search's score of a network on its front, None where it is not on it."""
    return None if network is None else number(network.values.get(objective))
