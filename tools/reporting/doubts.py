"""What the numbers of a run do not show, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.presentation.format import FEW_PEOPLE, decimals, listed, spoken
from dualfair.reporting.choice import weak_measures


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
