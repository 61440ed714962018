"""The answer of a run in three sentences: made of the numbers of its sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dualfair.presentation.format import (
    FEW_PEOPLE,
    FRONT,
    counted,
    decimals,
    listed,
    number,
    ordinal,
    spoken,
    with_error,
    with_interval,
)
from dualfair.reporting.doubts import not_believe
from dualfair.reporting.ranking_words import cheap
from dualfair.runs.records.search import SearchReliability
from dualfair.runs.run_files import RunFiles

BETTER = "better than chance"
"""The verdict of a confirmation on a network that random ones do not match."""
NEEDED = 0.05
"""The p from which on random networks are beaten."""
SINGLE = 3
"""Up to so many trainings their single values stand beside the mean."""


def answer(run: Mapping) -> dict:
    """{"take", "cheap", "held": {"headline", "sentences", "details": these joined}, "not_believe": sentences}."""
    parts = {"take": _take(run), "cheap": cheap(run), "held": _held(run)}
    joined = {
        name: {"headline": headline, "sentences": sentences, "details": " ".join(sentences)}
        for name, (headline, sentences) in parts.items()
    }
    return {**joined, "not_believe": not_believe(run)}


def reliability_of(files: RunFiles) -> dict | None:
    """The reliability of both objectives on the search's people: {"enough", "measures": {name: value, low, high}}."""
    reliability = files.record(SearchReliability, files.layout.search.reliability)
    if reliability is None:
        return None
    measures = {
        name: {"value": number(measure.reliability), "low": number(measure.low), "high": number(measure.high)}
        for name, measure in reliability.measures.items()
    }
    return {"enough": number(reliability.enough), "measures": measures}


def on_test_people(run: Mapping, network: Mapping) -> str:
    """Error and disparity of a network on test people, in words with standard errors."""
    error, disparity = (network["test"][name] for name in ("error", "disparity"))
    return (
        f"error {with_error(error['mean'], error['se'])} and {spoken(run['disparity'])} "
        f"{with_error(disparity['mean'], disparity['se'])}"
    )


def tested_on(run: Mapping, network: Mapping) -> str:
    """What a network was tested on: people by group, and images."""
    people = run["people"].get("test")
    who = f"{network['probes']} images"
    if people:
        groups = ", ".join(f"{group} {n:,}" for group, n in people.items())
        who = f"{counted(sum(people.values()), 'test person', 'test people')} ({groups}; {who})"
    return who


def why(run: Mapping, chosen: Mapping) -> str:
    """Why a network is chosen, in few words, for a caption: never more than validation people said."""
    if chosen["tied"]:
        return f"chosen on validation people (tied with {counted(chosen['tied'], 'other')}; {_decided(run, chosen)})"
    return f"chosen on validation people: {listed(chosen['because'])} there"


def _take(run: Mapping) -> tuple[str, list[str]]:
    networks = {network["genotype"]: network for network in run["networks"]}
    if not run["choice"]["chosen"]:
        return (
            "No network can be recommended yet.",
            [f"None was trained from scratch and judged on test people; {run['commands']['retrain']} does that."],
        )
    first, *others = run["choice"]["chosen"]
    best = networks[first["genotype"]]
    sentences = [f"On {tested_on(run, best)} it has {on_test_people(run, best)} ({_spread(run, best)})."]
    sentences += [_by_group(run, best), _fared(run), _chosen(run, first, best)]
    for other in others:
        named = networks[other["genotype"]]
        text = f"For the {listed(other['because'])} there take {other['genotype']} ({on_test_people(run, named)})"
        same = f"; {counted(other['tied'], 'other')} tied with it on validation people" if other["tied"] else ""
        sentences.append(f"{text}{same}.")
    return f"Take {first['genotype']}.", [text for text in sentences if text]


def _spread(run: Mapping, network: Mapping) -> str:
    """What the ± of a network is, with the single values where these are few."""
    n = network["seeds"]
    if n < 2:
        return "trained once, so without a spread"
    text = f"mean ± standard error of {n} trainings"
    if n > SINGLE:
        return text
    named = (("error", "error"), ("disparity", spoken(run["disparity"])))
    single = [
        f"{name} {listed([decimals(value) for value in network['test'][measure]['values']])}" for measure, name in named
    ]
    return f"{text}: {'; '.join(single)}"


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
    standing = run["standing"]
    if standing is None or standing["of"] < 2:
        return ""
    named = [("error", "error"), ("disparity", spoken(run["disparity"]))]
    places = []
    for measure, name in named:
        place = standing[measure]
        shared = f" (shared with {counted(place['shared'], 'other')})" if place["shared"] else ""
        places.append(f"{ordinal(place['place'])} of {standing['of']} in {name}{shared}")
    begin = f"On test people it came {' and '.join(places)}"
    if all(standing[measure]["unknown"] == standing["of"] - 1 for measure, _ in named):
        return f"{begin}; without several trainings each, no difference between them can be told from luck."
    trainings = counted(standing["fewest"], "training")
    if standing["fewest"] < standing["most"]:
        trainings = f"{standing['fewest']} to {counted(standing['most'], 'training')}"
    apart = [
        f"in {name} {len(place[way])} {'is' if len(place[way]) == 1 else 'are'} {way} ({', '.join(place[way])})"
        for measure, name in named
        for place in [standing[measure]]
        for way in ("better", "worse")
        if place[way]
    ]
    unknown = max(standing[measure]["unknown"] for measure, _ in named)
    unsaid = f"; {unknown} cannot be compared, having no spread" if unknown else ""
    if not apart:
        differences = "none of the others is more than two standard errors of the difference away"
    else:
        differences = f"by more than two standard errors of the difference {'; '.join(apart)}"
    return f"{begin}; with {trainings} each, {differences}{unsaid}."


def _chosen(run: Mapping, chosen: Mapping, network: Mapping) -> str:
    """How validation people chose a network: by its values there, or, where these tie, not at all."""
    people, trained = run["people"].get("validation"), len(run["networks"])
    who = f"the {sum(people.values()):,} validation people" if people else "validation people"
    error, disparity = (network["validation"][name]["mean"] for name in ("error", "disparity"))
    values = f"error {decimals(error)}, {spoken(run['disparity'])} {decimals(disparity)}"
    if not chosen["tied"]:
        best = f", of {trained} trained from scratch the {listed(chosen['because'])} there" if trained > 1 else ""
        return f"It was chosen on {who} ({values}{best}); test people had no say."
    did = "made no mistake" if error == 0 else "had the very same values"
    return (
        f"Test people had no say in the choice: {chosen['tied'] + 1} of {trained} networks {did} on {who} ({values}), "
        f"so these could not choose between them; the {_decided(run, chosen)} was taken."
    )


def _decided(run: Mapping, chosen: Mapping) -> str:
    """What decided between networks that tie: the fewest multiply-accumulates, or names where these are unknown."""
    macs = next(network["macs"] for network in run["networks"] if network["genotype"] == chosen["genotype"])
    return "first by name" if macs is None else "smallest"


def _held(run: Mapping) -> tuple[str, list[str]]:
    front = run["front"]
    if front is None:
        return "Nothing was searched yet.", [f"{run['commands']['search']} does that."]
    fresh = front["confirmation"]
    if fresh is None:
        return "Whether the search's front holds is not known.", ["It was not measured on people it has not seen."]
    held = {0: "did not hold", fresh["of"]: "held"}.get(fresh["survived"], "held in part")
    better = [spoken(chance["objective"]) for chance in fresh["against random"] if chance["verdict"] == BETTER]
    random = f"beats random networks in {listed(better)}" if better else "is not shown to beat random networks"
    moved = [
        f"in {spoken(chance['objective'])} {chance['genotype']} went from its search score "
        f"{decimals(chance['before'])} to its fresh score "
        f"{with_interval(chance['value'], chance['low'], chance['high'])}"
        for chance in fresh["against random"]
    ]
    sentences = [
        f"{fresh['survived']} of its {counted(fresh['of'], 'network')} stayed on the front ({FRONT}) when measured on "
        f"{counted(fresh['people'], 'person', 'people')} ({fresh['images']:,} images) that the search has not seen."
    ]
    if moved:
        sentences.append(f"Of the networks that the search had put first, {'; '.join(moved)}.")
        sentences.append(_against_random(fresh["against random"]))
    return f"The search's front {held} on fresh people, and {random}.", sentences


def _against_random(chances: Sequence[Mapping]) -> str:
    """How many random networks do as well, each finding said once for all measures that share it."""
    shared: dict[str, list[str]] = {}
    for chance in chances:
        shared.setdefault(_as_good(chance), []).append(spoken(chance["objective"]))
    return " ".join(f"In {listed(names)}, {text}." for text, names in shared.items())


def _as_good(chance: Mapping) -> str:
    begin = f"{chance['as_good']} of {counted(chance['random'], 'random network')} were as good"
    if chance["p"] is None:
        return f"{begin}, as its fresh score is undefined"
    if chance["as_good"] == 0 and chance["verdict"] != BETTER and chance["p"] > NEEDED:
        return (
            f"{begin}, but {chance['random']} are too few for proof (p = {decimals(chance['p'])}; {NEEDED:g} is needed)"
        )
    verdict = "better than chance" if chance["verdict"] == BETTER else "not shown to be better than chance"
    return f"{begin}: {verdict} (p = {decimals(chance['p'])}; {NEEDED:g} is needed)"
