"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dualfair.presentation.format import spoken
from dualfair.reporting.table import column, table


def compared(runs: Sequence[Mapping]) -> dict:
    """The comparison of several runs as a table: of each its first choice, and what to make of it."""
    columns = [column("name", "text"), column("take", "text"), column("test error", spread="test error SE")]
    columns += [column("test error SE"), column("test disparity", spread="test disparity SE")]
    columns += [column("test disparity SE"), column("disparity measure", "text"), column("trainings", "whole")]
    columns += [column("test people", "whole"), column("tau of error", "tau", low="tau low", high="tau high")]
    columns += [
        column("tau low", "tau"),
        column("tau high", "tau"),
        column("held", "text"),
        column("device hours", "compact"),
    ]
    rows = []
    for run in runs:
        networks = {each["genotype"]: each for each in run["networks"]}
        first = run["choice"]["chosen"][0]["genotype"] if run["choice"]["chosen"] else None
        network = networks.get(first)
        values = [
            network["test"][m][part] if network else None for m in ("error", "disparity") for part in ("mean", "se")
        ]
        ranked = (run["ranking"] or {}).get("measures", {}).get("error", {})
        fresh = run["front"] and run["front"]["confirmation"]
        spent = run["cost"]["spent"]["rows"] if run["cost"] else []
        people = run["people"].get("test")
        rows.append(
            [
                *(run["name"], first, *values, spoken(run["disparity"]), network["seeds"] if network else None),
                *(sum(people.values()) if people else None, *(ranked.get(part) for part in ("tau", "low", "high"))),
                *(f"{fresh['survived']} of {fresh['of']}" if fresh else None, spent[-1][2] if spent else None),
            ]
        )
    return table(columns, rows)
