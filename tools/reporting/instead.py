"""What one would take instead: backbones from a shelf, and networks with hyper-parameters of their own."""

from __future__ import annotations

from dualfair.reporting.run_files import RunFiles, number
from dualfair.reporting.table import column, table


def shelf_section(run: RunFiles, disparity: str) -> dict | None:
    """Whether the searched networks dominate backbones of timm's, from `dualfair shelf`; None where it was not asked.

    {"front", "verdict", "seeds" (ours, the shelf's), "hypervolume" (ours, the shelf's), "difference", "low", "high",
    "each": a table of the backbones}. Raises KeyError, TypeError or ValueError where shelf.json is damaged.
    """
    said = run.json("shelf/shelf.json")
    found = said and said["dominance"].get(disparity)
    if not found:
        return None
    columns = (
        column("backbone", "text"),
        column("our front", "text"),
        column("probability that some network of ours dominates", "tau"),
        column("most often by", "text"),
        column("trainings of that one", "whole"),
        column("trainings of the backbone", "whole"),
    )
    rows = [
        [str(one["network"]), str(one["verdict"]), number(one["probability"]), str(one["by"]), *map(int, one["seeds"])]
        for one in found["each"]
    ]
    low, high = found["interval"] or (None, None)
    return {
        "front": [str(name) for name in found["our front"]],
        "verdict": str(found["verdict"]),
        "seeds": [int(seeds) for seeds in found["fewest_seeds"]],
        "hypervolume": [number(value) for value in found["hypervolume"]],
        "difference": number(found["difference"]),
        "low": number(low),
        "high": number(high),
        "each": table(columns, rows),
    }


def tune_section(run: RunFiles) -> dict | None:
    """The trials that reached the last rung of `dualfair tune`; None where there are none.

    {"trials", "spent" in full trainings, "last" epochs, "top": a table}. Raises KeyError, TypeError or ValueError where
    tune.json is damaged.
    """
    said = run.json("tune/tune.json")
    if said is None:
        return None
    last, disparity = float(said["rungs"][-1]), str(said["disparity"]).replace("_", " ")
    columns = (
        column("network", "text"),
        column("optimizer", "text"),
        column("learning rate", "compact"),
        column("validation error"),
        column(f"validation {disparity}"),
        column("test error"),
        column(f"test {disparity}"),
        column("on the front of validation people", "mark"),
    )
    reached = [(trial, trial["rungs"][-1]) for trial in said["trials"] if trial["rungs"][-1]["epochs"] == last]
    rows = [
        [
            str(trial["genotype"]),
            str(trial["optimizer"]),
            number(trial["lr"]),
            *(number(rung[f"{who} {what}"]) for who in ("validation", "test") for what in ("error", "disparity")),
            bool(trial["on the front"]),
        ]
        for trial, rung in sorted(reached, key=lambda pair: float(pair[1]["validation error"]))
    ]
    return {
        "trials": len(said["trials"]),
        "spent": number(float(said["epochs spent"]) / last),
        "last": last,
        "top": table(columns, rows),
    }
