"""Which network to take, in sentences; or why the data support no choice, and what would."""

import shlex
from collections.abc import Mapping

from dualfair.presentation.format import (
    FEW_PEOPLE,
    capital,
    counted,
    decimals,
    listed,
    ordinal,
    spoken,
    two,
    with_error,
)
from dualfair.reporting.statements import CONTRADICTED, NOT_SHOWN, PARTLY, SHOWN, UNDECIDED, UNKNOWN, statement

SINGLE = 3
"""Up to so many trainings their single values stand beside the mean."""


def take(run: Mapping) -> dict:
    """The statement on which network to take.

    The data support no choice where the first choice is told from no other network (two standard errors of the
    difference on test people), and validation people tie, or a measure is not reliable on them, or it was trained once.
    A choice is shown where every other network is told apart as worse in some objective, and contradicted where one is
    better in some objective and worse in none.
    """
    networks = {network["genotype"]: network for network in run["networks"]}
    if not run["choice"]["chosen"]:
        sentences = ["None was trained from scratch and judged on test people."]
        steps = [("Train some", run["commands"]["retrain"])]
        return statement("No network can be recommended yet.", UNKNOWN, sentences, steps)
    first = run["choice"]["chosen"][0]
    best, of = networks[first["genotype"]], run["standing"]["of"]
    reasons = _undecided(run, first, best)
    tested = f"on {tested_on(run, best)} it has {on_test_people(run, best)} ({_spread(run, best)})."
    details = [_by_group(run, best), _fared(run), _chosen(run, first, best), *_others(run, networks)]
    sentences = [capital(tested), *details]
    if of < 2:
        more = [("Train others beside it", f"{run['commands']['retrain']} --random 24 --seeds 3")]
        only = f"Only {first['genotype']} was trained from scratch, so there is nothing to choose from."
        return statement(only, UNKNOWN, sentences, more)
    if reasons:
        why_not = f"No other network is told apart from {first['genotype']} on test people, and {listed(reasons)}."
        must = f"Where one must be taken, take {first['genotype']}: {tested}"
        headline = f"These data support no choice among the {of} networks."
        return statement(headline, UNDECIDED, [why_not, must, *details], _more(run, first))
    if better := _apart(run, "better") - _apart(run, "worse"):
        but = f"Take {first['genotype']}, but on test people {listed(sorted(better))} did better."
        return statement(but, CONTRADICTED, sentences, _more(run, first))
    worse = len(_apart(run, "worse"))
    certainty = SHOWN if worse == of - 1 else PARTLY if worse else NOT_SHOWN
    return statement(f"Take {first['genotype']}.", certainty, sentences)


def on_test_people(run: Mapping, network: Mapping) -> str:
    """What a network reaches on test people, in words with standard errors."""
    numbers = ((name, network["test"][name]) for name in run["objectives"])
    return listed([f"{spoken(name)} {with_error(of['mean'], of['se'])}" for name, of in numbers])


def tested_on(run: Mapping, network: Mapping) -> str:
    """What a network was tested on: people by group, and images."""
    people = run["people"].get("test")
    if not people:
        return f"{network['probes']} images"
    groups = ", ".join(f"{group} {n:,}" for group, n in people.items())
    return f"{counted(sum(people.values()), 'test person', 'test people')} ({groups}; {network['probes']} images)"


def why(run: Mapping, chosen: Mapping) -> str:
    """Why a network is chosen, in few words, for a caption: never more than validation people said."""
    if chosen["tied"]:
        return f"chosen on validation people (tied with {counted(chosen['tied'], 'other')}; {_decided(run, chosen)})"
    return f"chosen on validation people: {listed(chosen['because'])} there"


def weak_measures(run: Mapping) -> list[str]:
    """The objectives that are not reliable enough on the people of the search, with their reliability."""
    reliability = run["reliability"] or {"measures": {}}
    values = {name: of["value"] for name, of in reliability["measures"].items() if name in run["objectives"]}
    return [
        f"{spoken(name)} {two(value)}"
        for name, value in values.items()
        if value is not None and value < reliability["enough"]
    ]


def _unknown_measures(run: Mapping) -> list[str]:
    """The objectives of which the search could not tell how reliable they are on its people."""
    measures = (run["reliability"] or {"measures": {}})["measures"]
    return [spoken(name) for name, of in measures.items() if name in run["objectives"] and of["value"] is None]


def _undecided(run: Mapping, first: Mapping, best: Mapping) -> list[str]:
    """Why no choice is supported; nothing where one is."""
    if _apart(run, "better") or _apart(run, "worse"):
        return []
    reasons = ["each was trained once"] if best["seeds"] < 2 else []
    if first["tied"]:
        reasons.append(f"{first['tied'] + 1} of them tie on validation people")
    if weak := weak_measures(run):
        reasons.append(f"the search's people tell networks apart too poorly (reliability of {listed(weak)})")
    if unknown := _unknown_measures(run):
        reasons.append(f"how well the search's people tell networks apart in {listed(unknown)} was not estimated")
    return reasons


def _more(run: Mapping, first: Mapping) -> list[tuple[str, str]]:
    """What would support a choice."""
    seeds = max(3, 2 * run["standing"]["most"])
    steps = [("Train each network with more seeds", f"{run['commands']['retrain']} --seeds {seeds}")]
    if first["tied"] or weak_measures(run):
        command = f"dualfair train --faces MORE-FACES --out {shlex.quote(run['name'] + '-2')}"
        steps.append(("Import faces of more people, and begin with them", command))
    return steps


def _apart(run: Mapping, way: str) -> set[str]:
    """The networks that are better or worse than the first choice on test people, in some objective."""
    return {label for name in run["objectives"] for label in run["standing"][name][way]}


def _spread(run: Mapping, network: Mapping) -> str:
    """What the ± of a network is, with the single values where these are few."""
    n = network["seeds"]
    if n < 2:
        return "trained once, so without a spread"
    single = [
        f"{spoken(name)} {listed([decimals(value) for value in network['test'][name]['values']])}"
        for name in run["objectives"]
    ]
    return f"mean ± standard error of {n} trainings" + (f": {'; '.join(single)}" if n <= SINGLE else "")


def _by_group(run: Mapping, network: Mapping) -> str:
    """The error of every group, with its people, where there are several."""
    if len(network["groups"]) < 2:
        return ""
    people, parts = run["people"].get("test", {}), []
    for group in network["groups"]:
        n = people.get(group["group"])
        many = "" if n is None else f", {counted(n, 'person', 'people')}"
        parts.append(f"{group['group']} {with_error(group['error']['mean'], group['error']['se'])}{many}")
    few = [group["group"] for group in network["groups"] if people.get(group["group"], FEW_PEOPLE) < FEW_PEOPLE]
    weak = f"; too few to rely on below {FEW_PEOPLE} people a group ({listed(few)})" if few else ""
    return f"Error by group: {'; '.join(parts)}{weak}."


def _fared(run: Mapping) -> str:
    """Its place on test people among all that were trained, and which of them are apart from it."""
    standing, objectives = run["standing"], run["objectives"]
    if standing["of"] < 2:
        return ""
    places = []
    for name in objectives:
        place = standing[name]
        shared = f" (shared with {counted(place['shared'], 'other')})" if place["shared"] else ""
        places.append(f"{ordinal(place['place'])} of {standing['of']} in {spoken(name)}{shared}")
    begin = f"On test people it came {listed(places)}"
    unknown = max(standing[name]["unknown"] for name in objectives)
    if all(standing[name]["unknown"] == standing["of"] - 1 for name in objectives):
        return f"{begin}; without several trainings each, no difference between them can be told from luck."
    trainings = counted(standing["fewest"], "training")
    if standing["fewest"] < standing["most"]:
        trainings = f"{standing['fewest']} to {counted(standing['most'], 'training')}"
    apart = [
        f"in {spoken(name)} {len(labels)} {'is' if len(labels) == 1 else 'are'} {way} ({', '.join(labels)})"
        for name in objectives
        for way in ("better", "worse")
        if (labels := standing[name][way])
    ]
    differences = "none of the others is more than two standard errors of the difference away"
    if apart:
        differences = f"by more than two standard errors of the difference {'; '.join(apart)}"
    unsaid = f"; {unknown} cannot be compared, having no spread" if unknown else ""
    return f"{begin}; with {trainings} each, {differences}{unsaid}."


def _chosen(run: Mapping, chosen: Mapping, network: Mapping) -> str:
    """How validation people chose a network: by its values there, or, where these tie, not at all."""
    people, trained = run["people"].get("validation"), len(run["networks"])
    who = f"the {sum(people.values()):,} validation people" if people else "validation people"
    means = {name: network["validation"][name]["mean"] for name in run["objectives"]}
    values = ", ".join(f"{spoken(name)} {decimals(mean)}" for name, mean in means.items())
    if not chosen["tied"]:
        best = f", of {trained} trained from scratch the {listed(chosen['because'])} there" if trained > 1 else ""
        return f"It was chosen on {who} ({values}{best}); test people had no say."
    did = "made no mistake" if means.get("error") == 0 else "had the very same values"
    return (
        f"Test people had no say in the choice: {chosen['tied'] + 1} of {trained} networks {did} on {who} ({values}), "
        f"so these could not choose between them; the {_decided(run, chosen)} was taken."
    )


def _others(run: Mapping, networks: Mapping[str, Mapping]) -> list[str]:
    """What else may be taken, and for what."""
    sentences = []
    for other in run["choice"]["chosen"][1:]:
        text = f"For the {listed(other['because'])} there take {other['genotype']}"
        same = f"; {counted(other['tied'], 'other')} tied with it on validation people" if other["tied"] else ""
        sentences.append(f"{text} ({on_test_people(run, networks[other['genotype']])}){same}.")
    return sentences


def _decided(run: Mapping, chosen: Mapping) -> str:
    """What decided between networks that tie: the fewest multiply-accumulates, or names where these are unknown."""
    macs = next(network["macs"] for network in run["networks"] if network["genotype"] == chosen["genotype"])
    return "first by name" if macs is None else "smallest"
