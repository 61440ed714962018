"""What a search came to, as files and as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from dualfair.supernet.files import write_csv, write_json
from dualfair.supernet.genotype import Genotype


def write_result(
    folder: Path,
    result,
    scorer,
    floor: dict[str, float],
    config: dict[str, object],
    confirmation=None,
    costs: Callable[[Sequence[Genotype]], dict[str, list[float]]] | None = None,
) -> None:
    """scores.csv, hypervolume.csv, front.csv, front.png and front.json of a search; the last one makes it complete.

    The front is the confirmed one, with the search's scores and the fresh ones, else that of the search. front.json
    has the further `costs` of its networks, by column.
    """
    import numpy as np

    from dualfair.presentation.figures import front_figure
    from dualfair.stages.confirmation_output import csv_rows, entry, to_dict

    def rows(evaluations) -> list[list]:
        own = ([str(evaluation.genotype), *evaluation.values] for evaluation in evaluations)
        return [["genotype", *scorer.columns], *own]

    write_csv(folder / "scores.csv", rows(result.archive))
    write_csv(folder / "front.csv", csv_rows(confirmation, confirmation.order) if confirmation else rows(result.front))
    below = " ".join(f"{value:g}" for value in result.reference)
    write_csv(folder / "hypervolume.csv", [["evaluations", f"hypervolume below {below}"], *result.trace])
    if result.front:
        m = len(scorer.objectives)
        scored = np.array([evaluation.values[:m] for evaluation in result.archive])
        points = np.array([evaluation.values[:m] for evaluation in result.front])
        confirmed = confirmation.intervals(confirmation.order) if confirmation else None
        front_figure(folder / "front.png", scored[np.isfinite(scored).all(1)], points, scorer.objectives, confirmed)
    front = [
        {"genotype": str(evaluation.genotype), **dict(zip(scorer.columns, evaluation.values, strict=True))}
        for evaluation in result.front
    ]
    if confirmation:
        front = [entry(confirmation, place) for place in confirmation.order]
    further = costs([Genotype.parse(network["genotype"]) for network in front]) if costs else {}
    for name, column in further.items():
        for network, value in zip(front, column, strict=True):
            network[name] = value
    about = {"config": config, "objectives": scorer.objectives, "images": len(scorer.faces), "errors to beat": floor}
    fresh = to_dict(confirmation) if confirmation else None
    write_json(folder / "front.json", {**about, "front": front, "confirmation": fresh})


def table(evaluations, scorer, further: Mapping[str, Sequence[float]] = MappingProxyType({})) -> list[str]:
    """The evaluations as lines of text: genotype, error, disparity, group errors, parameters, MACs, `further` columns.

    `further` has a number for every evaluation.
    """
    columns = list(scorer.columns)
    groups = [name.removeprefix("error of ") for name in columns if name.startswith("error of ")]
    disparities = [scorer.protocol.disparity_name]
    if "rank_disparity" in columns and "rank_disparity" not in disparities:
        disparities.append("rank_disparity")
    titles = [name.replace("_", " ") for name in disparities]
    rows = [["genotype", "error", *titles, *(f"error {group}" for group in groups), "params", "MACs", *further]]
    for place, evaluation in enumerate(evaluations):
        value = dict(zip(columns, evaluation.values, strict=True))
        rows.append(
            [
                str(evaluation.genotype),
                f"{value['error']:.3f}",
                *(f"{value[name]:.3f}" for name in disparities),
                *(f"{value[f'error of {group}']:.3f}" for group in groups),
                f"{value['params'] / 1e6:.3f} M",
                f"{value['macs'] / 1e6:.1f} M",
                *(f"{column[place]:.3f}" for column in further.values()),
            ]
        )
    return aligned(rows)


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of text cells as lines: the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
