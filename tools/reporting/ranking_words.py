"""Whether the cheap scores can be believed, in sentences that anybody can read."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.presentation.format import SUPERNET, capital, counted, listed, spoken, two, with_interval
from dualfair.reporting.statements import CONTRADICTED, NOT_SHOWN, PARTLY, SHOWN, UNKNOWN, statement


def verdict(measure: Mapping) -> str:
    """Where the interval of a measure's rank agreement lies: "above" 0, "below" it, "holds" it, or "undefined"."""
    if measure["tau"] is None or measure["low"] is None or measure["high"] is None:
        return "undefined"
    return "above" if measure["low"] > 0 else "below" if measure["high"] < 0 else "holds"


def cheap(run: Mapping) -> dict:
    """The statement on the ranking study: what the intervals of its measures allow to say."""
    study = run["ranking"]
    if study is None:
        headline = "Whether the cheap scores can be believed is not known."
        return statement(
            headline, UNKNOWN, ["No ranking study was made."], [("Make one", run["commands"]["correlate"])]
        )
    measures = list(study["measures"].values())
    drawn = " drawn at random" if study["sample"] == "random" else ""
    networks = counted(measures[0]["n"] if measures else 0, "network")
    sentences = [
        f"Cheap scores, which are measured with weights inherited from the supernet ({SUPERNET}) without training each "
        f"network, were held against {counted(study['seeds'], 'training')} from scratch of each of {networks}{drawn}."
    ]
    agreed = listed([f"{spoken(measure['measure'])} {_agreement(measure)}" for measure in measures])
    text = f"Rank agreement on test people, 1 = same order, 0 = chance [95 % over networks]: {agreed}"
    most = [_most(measure) for measure in measures if measure["ceiling"] is not None]
    text += f"; even an exact score could expect no more than {listed(most)}" if most else ""
    headline, certainty = _headline(measures)
    commands, steps = run["commands"], []
    if certainty != SHOWN:
        steps.append(("Train more networks", f"{commands['retrain']} --random 24 --seeds 3"))
        steps.append(("Hold the scores against them again", commands["correlate"]))
    return statement(headline, certainty, [*sentences, f"{text}."], steps)


def _headline(measures: list[Mapping]) -> tuple[str, str]:
    """What can be believed, and how certainly."""
    kinds: dict[str, list[Mapping]] = {"above": [], "below": [], "rest": []}
    for measure in measures:
        kinds.get(verdict(measure), kinds["rest"]).append(measure)
    names = {kind: listed([spoken(measure["measure"]) for measure in of_kind]) for kind, of_kind in kinds.items()}
    parts = []
    if kinds["above"]:
        far = listed([two(measure["tau"]) for measure in kinds["above"]])
        parts.append(f"can be believed in {names['above']}, as far as a rank agreement of {far} goes")
    if kinds["below"]:
        parts.append(f"are misleading in {names['below']}: they rank networks the wrong way round")
    if kinds["rest"] or not parts:
        where = f" in {names['rest']}" if parts else ""
        parts.append(f"are not shown to rank networks better than chance{where}")
    certainty = NOT_SHOWN if not kinds["below"] else CONTRADICTED
    if kinds["above"]:
        certainty = SHOWN if len(kinds["above"]) == len(measures) else PARTLY
    return f"The cheap scores {'; they '.join(parts)}.", certainty


def concluded(measure: Mapping) -> str:
    """What may be concluded of one measure: its numbers first, with how many networks they rest on."""
    p = "" if measure["p"] is None else f", one-sided p = {measure['p']:.2g}"
    title, n = capital(spoken(measure["measure"])), counted(measure["n"], "network")
    text = f"{title}: rank agreement (tau) {_agreement(measure)} with n = {n}{p}"
    if measure["ceiling"] is not None:
        text += f"; the truth's own ceiling is {_most(measure)}"
    # The first conclusion tells where the interval lies, which is said here in plainer words.
    first = {
        "above": "The interval lies above 0: ranks better than chance",
        "below": "The interval lies below 0: ranks the wrong way round",
        "holds": "The interval includes chance (0), so nothing can be concluded",
        "undefined": f"Nothing can be concluded: {measure['reason'] or 'the interval is undefined'}",
    }[verdict(measure)]
    return f"{text}. {'; '.join([first, *measure['conclusions'][1:]])}."


def _agreement(measure: Mapping) -> str:
    return (
        "undefined" if measure["tau"] is None else with_interval(measure["tau"], measure["low"], measure["high"], two)
    )


def _most(measure: Mapping) -> str:
    return with_interval(measure["ceiling"], measure["ceiling low"], measure["ceiling high"], two)
