"""What one would take instead: backbones from a shelf, and networks with hyper-parameters of their own."""

from __future__ import annotations

from dualfair.presentation.format import number
from dualfair.reporting.table import column, table
from dualfair.runs.run_files import RunFiles


def shelf_section(files: RunFiles, disparity: str) -> dict | None:
    """Whether the searched networks dominate backbones of timm's, from `dualfair shelf`; None where it was not asked.

    {"front", "verdict", "seeds" (ours, the shelf's), "hypervolume" (ours, the shelf's), "difference", "low", "high",
    "each": a table of the backbones}. Raises KeyError, TypeError or ValueError where shelf.json is damaged.
    """
    study = files.json(files.layout.stage("shelf").folder / "shelf.json")
    dominance = study and study["dominance"].get(disparity)
    if not dominance:
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
        [
            *(str(backbone["network"]), str(backbone["verdict"]), number(backbone["probability"]), str(backbone["by"])),
            *map(int, backbone["seeds"]),
        ]
        for backbone in dominance["each"]
    ]
    low, high = dominance["interval"] or (None, None)
    return {
        "front": [str(name) for name in dominance["our front"]],
        "verdict": str(dominance["verdict"]),
        "seeds": [int(seeds) for seeds in dominance["fewest_seeds"]],
        "hypervolume": [number(value) for value in dominance["hypervolume"]],
        "difference": number(dominance["difference"]),
        "low": number(low),
        "high": number(high),
        "each": table(columns, rows),
    }


def tune_section(files: RunFiles) -> dict | None:
    """The trials that reached the last rung of `dualfair tune`; None where there are none.

    {"trials", "spent" in full trainings, "last" epochs, "top": a table}. Raises KeyError, TypeError or ValueError where
    tune.json is damaged.
    """
    study = files.json(files.layout.stage("tune").folder / "tune.json")
    if study is None:
        return None
    last, disparity = float(study["rungs"][-1]), str(study["disparity"]).replace("_", " ")
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
    reached = [(trial, trial["rungs"][-1]) for trial in study["trials"] if trial["rungs"][-1]["epochs"] == last]
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
        "trials": len(study["trials"]),
        "spent": number(float(study["epochs spent"]) / last),
        "last": last,
        "top": table(columns, rows),
    }
