"""The sections of a run in the page: text, tables and figures, from its data alone."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.planning.report import duration
from dualfair.planning.spans import STUDY_WATTS
from dualfair.presentation.format import capital, compact, counted, listed, spoken, whole
from dualfair.reporting import charts, drawings
from dualfair.reporting.answer import why
from dualfair.reporting.captions import reported_front, scores_counted, untrained, who_is_drawn
from dualfair.reporting.html import bullets, figure, folded, image, lacks, paragraph, stated, table
from dualfair.reporting.ranking_words import concluded

LEAST_COUNTED = 3
"""Networks of a front without which a heat map of their operations says nothing."""
_RANKS = {
    "rank_disparity": ": the difference of their mean ranks, a rank being how many pictures of others lie nearer than "
    "the person's own (0 = found at once)",
}


def question(run: Mapping) -> str:
    """What was asked, of which faces and groups."""
    question = run["question"]
    groups = f" ({', '.join(question['groups'])})" if question["groups"] else ""
    networks = f"{question['networks']:,} networks" if question["networks"] else "networks"
    size = f" at {question['image_size']} px" if question["image_size"] else ""
    text = paragraph(
        f"Which of the {networks} of space {question['space']} recognises people well, and treats the groups of "
        f"'{question['group_column']}'{groups} alike?",
        "question",
    )
    disparity = spoken(run["disparity"])
    text += paragraph(
        "Error is the share of pictures whose nearest other picture shows somebody else. "
        f"{capital(disparity)} says how differently groups of people are recognised"
        f"{_RANKS.get(run['disparity'], '')}. Lower is better for both. Skeleton {question['skeleton']}{size}."
    )
    return text


def the_answer(run: Mapping) -> str:
    """The answer: what to take, whether the cheap scores can be believed, whether the front held."""
    parts = (run["answer"][name] for name in ("take", "cheap", "held"))
    return f'<div class="answer">{"".join(stated(part["headline"], part["sentences"]) for part in parts)}</div>'


def not_believe(run: Mapping) -> str:
    """What not to believe, and what could not be read."""
    text = bullets([*run["answer"]["not_believe"]])
    if run["problems"]:
        text += paragraph("Some files could not be read:") + bullets(run["problems"])
    return f'<div class="doubt">{text}</div>'


def front(run: Mapping) -> str:
    """The search's front with its scores, on fresh people, and the networks trained from scratch."""
    text, searched = "", run["front"]
    if searched is None:
        text += lacks("Nothing was searched yet, so there is no front.", run["commands"]["search"])
    elif not searched["front"]["rows"]:
        text += lacks("The search found no network with finite scores, so there is no front.")
    else:
        picture, left_out = charts.search_chart(run)
        text += figure(
            picture,
            f"{who_is_drawn(run)} {left_out}",
        )
        caption = "Networks of the search's front and of the front on fresh people [95 % over people]"
        text += table(searched["front"], caption if searched["confirmation"] else "Networks of the search's front")
        text += paragraph(untrained(run))
        if searched["confirmation"] is None:
            text += lacks("The front was not measured on fresh people; train with --confirm 0.5 and enough people.")
    if not run["networks"]:
        return text + lacks("No network was trained from scratch yet.", run["commands"]["retrain"])
    alone = all(network["seeds"] < 2 for network in run["networks"])
    bars = "One training each: no error bars." if alone else "Bars are ± one standard error over trainings."
    text += figure(charts.trained_chart(run), f"Trained from scratch, judged on test people. {bars}")
    chosen = {network["genotype"] for network in run["choice"]["chosen"]}
    text += table(
        run["network_table"],
        "Networks trained from scratch, by test error (± standard error over trainings, each with a seed of its own)",
        chosen,
    )
    text += paragraph("MACs: multiply-accumulates, the arithmetic that one picture takes.", "note")
    if not any("random" in network["samples"] for network in run["networks"]):
        text += lacks("No random networks were trained beside them.", f"{run['commands']['retrain']} --random 24")
    return text


def hypervolume(run: Mapping) -> str:
    """Hypervolume over evaluations."""
    if not run["hypervolume"] or run["hypervolume"]["trace"] is None:
        return lacks("There is no history of a search.", run["commands"]["search"])
    return figure(
        charts.trace_chart(run["hypervolume"]["trace"]),
        "Hypervolume (how much of the error-disparity plane the front covers) after so many networks scored, higher is "
        "better.",
    )


def usage(run: Mapping) -> str:
    """Operations and heads of the front against uniform choice."""
    if (counts := run["usage"]) is None:
        return lacks("There is no front whose operations could be counted.", run["commands"]["search"])
    n, which = counts["n"], reported_front(run)
    if n < LEAST_COUNTED:
        names = listed([row[0] for row in run["front"]["front"]["rows"] if which in row[1]]) if run["front"] else ""
        named = f" ({names})" if names else ""
        return paragraph(f"The {which} holds {counted(n, 'network')}{named}: too few to count their operations.")
    text = paragraph(
        f"{counted(n, 'network')} of the {which}. A cell says how many use the operation; blue is more than if "
        "operations were chosen alike, orange less."
        + (" So few networks say nothing about operations." if n < 10 else "")
    )
    places = f"Operations used by {counted(n, 'network')} of the {which}, by block and position"
    text += figure(
        drawings.heat_map(counts["operations"], places),
        "Operations by block and position; the digit before a name is the one that stands for it in a network's name.",
    )
    return text + figure(drawings.heat_map(counts["heads"], f"Heads used by the {which}"), "Heads.")


def updates(run: Mapping) -> str:
    """Counters of strict fairness."""
    if (totals := run["updates"]) is None:
        return lacks(
            "There is no readable checkpoint of the supernet, which holds the counters.",
            "dualfair train",
        )
    counts = (
        f"{totals['least']:,}" if totals["least"] == totals["most"] else f"{totals['least']:,} to {totals['most']:,}"
    )
    how = "exactly equally often" if totals["equal"] else "NOT equally often"
    text = paragraph(
        f"Every operation was trained {how}: {counts} updates each, {totals['skipped']:,} steps skipped, after "
        f"{totals['step']:,} of {totals['steps']:,} steps by sampler '{totals['sampler']}'. Counted while training, "
        "and kept in the supernet's checkpoint."
    )
    rows = {tuple(row[1:]) for row in totals["operations"]["rows"]}
    counters = table(totals["operations"], "Updates of the operations at each place")
    if len(rows) == 1:
        (choices, least, most, _), places = rows.pop(), len(totals["operations"]["rows"])
        counts = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        text += paragraph(f"At each of {counted(places, 'place')} all {choices} operations have {counts} updates.")
        counters = folded("The counters of every place", counters)
    each = {row[1] / totals["step"] for row in totals["heads"]["rows"]} if totals["step"] else set()
    often = f"; {each.pop():g} a step, as a step trains more paths than there are heads" if len(each) == 1 else ""
    return text + counters + table(totals["heads"], f"Updates of the heads{often}")


def ranking(run: Mapping) -> str:
    """Inherited against standalone scores."""
    if (study := run["ranking"]) is None:
        return lacks("Cheap and true scores were not compared.", run["commands"]["correlate"])
    chosen = "drawn at random" if study["sample"] == "random" else "all that were trained"
    ns = listed(sorted({f"n = {measure['n']}" for measure in study["measures"].values()}))
    text = figure(
        drawings.tau_bars(study["baselines"], "Kendall's tau of inherited scores and of baselines, with intervals"),
        f"How well cheap scores rank networks ({chosen}, {ns}, {counted(study['seeds'], 'training')} each) as "
        "training from scratch does: 1 = the same order, 0 = chance. Bars are 95 % over networks. The ceiling is "
        "what the exact truth would reach, since trainings and people blur the measured one.",
    )
    conclusions = [concluded(measure) for measure in study["measures"].values()]
    text += paragraph("What may be concluded from these networks:") + bullets(conclusions)
    text += table(study["table"], "Kendall's tau [95 % over networks] of every sample")
    if study["missing"] or study["left_out"]:
        text += paragraph(f"Not in it: {', '.join([*study['missing'], *study['left_out']])}.", "note")
    return text


def studies(run: Mapping) -> str:
    """What the studies that were made of the run tell."""
    if not run["studies"]:
        return lacks("No study was made of this run; 'dualfair --help' names them.")
    text = ""
    for study in run["studies"]:
        text += stated(study["question"], study["sentences"])
        for picture in study["figures"]:
            text += figure(image(picture["png"], picture["caption"]), f"{picture['caption']}.")
        text += "".join(table(content, content["caption"]) for content in study["tables"])
    return text


def groups(run: Mapping) -> str:
    """Error and rank of every group."""
    question = run["question"]
    people = question["people"]
    if people["rows"]:
        faces = f"the faces folder '{question['faces']}', groups by its column '{question['group_column']}'"
        text = table(people, f"People and images of {faces}; no person is in two splits")
    else:
        text = lacks(f"The faces '{question['faces']}' cannot be opened here, so numbers of people are not known.")
    if confirmed := run["front"] and run["front"]["confirmation"]:
        text += paragraph(
            f"On the confirmation people {counted(confirmed['candidates'], 'candidate')} of the search were measured; "
            "the best of them is again a choice among noisy scores.",
            "note",
        )
    if not run["group_table"]["rows"]:
        return text + lacks("No network was judged on test people yet.", run["commands"]["retrain"])
    chosen = {choice["genotype"] for choice in run["choice"]["chosen"]}
    text += table(run["group_table"], "Each group on test people (± standard error over trainings)", chosen)
    names = {row[1] for row in run["group_table"]["rows"]}
    if len(names) > 1:
        gap = "the mean ranks" if run["disparity"] == "rank_disparity" else "the groups"
        text += paragraph(
            "Disparity is the absolute gap in each training, then averaged over trainings; it can exceed the gap "
            f"between {gap} shown here.",
            "note",
        )
    return text + (lacks("There is one group only, so nothing can be compared.") if len(names) < 2 else "")


def architectures(run: Mapping) -> str:
    """Drawings of the chosen networks."""
    if not run["architectures"]:
        if run["choice"]["chosen"]:
            return lacks("The chosen networks have no blocks of the run's skeleton, or it cannot be opened.")
        return lacks("No network is chosen yet.", run["commands"]["retrain"])
    text = figure(drawings.legend(), "Below an operation: channels in to channels out, / groups.")
    because = {network["genotype"]: why(run, network) for network in run["choice"]["chosen"]}
    for network in run["architectures"]:
        text += figure(drawings.network_drawing(network), f"{network['genotype']}: {because[network['genotype']]}.")
    return text


def cost(run: Mapping) -> str:
    """What was spent, and what training every candidate from scratch would have cost."""
    costs = run["cost"]
    if costs is None or not costs["spent"]["rows"]:
        return lacks("No stage has recorded what it cost.")
    factors, machine = costs["factors"], run["question"]["machine"]
    text = paragraph(f"Made with {', '.join(f'{name} {value}' for name, value in machine.items())}.") if machine else ""
    text += table(costs["spent"], "Spent; a device hour is one device at work for an hour")
    text += paragraph(scores_counted(run), "note")
    gpu = " The power is the factor of a GPU; a CPU takes less." if factors["watts"] == STUDY_WATTS else ""
    text += paragraph(
        f"Energy at {factors['watts']:g} W a device and {factors['kg_per_kwh']:g} kg CO2eq a kWh: factors, not "
        f"measured.{gpu} FLOPs by formula, a dash where not known; those of the search as if no beginnings were "
        "shared, which is more than was done.",
        "note",
    )
    if costs["instead"] is None:
        return text + lacks("What a training from scratch takes was not measured.", run["commands"]["retrain"])
    title = f"Instead: training from scratch, once each, {duration(costs['seconds_each'])} a training"
    text += table(costs["instead"], f"{title} (mean of {whole(costs['trainings'])})")
    if costs["supernet_hours"]:
        text += paragraph(f"Train and search together took {compact(costs['supernet_hours'])} device hours.")
    return text


def limits(run: Mapping) -> str:
    """Limits and ethics."""
    people = run["people"].get("test", {})
    n = f" Test people: {', '.join(f'{group} {count:,}' for group, count in people.items())}." if people else ""
    return bullets(
        [
            f"Groups are labels in the data, of the column '{run['question']['group_column']}'; whoever gave them can "
            f"be wrong.{n}",
            "A small gap between these groups says nothing about groups that are not in the data, nor about a "
            "deployment.",
            "Error and rank measures grow with the number of people in a gallery; compare them at equal numbers only.",
            "That a network treats the groups of a test set alike does not make face recognition appropriate for a "
            "purpose.",
        ]
    )
