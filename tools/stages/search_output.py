"""What a search came to, as files and as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.evolution.archive import Evaluation
from dualfair.evolution.run import SearchResult, feasible
from dualfair.presentation.figures import front_figure, save
from dualfair.presentation.table import aligned
from dualfair.runs.layout import SearchLayout
from dualfair.runs.records.search import Front, FrontNetwork, SearchConfig
from dualfair.stages.confirm import Confirmation
from dualfair.stages.confirmation_output import csv_rows, front_network, record_of
from dualfair.supernet.files import write_csv
from dualfair.supernet.genotype import Genotype


def write_tables(
    layout: SearchLayout, result: SearchResult, scorer: InheritedScorer, confirmation: Confirmation | None
) -> None:
    """Tables of all scores, of the front and of its hypervolume, and a figure of the front."""

    def rows(evaluations: Sequence[Evaluation]) -> list[list]:
        scores = ([str(evaluation.genotype), *evaluation.values] for evaluation in evaluations)
        return [["genotype", *scorer.columns], *scores]

    write_csv(layout.scores_table, rows(result.scored))
    front = csv_rows(confirmation, confirmation.order) if confirmation else rows(result.front)
    write_csv(layout.front_table, front)
    below = " ".join(f"{value:g}" for value in result.reference)
    write_csv(layout.hypervolume_table, [["evaluations", f"hypervolume below {below}"], *result.trace])
    if result.front:
        confirmed = lost = None
        if confirmation:
            confirmed = confirmation.intervals(confirmation.order)
            lost = confirmation.intervals(np.flatnonzero(confirmation.leading & ~confirmation.confirmed))
        scored = feasible(result.scored, result.objectives)[1]
        save(front_figure(scored, result.front_values, scorer.objectives, confirmed, lost), layout.figure)


def front_of(
    config: SearchConfig,
    result: SearchResult,
    scorer: InheritedScorer,
    floor: Mapping[str, float],
    confirmation: Confirmation | None = None,
    costs: Callable[[Sequence[Genotype]], dict[str, list[float]]] | None = None,
) -> Front:
    """The front of a search: the confirmed one, with the search's scores and the fresh ones, else the search's own.

    `floor` are the errors to beat; further `costs` of networks, by column, stand among their values.
    """
    if confirmation:
        networks = [front_network(confirmation, place) for place in confirmation.order]
    else:
        networks = [
            FrontNetwork(evaluation.genotype, dict(zip(scorer.columns, evaluation.values, strict=True)))
            for evaluation in result.front
        ]
    further = costs([network.genotype for network in networks]) if costs else {}
    for name, column in further.items():
        networks = [
            replace(network, values={**network.values, name: value})
            for network, value in zip(networks, column, strict=True)
        ]
    return Front(
        config=config,
        objectives=tuple(scorer.objectives),
        images=len(scorer.faces),
        errors_to_beat=floor,
        networks=tuple(networks),
        confirmation=record_of(confirmation) if confirmation else None,
    )


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
