"""What the numbers of a run do not show, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.presentation.format import FEW_PEOPLE, decimals, listed, spoken, two


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
    others = standing["of"] - 1
    alike = [
        f"{others - len(of['better']) - len(of['worse'])} of {others} others in {name}"
        for name, of in (("error", standing["error"]), (spoken(run["disparity"]), standing["disparity"]))
        if len(of["better"]) + len(of["worse"]) < others
    ]
    if not alike:
        return []
    return [
        f"That {first} is better or worse than these, which test people do not tell from it: {' and '.join(alike)}."
    ]


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
    reliability = run["reliability"]
    if not reliability:
        return []
    weak = [
        f"{spoken(name)} {two(reliability['measures'][name]['value'])}"
        for name in ("error", run["disparity"])
        if name in reliability["measures"] and (reliability["measures"][name]["value"] or 0) < reliability["enough"]
    ]
    if not weak:
        return []
    return [
        f"Differences that the search saw between networks: reliability on its people is {listed(weak)}, "
        f"{reliability['enough']:g} is needed (0 = depends entirely on which people, 1 = not at all)."
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
