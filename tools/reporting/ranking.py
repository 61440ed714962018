"""Inherited against standalone scores: the numbers of `dualfair correlate`, and whether the cheap scores can be
believed, in sentences that anybody can read."""

from collections.abc import Mapping

from dualfair.evaluation.ranking_study import MeasureStudy
from dualfair.presentation.figures import CEILING
from dualfair.presentation.format import SUPERNET, capital, counted, listed, number, spoken, two, with_interval
from dualfair.presentation.table import Column, Table, interval_columns, table
from dualfair.reporting.statements import CONTRADICTED, NOT_SHOWN, PARTLY, SHOWN, UNKNOWN, statement
from dualfair.runs.records.ranking import RankingStudy, TableStudy
from dualfair.runs.run_files import RunFiles

OURS = "inherited score"
"""What the rows of our own score are called."""
LEAST = 3
"""Networks without which no correlation is defined."""


def ranking_section(files: RunFiles) -> dict | None:
    """The ranking study of a run, None where there is none.

    {"networks", "seeds", "sample": the networks that the answer rests on ("random", the honest ones, where there are
    three or more, else "all"), "measures": its numbers on test people, "table": all samples, splits and measures,
    "baselines": a table of what ranks beside the inherited score, "missing", "left_out"}. Raises KeyError where the
    study is not of test people.
    """
    study = files.record(RankingStudy, files.layout.correlate.ranking)
    if study is None:
        return None
    samples = study.studies["test identities"].samples
    sample = "random" if "random" in samples and samples["random"].n >= LEAST else "all"
    return {
        "networks": len(study.networks),
        "seeds": study.seeds,
        "sample": sample,
        "measures": {name: _measure(name, measure) for name, measure in samples[sample].measures.items()},
        "table": _table(study.studies),
        "baselines": _baselines(samples[sample].measures),
        "missing": list(study.missing),
        "left_out": list(study.left_out),
    }


def _measure(name: str, study: MeasureStudy) -> dict:
    """The numbers of a measure that sentences are made of."""
    correlation, ceiling = study.correlation, study.ceiling.truth
    low, high = correlation.interval or (None, None)
    lowest, highest = ceiling.interval or (None, None)
    return {
        "measure": name,
        "n": study.n,
        "tau": number(correlation.tau),
        "low": number(low),
        "high": number(high),
        "p": number(study.p),
        "ceiling": number(ceiling.tau),
        "ceiling low": number(lowest),
        "ceiling high": number(highest),
        "reason": correlation.reason,
        "conclusions": [spoken(text) for text in study.conclusions],
    }


_SIZES = {"params": "parameters", "macs": "multiply-accumulates"}
_SHOWN = ("n", "tau", "low", "high", "p", "ceiling", "ceiling low", "ceiling high")


def _table(studies: Mapping[str, TableStudy]) -> Table:
    columns = [*(Column(name, "text") for name in ("networks chosen", "people", "measure")), Column("n", "whole")]
    columns += [*interval_columns("tau", "tau"), Column("p, one-sided"), *interval_columns("ceiling", "tau")]
    rows = []
    for people, study in studies.items():
        for sample, of_sample in study.samples.items():
            for name, measure in of_sample.measures.items():
                numbers = _measure(name, measure)
                who = people.replace("identities", "people")
                rows.append([sample, who, spoken(name), *(numbers[part] for part in _SHOWN)])
    return table(columns, rows, "Kendall's tau [95 % over networks] of every sample")


def _baselines(measures: Mapping[str, MeasureStudy]) -> Table:
    columns = [Column("measure", "text"), Column("ranked by", "text"), *interval_columns("tau", "tau")]
    rows = []
    for name, study in measures.items():
        baselines = {_SIZES.get(by, by): rival.correlation for by, rival in study.baselines.items()}
        candidates = {OURS: study.correlation, **baselines}
        if study.beyond:
            candidates[f"inherited {spoken(study.beyond.measure)} instead"] = study.beyond.instead.correlation
        candidates[f"{CEILING}: the exact truth"] = study.ceiling.truth
        for ranked_by, candidate in candidates.items():
            low, high = candidate.interval or (None, None)
            rows.append([name, ranked_by, number(candidate.tau), number(low), number(high)])
    return table(columns, rows, "Kendall's tau of what ranks networks")


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
            headline,
            UNKNOWN,
            ["They were held against no trainings."],
            [("Make a ranking study", run["commands"]["correlate"])],
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
