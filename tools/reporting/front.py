"""The search's front: its own scores, those on fresh people, what is to beat, and how the search got there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dualfair.reporting.run_files import RunFiles, number
from dualfair.reporting.table import column, table
from dualfair.reporting.words import spoken

MOST_POINTS = 2000
"""Scored networks that are kept for the cloud behind the front; of more, as many evenly spaced ones."""


def objectives_of(run: RunFiles) -> tuple[str, str]:
    """Names of the two measured objectives of a run: the error, and the disparity that it was searched on."""
    for file in ("search/config.json", "retrain/config.json"):
        name = (run.json(file) or {}).get("disparity")
        if isinstance(name, str) and name:
            return "error", name
    return "error", "rank_disparity"


def front_section(run: RunFiles) -> dict | None:
    """The scores of a finished search, None where there is none.

    {"objectives", "images", "people", "evaluations", "space exhausted", "baselines", "scored", "front": tables,
    "confirmation": {"people", "images", "survived", "of", "joined", "random subnets", "means", "against random": for
    each objective the network that the search put first in it, with its score "before" and its fresh "value"} or None}.
    Raises KeyError, TypeError or ValueError for a damaged front.json.
    """
    said = run.json("search/front.json")
    if said is None:
        return None
    objectives = [str(name) for name in said["objectives"][:2]]
    confirmation = said["confirmation"]
    networks = _either(said)
    return {
        "objectives": objectives,
        "images": said["images"],
        "evaluations": said["config"]["evaluations"],
        "exhaustive": bool(said["config"].get("exhaustive")),
        "baselines": {str(name): number(value) for name, value in said["errors to beat"].items()},
        "scored": _scored(run, objectives),
        "front": _table(networks, objectives, confirmation is not None),
        "confirmation": None if confirmation is None else _confirmation(said, confirmation),
    }


def front_genotypes(run: RunFiles) -> list[str]:
    """The networks of the front that the search reports: the confirmed one where there is one."""
    said = run.json("search/front.json") or {}
    return [str(entry["genotype"]) for entry in said.get("front", [])]


def hypervolume_section(run: RunFiles) -> dict:
    """Hypervolume over evaluations: "trace" of the search, and "comparison" with random search where there is one.

    "trace" is a table (evaluations, hypervolume), None without a search. "comparison" has "seeds", "sentence",
    "networks", and "curves", a table (method, evaluations, mean, lowest, highest: shares of the best front's
    hypervolume over seeds). Higher is better in both.
    """
    rows = run.csv("search/hypervolume.csv")
    trace = None
    if rows and len(rows) > 1:
        points = [[int(float(row[0])), number(row[1])] for row in rows[1:]]
        trace = table([column("evaluations", "whole"), column("hypervolume")], points)
    return {"trace": trace, "comparison": _comparison(run)}


def _comparison(run: RunFiles) -> dict | None:
    said, rows = run.json("compare/comparison.json"), run.csv("compare/hypervolume.csv")
    if said is None or not rows:
        return None
    shares: dict[tuple[str, int], list[float]] = {}
    for method, _, evaluations, share in rows[1:]:
        shares.setdefault((method, int(float(evaluations))), []).append(float(share))
    curves = [[method, n, sum(own) / len(own), min(own), max(own)] for (method, n), own in shares.items()]
    columns = [column("method", "text"), column("evaluations", "whole")]
    columns += [column("mean share", low="lowest", high="highest"), column("lowest"), column("highest")]
    return {
        "seeds": len(said["seeds"]),
        "networks": said["networks"],
        "exhaustive": said["exhaustive"],
        "scored": said["scored"],
        "sentence": str(said["sentence"]),
        "nsga_wins": said["nsga_wins"],
        "nsga_losses": said["nsga_losses"],
        "sign_test_p": said["sign_test_p"],
        "curves": table(columns, curves),
    }


def _either(said: Mapping) -> list[tuple[Mapping, list[str]]]:
    """The networks on the search's front or on the confirmed one, with the fronts that they are on."""
    confirmed = {entry["genotype"]: entry for entry in said["front"]}
    if said["confirmation"] is None:
        return [(entry, ["search's front"]) for entry in confirmed.values()]
    searched = {entry["genotype"]: entry for entry in said["confirmation"]["search front"]}
    return [
        (
            entry,
            [
                name
                for name, front in (("search's front", searched), ("front on fresh people", confirmed))
                if genotype in front
            ],
        )
        for genotype, entry in {**searched, **confirmed}.items()
    ]


def _table(networks: Sequence[tuple[Mapping, list[str]]], objectives: Sequence[str], fresh: bool) -> dict:
    columns = [column("network", "text"), column("is on the", "text")]
    columns += [column(f"{spoken(name)}, search") for name in objectives]
    for name in objectives if fresh else ():
        title = f"{spoken(name)}, fresh people"
        columns += [column(title, low=f"{title} low", high=f"{title} high")]
        columns += [column(f"{title} low"), column(f"{title} high")]
    rows = []
    for entry, fronts in networks:
        row = [str(entry["genotype"]), " and ".join(fronts), *(number(entry[name]) for name in objectives)]
        for name in objectives if fresh else ():
            row += [number(entry["confirmed"].get(f"{name}{end}")) for end in ("", " low", " high")]
        rows.append(row)
    return table(columns, rows)


def _scored(run: RunFiles, objectives: Sequence[str]) -> dict:
    """Search scores of all networks, or of MOST_POINTS of them, as a table."""
    columns = [column("network", "text"), *(column(spoken(name)) for name in objectives)]
    rows = run.csv("search/scores.csv")
    if not rows:
        return table(columns, [])
    header, places = rows[0], rows[1:]
    if len(places) > MOST_POINTS:
        places = [places[number * len(places) // MOST_POINTS] for number in range(MOST_POINTS)]
    at = [header.index(name) for name in objectives]
    return table(columns, [[row[0], *(number(row[place]) for place in at)] for row in places])


def _confirmation(said: Mapping, found: Mapping) -> dict:
    searched = {entry["genotype"]: entry for entry in found["search front"]}
    return {
        "people": found["people"],
        "images": found["images"],
        "candidates": found["candidates"],
        "random subnets": found["random subnets"],
        "survived": found["survived"],
        "of": len(searched),
        "joined": sum(entry["genotype"] not in searched for entry in said["front"]),
        "means": {
            name: {of: [number(value) for value in pair] for of, pair in both.items()}
            for name, both in found["means"].items()
        },
        "against random": [
            {
                **{name: one[name] for name in ("objective", "genotype", "as_good", "random", "verdict")},
                "before": number(searched.get(one["genotype"], {}).get(one["objective"])),
                **{name: number(one[name]) for name in ("value", "low", "high", "p")},
            }
            for one in found["against random"]
        ],
    }
