"""The answer of a run in three sentences, and what not to believe: made of the numbers of its sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.reporting.run_files import RunFiles, number
from tools.reporting.words import counted, decimals, listed, spoken, two, with_error, with_interval

BETTER = "better than chance"
"""The verdict of a confirmation on a network that random ones do not match."""
FEW_PEOPLE = 30
"""Below so many test people of a group its numbers are said to rest on few."""


def answer(run: Mapping) -> dict:
    """{"take", "cheap", "held": {"headline", "details"}, "not_believe": sentences}, of a run's other data."""
    found = {"take": _take(run), "cheap": _cheap(run), "held": _held(run)}
    said = {name: dict(zip(("headline", "details"), words, strict=True)) for name, words in found.items()}
    return {**said, "not_believe": not_believe(run)}


def reliability_of(run: RunFiles) -> dict | None:
    """The reliability of both objectives on the search's people: {"enough", "measures": {name: value, low, high}}."""
    found = run.json("search/reliability.json")
    if found is None:
        return None
    measures = {
        str(name): {
            part: number(one[key]) for part, key in (("value", "reliability"), ("low", "low"), ("high", "high"))
        }
        for name, one in found["measures"].items()
    }
    return {"enough": number(found["enough"]), "measures": measures}


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


def _take(run: Mapping) -> tuple[str, str]:
    networks = {one["genotype"]: one for one in run["networks"]}
    if not run["choice"]["chosen"]:
        return (
            "No network can be recommended yet.",
            f"None was trained from scratch and judged on test people; {run['commands']['retrain']} does that.",
        )
    first, *others = run["choice"]["chosen"]
    network = networks[first["genotype"]]
    tied = run["choice"]["tied"]
    equals = f", as have {counted(tied, 'other')} with the very same values; it is the smallest" if tied else ""
    once = "trained once, so without a spread"
    spread = f"mean ± standard error of {network['seeds']} trainings" if network["seeds"] > 1 else once
    text = (
        f"On {tested_on(run, network)} it has {on_test_people(run, network)} ({spread}). Test people had no say in the "
        f"choice: of {counted(len(networks), 'network')} trained from scratch it has the {listed(first['because'])} on "
        f"validation people{equals}"
    )
    for other in others:
        named = networks[other["genotype"]]
        text += f"; for the {listed(other['because'])} take {other['genotype']} ({on_test_people(run, named)})"
    return f"Take {first['genotype']}.", f"{text}."


def _cheap(run: Mapping) -> tuple[str, str]:
    found = run["ranking"]
    if found is None:
        return (
            "Whether the cheap scores can be believed is not known.",
            f"No ranking study was made; {run['commands']['correlate']} does that.",
        )
    measures = list(found["measures"].values())
    told = [one for one in measures if one["low"] is not None and one["low"] > 0]
    parts = []
    for one in measures:
        tau = "undefined" if one["tau"] is None else with_interval(one["tau"], one["low"], one["high"], two)
        most = "" if one["ceiling"] is None else f", of at most {two(one['ceiling'])}"
        parts.append(f"{spoken(one['measure'])} {tau}{most}")
    if not told:
        headline = "The cheap scores cannot be believed: they are not shown to rank networks better than chance."
    elif len(told) < len(measures):
        headline = f"The cheap scores can be believed for {listed([spoken(one['measure']) for one in told])} only."
    else:
        headline = "The cheap scores rank networks better than chance."
    chosen = " drawn at random" if found["sample"] == "random" else ""
    networks = counted(measures[0]["n"] if measures else 0, "network")
    return headline, (
        f"Kendall's tau on test people, with 95 % intervals over {networks}{chosen}, {counted(found['seeds'], 'seed')} "
        f"each: {'; '.join(parts)}."
    )


def _held(run: Mapping) -> tuple[str, str]:
    front = run["front"]
    if front is None:
        return "Nothing was searched yet.", f"{run['commands']['search']} does that."
    fresh = front["confirmation"]
    if fresh is None:
        return "Whether the search's front holds is not known.", "It was not measured on people it has not seen."
    held = {0: "did not hold", fresh["of"]: "held"}.get(fresh["survived"], "held in part")
    better = [spoken(one["objective"]) for one in fresh["against random"] if one["verdict"] == BETTER]
    random = f"beats random networks in {listed(better)}" if better else "is not shown to beat random networks"
    parts = [
        f"best {spoken(one['objective'])} {with_interval(one['value'], one['low'], one['high'])}, matched by "
        f"{one['as_good']} of {one['random']} random subnets ({one['verdict']})"
        for one in fresh["against random"]
    ]
    return f"The search's front {held} on fresh people, and {random}.", (
        f"{fresh['survived']} of its {counted(fresh['of'], 'network')} stayed on the front on "
        f"{counted(fresh['people'], 'person', 'people')} ({fresh['images']:,} images) that the search has not seen; "
        f"{'; '.join(parts)}."
    )


def not_believe(run: Mapping) -> list[str]:
    """What the numbers of a run do not show, most important first; each sentence with the numbers that say so."""
    return [text for text in (*_choice(run), *_search_scores(run), *_measures(run), *_people(run)) if text]


def _choice(run: Mapping) -> list[str]:
    """Is the first choice better than the others?"""
    if not run["choice"]["chosen"]:
        return []
    networks = {one["genotype"]: one for one in run["networks"]}
    first = networks[run["choice"]["chosen"][0]["genotype"]]
    others = [one for one in run["networks"] if one is not first]
    said = []
    if first["seeds"] < 2:
        said.append("That the order of networks would come out alike again: each was trained once.")
    for measure, name in (("error", "error"), ("disparity", spoken(run["disparity"]))):
        alike = [one for one in others if not _apart(first["test"][measure], one["test"][measure])]
        if alike and first["seeds"] > 1:
            said.append(
                f"That {first['genotype']} differs from the rest in {name}: on test people {len(alike)} of "
                f"{len(others)} others lie within two standard errors of the difference."
            )
    if run["choice"]["tied"]:
        said.append(
            f"That validation people told it from all others: {run['choice']['tied']} of them have the very same "
            "validation values, and the fewest multiply-accumulates decided."
        )
    return said


def _search_scores(run: Mapping) -> list[str]:
    fresh = run["front"] and run["front"]["confirmation"]
    if not run["front"]:
        return []
    if not fresh:
        return ["The search's own scores: the best of many noisy scores is partly luck."]
    moves = [
        f"{spoken(name)} went from {decimals(both['search front'][0])} to {decimals(both['search front'][1])} (random "
        f"subnets: {decimals(both['random subnets'][0])} to {decimals(both['random subnets'][1])})"
        for name, both in fresh["means"].items()
    ]
    return [f"The search's own scores of its front: on fresh people mean {' and mean '.join(moves)}."]


def _measures(run: Mapping) -> list[str]:
    found = run["reliability"]
    if not found:
        return []
    weak = [
        f"{spoken(name)} {two(found['measures'][name]['value'])}"
        for name in ("error", run["disparity"])
        if name in found["measures"] and (found["measures"][name]["value"] or 0) < found["enough"]
    ]
    if not weak:
        return []
    return [
        f"Differences that the search saw between networks: reliability on its people is {listed(weak)}, "
        f"{found['enough']:g} is needed (1 = which people does not matter)."
    ]


def _people(run: Mapping) -> list[str]:
    said = ["That ± covers the choice of people: it covers repeated training only. Other people give other numbers."]
    few = [f"{group} {n}" for group, n in run["people"].get("test", {}).items() if n < FEW_PEOPLE]
    if few:
        said.append(f"Anything on a group that rests on fewer than {FEW_PEOPLE} test people: {listed(few)}.")
    said.append("Anything about people or groups that are not in these faces.")
    return said


def _apart(one: Mapping, other: Mapping) -> bool:
    """Whether two means differ by more than two standard errors of their difference."""
    if None in (one["mean"], other["mean"], one["se"], other["se"]):
        return False
    return abs(one["mean"] - other["mean"]) > 2 * (one["se"] ** 2 + other["se"] ** 2) ** 0.5


def compared(runs: Sequence[Mapping]) -> dict:
    """The comparison of several runs as a table: of each its first choice, and what to make of it."""
    from tools.reporting.table import column, table

    columns = [column("name", "text"), column("take", "text"), column("test error", spread="test error SE")]
    columns += [column("test error SE"), column("test disparity", spread="test disparity SE")]
    columns += [column("test disparity SE"), column("disparity measure", "text"), column("seeds", "whole")]
    columns += [column("test people", "whole"), column("tau of error", "tau", low="tau low", high="tau high")]
    columns += [
        column("tau low", "tau"),
        column("tau high", "tau"),
        column("held", "text"),
        column("device hours", "compact"),
    ]
    rows = []
    for run in runs:
        networks = {one["genotype"]: one for one in run["networks"]}
        first = run["choice"]["chosen"][0]["genotype"] if run["choice"]["chosen"] else None
        network = networks.get(first)
        values = [
            network["test"][m][part] if network else None for m in ("error", "disparity") for part in ("mean", "se")
        ]
        ranked = (run["ranking"] or {}).get("measures", {}).get("error", {})
        fresh = run["front"] and run["front"]["confirmation"]
        spent = run["cost"]["spent"]["rows"] if run["cost"] else []
        people = run["people"].get("test")
        rows.append(
            [
                *(run["name"], first, *values, run["disparity"], network["seeds"] if network else None),
                *(sum(people.values()) if people else None, *(ranked.get(part) for part in ("tau", "low", "high"))),
                *(f"{fresh['survived']} of {fresh['of']}" if fresh else None, spent[-1][2] if spent else None),
            ]
        )
    return table(columns, rows)
