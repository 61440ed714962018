"""Whether the cheap scores can be believed, in sentences that anybody can read."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.presentation.format import SUPERNET, capital, counted, listed, spoken, two, with_interval


def verdict(one: Mapping) -> str:
    """Where the interval of a measure's rank agreement lies: "above" 0, "below" it, "holds" it, or "undefined"."""
    if one["tau"] is None or one["low"] is None or one["high"] is None:
        return "undefined"
    return "above" if one["low"] > 0 else "below" if one["high"] < 0 else "holds"


def cheap(run: Mapping) -> tuple[str, list[str]]:
    """Headline and sentences on the ranking study: what the intervals of both measures allow to say."""
    found = run["ranking"]
    if found is None:
        return (
            "Whether the cheap scores can be believed is not known.",
            [f"No ranking study was made; {run['commands']['correlate']} does that."],
        )
    measures = list(found["measures"].values())
    drawn = " drawn at random" if found["sample"] == "random" else ""
    networks = counted(measures[0]["n"] if measures else 0, "network")
    said = [
        f"Cheap scores, which are measured with weights inherited from the supernet ({SUPERNET}) without training each "
        f"network, were held against {counted(found['seeds'], 'training')} from scratch of each of {networks}{drawn}."
    ]
    agreed = listed([f"{spoken(one['measure'])} {_agreement(one)}" for one in measures])
    text = f"Rank agreement on test people, 1 = same order, 0 = chance [95 % over networks]: {agreed}"
    most = [_most(one) for one in measures if one["ceiling"] is not None]
    text += f"; even an exact score could expect no more than {listed(most)}" if most else ""
    return _headline(measures), [*said, f"{text}."]


def _headline(measures: list[Mapping]) -> str:
    kinds: dict[str, list[Mapping]] = {"above": [], "below": [], "rest": []}
    for one in measures:
        kinds.get(verdict(one), kinds["rest"]).append(one)
    names = {kind: listed([spoken(one["measure"]) for one in own]) for kind, own in kinds.items()}
    parts = []
    if kinds["above"]:
        far = listed([two(one["tau"]) for one in kinds["above"]])
        parts.append(f"can be believed in {names['above']}, as far as a rank agreement of {far} goes")
    if kinds["below"]:
        parts.append(f"are misleading in {names['below']}: they rank networks the wrong way round")
    if kinds["rest"] or not parts:
        where = f" in {names['rest']}" if parts else ""
        parts.append(f"are not shown to rank networks better than chance{where}")
    return f"The cheap scores {'; they '.join(parts)}."


def concluded(one: Mapping) -> str:
    """What may be concluded of one measure: its numbers first, with how many networks they rest on."""
    p = "" if one["p"] is None else f", one-sided p = {one['p']:.2g}"
    measure, n = capital(spoken(one["measure"])), counted(one["n"], "network")
    text = f"{measure}: rank agreement (tau) {_agreement(one)} with n = {n}{p}"
    if one["ceiling"] is not None:
        text += f"; the truth's own ceiling is {_most(one)}"
    # The first conclusion tells where the interval lies, which is said here in plainer words.
    first = {
        "above": "The interval lies above 0: ranks better than chance",
        "below": "The interval lies below 0: ranks the wrong way round",
        "holds": "The interval includes chance (0), so nothing can be concluded",
        "undefined": f"Nothing can be concluded: {one['reason'] or 'the interval is undefined'}",
    }[verdict(one)]
    return f"{text}. {'; '.join([first, *one['conclusions'][1:]])}."


def _agreement(one: Mapping) -> str:
    return "undefined" if one["tau"] is None else with_interval(one["tau"], one["low"], one["high"], two)


def _most(one: Mapping) -> str:
    return with_interval(one["ceiling"], one["ceiling low"], one["ceiling high"], two)
