"""What a search says before and after, and what it leaves behind: lines of text, tables, a figure, the front."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dualfair.evaluation.protocol import LITERAL
from dualfair.evolution.archive import Evaluation
from dualfair.evolution.run import SearchResult, feasible
from dualfair.presentation.figures import front_figure, save
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.layout import SearchLayout
from dualfair.runs.records.search import Front, FrontNetwork, SearchConfig
from dualfair.stages.confirm import Confirmation
from dualfair.stages.confirmation_output import COSTS, csv_rows, front_network, record_of
from dualfair.stages.inherited import Scoring
from dualfair.supernet.files import write_csv
from dualfair.supernet.space import SearchSpace

GROUP = "error of "
"""What the columns with the errors of groups begin with; the group follows."""


def announcement(
    config: SearchConfig, space: SearchSpace, scoring: Scoring, floor: Mapping[str, float], devices: str
) -> list[str]:
    """What is searched, how, on whom, on which `devices`, within which limits, from which networks on, and the errors
    to beat."""
    faces, options = scoring.scorer.faces, config.options
    how = f"{options.population} genotypes x {options.generations} generations"
    what = f"all {space.size:,}" if config.exhaustive else how
    lines = [
        f"Search: {what} of space {space.name} ({space.size:,}); minimise {', '.join(config.names.minimised)} on "
        f"{len(faces):,} images of {faces.identity_count} unseen people; {devices}"
    ]
    if others := scoring.archive.others:
        lines.append(f"        {others} scores measured with other weights, settings or people are kept, not used")
    lines.append("        to beat: error " + ", ".join(f"{value:.3f} of {name}" for name, value in floor.items()))
    if scoring.limits:
        lines.append(f"        within limits: {scoring.limits.in_words}; networks beyond are not scored")
    if config.start:
        lines.append(f"        begins with {', '.join(map(str, config.start))}")
    return lines


def front_table(evaluations: Sequence[Evaluation], scoring: Scoring, config: SearchConfig) -> Table:
    """Scored networks: objectives on images, error and rank disparity where they are not among these, the errors of the
    groups, costs."""
    names = scoring.scorer.columns
    measured = dict.fromkeys((*config.names.measured, "error", LITERAL))
    groups = [name for name in names if name.startswith(GROUP)]
    costs = dict.fromkeys(("params", "macs", *config.names.minimised))
    costs = [name for name in costs if name not in measured]
    further = scoring.limits.columns([each.genotype for each in evaluations]) if scoring.limits else {}
    columns = [Column("genotype", "text"), *(Column(spoken(name)) for name in measured)]
    columns += [Column(f"error {name.removeprefix(GROUP)}") for name in groups]
    columns += [*(COSTS.get(name) or Column(spoken(name)) for name in costs), *map(Column, further)]
    rows = []
    for place, evaluation in enumerate(evaluations):
        value = dict(zip(names, evaluation.values, strict=True))
        shown = (value[name] for name in (*measured, *groups, *costs))
        rows.append([str(evaluation.genotype), *shown, *(of[place] for of in further.values())])
    return table(columns, rows, "The front of the search")


def write_tables(layout: SearchLayout, result: SearchResult, names: Sequence[str], c: Confirmation | None) -> None:
    """Tables of all scores, of the front and of its hypervolume, and a figure of it; `names` are the objectives."""

    def rows(evaluations: Sequence[Evaluation]) -> list[list]:
        scores = ([str(evaluation.genotype), *evaluation.values] for evaluation in evaluations)
        return [["genotype", *result.columns], *scores]

    write_csv(layout.scores_table, rows(result.scored))
    write_csv(layout.front_table, csv_rows(c, c.order) if c else rows(result.front))
    below = " ".join(f"{value:g}" for value in result.reference)
    write_csv(layout.hypervolume_table, [["evaluations", f"hypervolume below {below}"], *result.trace])
    if result.front:
        confirmed = lost = None
        if c:
            confirmed = c.intervals(c.order, names[:2])
            lost = c.intervals(np.flatnonzero(c.leading & ~c.confirmed), names[:2])
        scored = feasible(result.scored, result.objectives)[1]
        save(front_figure(scored, result.front_values, names, confirmed, lost), layout.figure)


def front_of(
    config: SearchConfig, result: SearchResult, scoring: Scoring, floor: Mapping[str, float], c: Confirmation | None
) -> Front:
    """The front of a search: the confirmed one, with the search's scores and the fresh ones, else the search's own.

    `floor` are the errors to beat; costs that are limited and not scored stand among a network's values.
    """
    if c:
        networks = [front_network(c, place) for place in c.order]
    else:
        values = [dict(zip(result.columns, evaluation.values, strict=True)) for evaluation in result.front]
        networks = [FrontNetwork(each.genotype, of) for each, of in zip(result.front, values, strict=True)]
    further = scoring.limits.columns([network.genotype for network in networks]) if scoring.limits else {}
    for name, column in further.items():
        networks = [replace(n, values={**n.values, name: value}) for n, value in zip(networks, column, strict=True)]
    return Front(
        config=config,
        objectives=config.names.minimised,
        images=len(scoring.scorer.faces),
        errors_to_beat=floor,
        networks=tuple(networks),
        confirmation=record_of(c) if c else None,
    )
