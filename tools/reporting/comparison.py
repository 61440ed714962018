"""Several runs side by side."""

from collections.abc import Mapping, Sequence

from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, Table, spread_columns, table


def compared(runs: Sequence[Mapping]) -> Table:
    """Several runs: of each its first choice with its numbers in every objective, and what to make of it."""
    objectives = list(dict.fromkeys(name for run in runs for name in run["objectives"]))
    columns = [Column("name", "text"), Column("take", "text"), Column("shown to be better", "text")]
    columns += [column for name in objectives for column in spread_columns(f"test {spoken(name)}")]
    columns += [Column("trainings", "whole"), Column("test people", "whole")]
    columns += [Column("tau of error", "tau", low="tau low", high="tau high")]
    columns += [Column("tau low", "tau"), Column("tau high", "tau"), Column("held", "text")]
    columns.append(Column("device hours", "compact"))
    rows = []
    for run in runs:
        chosen = run["choice"]["chosen"][0]["genotype"] if run["choice"]["chosen"] else None
        network = next((network for network in run["networks"] if network["genotype"] == chosen), None)
        test = network["test"] if network else {}
        ranked = (run["ranking"] or {}).get("measures", {}).get("error", {})
        fresh = run["front"] and run["front"]["confirmation"]
        spent = run["cost"]["spent"].rows if run["cost"] else ()
        people = run["people"].get("test")
        rows.append(
            [
                *(run["name"], chosen, run["answer"]["take"]["certainty"]),
                *(test.get(name, {}).get(part) for name in objectives for part in ("mean", "se")),
                *(network and network["seeds"], sum(people.values()) if people else None),
                *(ranked.get(part) for part in ("tau", "low", "high")),
                *(f"{fresh['survived']} of {fresh['of']}" if fresh else None, spent[-1][2] if spent else None),
            ]
        )
    caption = "Each run's first choice, by its test people; runs on different faces do not compare"
    return table(columns, rows, caption)
