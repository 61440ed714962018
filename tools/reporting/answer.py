"""The answer of a run: which network to take, whether cheap scores rank as training does, whether the front held; and
what the numbers do not show."""

from collections.abc import Mapping, Sequence

from dualfair.presentation.format import FEW_PEOPLE, FRONT, counted, decimals, listed, number, spoken, with_interval
from dualfair.reporting.choice import take, weak_measures
from dualfair.reporting.ranking import cheap
from dualfair.reporting.statements import NOT_SHOWN, PARTLY, SHOWN, UNKNOWN, statement
from dualfair.runs.records.search import SearchReliability
from dualfair.runs.run_files import RunFiles

BETTER = "better than chance"
"""The verdict of a confirmation on a network that random ones do not match."""
NEEDED = 0.05
"""The p from which on random networks are beaten."""


def answer(run: Mapping) -> dict:
    """{"take", "cheap", "held": statements (`statements`), "not_believe": sentences}."""
    return {"take": take(run), "cheap": cheap(run), "held": held(run), "not_believe": not_believe(run)}


def reliability_of(files: RunFiles) -> dict | None:
    """The reliability of the objectives on the search's people: {"enough", "measures": {name: value, low, high}}."""
    reliability = files.record(SearchReliability, files.layout.search.reliability)
    if reliability is None:
        return None
    measures = {
        name: {"value": number(measure.reliability), "low": number(measure.low), "high": number(measure.high)}
        for name, measure in reliability.measures.items()
    }
    return {"enough": number(reliability.enough), "measures": measures}


def held(run: Mapping) -> dict:
    """The statement on whether the search's front holds on people that the search has not seen."""
    front, again = run["front"], ("Keep people to confirm the front", "dualfair train --confirm 0.5")
    if front is None:
        return statement("Nothing was searched yet.", UNKNOWN, [], [("Search", run["commands"]["search"])])
    fresh = front["confirmation"]
    if fresh is None:
        sentences = ["It was not measured on people it has not seen."]
        return statement("Whether the search's front holds is not known.", UNKNOWN, sentences, [again])
    holds = {0: "did not hold", fresh["of"]: "held"}.get(fresh["survived"], "held in part")
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
    whole, none = holds == "held" and better, holds == "did not hold" and not better
    certainty = SHOWN if whole else NOT_SHOWN if none else PARTLY
    return statement(f"The search's front {holds} on fresh people, and {random}.", certainty, sentences)


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
    p = f"(p = {decimals(chance['p'])}; {NEEDED:g} is needed)"
    if chance["as_good"] == 0 and chance["verdict"] != BETTER and chance["p"] > NEEDED:
        return f"{begin}, but {chance['random']} are too few for proof {p}"
    return f"{begin}: {BETTER if chance['verdict'] == BETTER else f'not shown to be {BETTER}'} {p}"


def not_believe(run: Mapping) -> list[str]:
    """What the numbers of a run do not show, most important first; each sentence with the numbers that say so."""
    return [text for text in (*_choice(run), *_search_scores(run), *_measures(run), *_people(run)) if text]


def _choice(run: Mapping) -> list[str]:
    """Is the first choice better than the others?"""
    if not run["choice"]["chosen"]:
        return []
    first, standing = run["choice"]["chosen"][0]["genotype"], run["standing"]
    if standing["most"] < 2:
        return ["That the order of networks would come out alike again: each was trained once."]
    others, alike = standing["of"] - 1, []
    for name in run["objectives"]:
        apart = len(standing[name]["better"]) + len(standing[name]["worse"])
        if apart < others:
            alike.append(f"{others - apart} of {others} others in {spoken(name)}")
    if not alike:
        return []
    return [f"That {first} is better or worse than these, which test people do not tell from it: {listed(alike)}."]


def _search_scores(run: Mapping) -> list[str]:
    fresh = run["front"] and run["front"]["confirmation"]
    if not run["front"]:
        return []
    if not fresh:
        return ["The search's own scores: the best of many noisy scores is partly luck."]
    moves = [
        f"{spoken(name)} went from {decimals(both['search front'][0])} to {decimals(both['search front'][1])} (random "
        f"networks: {decimals(both['random subnets'][0])} to {decimals(both['random subnets'][1])})"
        for name, both in fresh["means"].items()
    ]
    return [f"The search's own scores of its front: on fresh people mean {' and mean '.join(moves)}."]


def _measures(run: Mapping) -> list[str]:
    if not (weak := weak_measures(run)):
        return []
    return [
        f"Differences that the search saw between networks: reliability on its people is {listed(weak)}, "
        f"{run['reliability']['enough']:g} is needed (0 = depends entirely on which people, 1 = not at all)."
    ]


def _people(run: Mapping) -> list[str]:
    sentences = [
        "That ± covers the choice of people: it covers repeated training only. Other people give other numbers."
    ]
    few = [f"{group} {n}" for group, n in run["people"].get("test", {}).items() if n < FEW_PEOPLE]
    text = "Anything about people or groups that are not in these faces"
    if few:
        text += f", or about a group that rests on fewer than {FEW_PEOPLE} test people: {listed(few)}"
    return [*sentences, f"{text}."]
