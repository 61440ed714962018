"""What a search says before and after, and what it leaves behind: lines of text, tables and a figure."""

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dualfair.evaluation.objectives import Objective
from dualfair.evaluation.protocol import LITERAL
from dualfair.evaluation.scoring.scorer import ENDS, InheritedScorer
from dualfair.evaluation.searchability import ENOUGH, LEAST_NETWORKS, MeasureReliability, searchability, warning
from dualfair.evolution.archive import Archive, Evaluation
from dualfair.evolution.run import SearchResult, feasible
from dualfair.evolution.storage import glance
from dualfair.presentation.boards import GROUP
from dualfair.presentation.figures import front_figure, save
from dualfair.presentation.format import listed, spoken, two, with_interval
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.layout import SearchLayout
from dualfair.runs.records.search import Front, FrontNetwork, SearchConfig, SearchReliability
from dualfair.stages.inherited import Scoring
from dualfair.supernet.files import write_csv
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images import PEOPLE
from dualfair.supernet.space import SearchSpace

COSTS = {"params": Column("params", "millions"), "macs": Column("MACs", "millions")}
"""Columns of costs; any other is a number by its name."""


def announcement(
    config: SearchConfig, space: SearchSpace, scoring: Scoring, floor: Mapping[str, float], devices: str
) -> list[str]:
    """What is searched, how, on whom, on which `devices`, within which limits, from which networks on, and the errors
    to beat."""
    faces, options = scoring.scorer.faces, config.options
    by = f" by {1 + len(scoring.scorer.beside)} supernets" if scoring.scorer.beside else ""
    how = f"{options.population} genotypes x {options.generations} generations"
    what = f"all {space.size:,}" if config.exhaustive else how
    lines = [
        f"Search: {what} of space {space.name} ({space.size:,}); minimise {', '.join(config.names.minimised)} on "
        f"{faces.amount('unseen ')}{faces.of_classes}{by}; {devices}"
    ]
    if others := _measured_otherwise(scoring.archive):
        lines.append(
            f"        {others} scores measured with other weights, settings, {faces.units} or code of your own are "
            "kept, not used"
        )
    lines.append("        to beat: error " + ", ".join(f"{value:.3f} of {name}" for name, value in floor.items()))
    if scoring.limits:
        lines.append(f"        within limits: {scoring.limits.in_words}; networks beyond are not scored")
    if config.start:
        lines.append(f"        begins with {', '.join(map(str, config.start))}")
    return lines


def _measured_otherwise(archive: Archive) -> int:
    """How many scores an archive keeps that are not used, but for those that confirmed a front by the same weights."""
    weights, others = json.loads(archive.measurement)["weights"], 0
    for name, count, _ in glance(archive.path) if archive.others else ():
        settings = json.loads(name)
        if name != archive.measurement and not (settings["weights"] == weights and "resamples" in settings):
            others += count
    return others


def front_table(networks: Sequence[FrontNetwork], columns: Sequence[str], config: SearchConfig) -> Table:
    """Scored networks, `columns` being those of the scores: objectives on images, error and rank disparity where they
    are not among these, the errors of the groups, costs."""
    measured = dict.fromkeys((*config.names.measured, "error", LITERAL))
    groups = [name for name in columns if name.startswith(GROUP)]
    costs = dict.fromkeys(("params", "macs", *config.names.minimised))
    costs = [name for name in costs if name not in measured]
    costs += [name for name in (networks[0].values if networks else ()) if name not in columns]
    shown = [Column("genotype", "text"), *(Column(spoken(name)) for name in measured)]
    shown += [Column(f"error {name.removeprefix(GROUP)}") for name in groups]
    shown += [COSTS.get(name) or Column(spoken(name)) for name in costs]
    rows = [[str(n.genotype), *(n.values[name] for name in (*measured, *groups, *costs))] for n in networks]
    return table(shown, rows, "The front of the search")


def write_tables(layout: SearchLayout, result: SearchResult, front: Front, units: str = PEOPLE) -> None:
    """Tables of all scores, of the front and of its hypervolume, and a figure of it; `units` were scored on."""
    names, confirmation = front.config.names, front.confirmation
    scores = ([str(evaluation.genotype), *evaluation.values] for evaluation in result.evaluated)
    write_csv(layout.scores_table, [["genotype", *result.columns], *scores])
    ends = [f"{name} {end}" for name in names.measured for end in ENDS]
    fresh = [*names.minimised, *ends] if confirmation else []
    header = ["genotype", *result.columns, *(f"{name}, confirmed" for name in fresh)]
    rows = (
        [str(n.genotype), *(n.values[name] for name in result.columns), *(n.confirmed[name] for name in fresh)]
        for n in front.networks
    )
    write_csv(layout.front_table, [header, *rows])
    below = " ".join(f"{value:g}" for value in result.reference)
    write_csv(layout.hypervolume_table, [["evaluations", f"hypervolume below {below}"], *result.trace])
    if result.front:
        confirmed = lost = None
        if confirmation:
            drawn = names.minimised[:2]
            stayed = {network.genotype for network in front.networks}
            confirmed = _intervals(front.networks, drawn)
            lost = _intervals([n for n in confirmation.search_front if n.genotype not in stayed], drawn)
        scored = feasible(result.evaluated, result.objectives)[1]
        save(front_figure(scored, result.front_values, names.minimised, confirmed, lost, units), layout.figure)


def _intervals(networks: Sequence[FrontNetwork], names: Sequence[str]) -> np.ndarray:
    """Value, low and high of objectives on fresh people, (networks, names, 3); costs have no ends, which are NaN."""
    parts = ("", *(f" {end}" for end in ENDS))
    values = [[[n.confirmed.get(f"{name}{part}", np.nan) for part in parts] for name in names] for n in networks]
    return np.array(values).reshape(-1, len(names), len(parts))


def confirmed_table(front: Front) -> Table:
    """The networks of either front as text: which it is on, objectives in the search and on fresh people, costs."""
    names = front.config.names
    columns = [Column("genotype", "text"), Column("on the front of", "text")]
    for name in map(spoken, names.measured):
        ends = [f"{name}, fresh {end}" for end in ENDS]
        columns += [Column(f"{name}, search"), Column(f"{name}, fresh", low=ends[0], high=ends[1]), *map(Column, ends)]
    costs = [name for name in names.minimised if name not in names.measured]
    columns += [COSTS.get(name) or Column(spoken(name)) for name in costs]
    fronts = {"search": front.confirmation.search_front, "fresh": front.networks}
    either = {network.genotype: network for networks in fronts.values() for network in networks}
    rows = []
    for network in sorted(
        either.values(), key=lambda n: tuple(np.nan_to_num([n.confirmed[name] for name in names.minimised], nan=np.inf))
    ):
        on = (name for name, networks in fronts.items() if network.genotype in {each.genotype for each in networks})
        row: list[object] = [str(network.genotype), " and ".join(on)]
        for name, fresh in zip(names.measured, _intervals([network], names.measured)[0].tolist(), strict=True):
            row += [network.values[name], *(None if np.isnan(value) else value for value in fresh)]
        rows.append([*row, *(network.values[name] for name in costs)])
    return table(columns, rows, "The search's front and the confirmed one")


def confirmation_sentences(front: Front) -> list[str]:
    """How the search's front fared on fresh people, in words with n."""
    c, moves = front.confirmation, []
    fresh = f"{c.people:,} fresh {c.units}"
    for name, means in c.means.items():
        (before, after), plain = means["search front"], means["random subnets"]
        verb = "rose" if after > before else "went"
        moves.append(
            f"{spoken(name)} {verb} from {before:.3f} to {after:.3f} (random subnets: from {plain[0]:.3f} to "
            f"{plain[1]:.3f})"
        )
    lines = [
        f"Confirmed on {c.people:,} {c.units} that the search has not seen: {c.survived} of the search's "
        f"{len(c.search_front)} front networks stay on the front, {len(front.networks) - c.survived} from the layers "
        "behind join it",
        f"On average over the search's front {listed(moves)}: a rise beyond that of the random subnets is the winner's "
        "luck",
    ]
    if front.config.predicted:
        lines.append(
            f"Values of {listed([spoken(name) for name in front.config.predicted])} are predictions of what a training "
            f"would show, and so are their intervals; random subnets' too"
        )
    for chance in c.against_random:
        name = spoken(chance.objective)
        if chance.p is None:
            lines.append(f"{name}: undefined for the search's best on {fresh}")
            continue
        lines.append(
            f"{name}: the search's best has {with_interval(chance.value, chance.low, chance.high)} on {fresh}; "
            f"{chance.as_good} of {chance.random} random subnets are as good "
            f"(one-sided p = {chance.p:.2f}): {chance.verdict}"
        )
    return lines


def reliability_on(
    scorer: InheritedScorer, evaluations: Iterable[Evaluation], random: Sequence[Genotype]
) -> SearchReliability:
    """How far every measure tells the `random` subnets of evaluations apart, on the people of their scorer."""
    faces = scorer.faces
    scored = {evaluation.genotype: evaluation.values for evaluation in evaluations}
    rows = np.array([scored[genotype] for genotype in random]).reshape(-1, len(scorer.columns))
    values = dict(zip(scorer.columns, rows.T, strict=True))
    people = {group: len(set(faces.identities[faces.groups == group].tolist())) for group in faces.group_names}
    measures = searchability(values, scorer.protocol.measures, faces.identity_count)
    return SearchReliability(people, ENOUGH, measures, faces.units)


def reliability_sentences(reliability: SearchReliability, objectives: Sequence[Objective]) -> list[str]:
    """A small table, and a warning for every objective that cannot be searched on, with what can be done."""
    of_groups = ", ".join(f"{group} {people:,}" for group, people in reliability.people.items())
    n = max(measure.networks for measure in reliability.measures.values())
    about = f"{n} random networks, {sum(reliability.people.values()):,} {reliability.units} ({of_groups})"
    if n < LEAST_NETWORKS:
        return [f"Reliability of the measures: not estimated, {n} networks are too few ({LEAST_NETWORKS} are needed)"]
    lines = [f"Reliability of the measures, 1 = {reliability.units} do not matter; roughly estimated from {about}:"]
    width = max(map(len, reliability.measures))
    lines += [
        f"  {name.ljust(width)}  {_in_words(measure, reliability.units)}"
        for name, measure in reliability.measures.items()
    ]
    return lines + [
        text for each in objectives if (text := warning(reliability.measures, each, objectives, reliability.units))
    ]


def _in_words(measure: MeasureReliability, units: str) -> str:
    if measure.networks < LEAST_NETWORKS:
        return f"not estimated: finite for {measure.networks} networks, {LEAST_NETWORKS} are needed"
    if measure.reliability is None:
        return "networks do not differ"
    people = measure.people
    needed = f"no number of {units} is enough" if people is None else f"{ENOUGH} takes about {people:,} {units}"
    return f"{with_interval(measure.reliability, measure.low, measure.high, two)}  {needed}"
