"""Inherited against standalone scores: the numbers of `dualfair correlate`."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.presentation.figures import CEILING
from dualfair.presentation.format import number, spoken
from dualfair.presentation.table import Column, Table, table, with_interval
from dualfair.runs.records.ranking import MeasureStudy, RankingStudy, TableStudy
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
    columns += [*with_interval("tau", "tau"), Column("p, one-sided"), *with_interval("ceiling", "tau")]
    rows = []
    for people, study in studies.items():
        for sample, of_sample in study.samples.items():
            for name, measure in of_sample.measures.items():
                numbers = _measure(name, measure)
                who = people.replace("identities", "people")
                rows.append([sample, who, spoken(name), *(numbers[part] for part in _SHOWN)])
    return table(columns, rows, "Kendall's tau [95 % over networks] of every sample")


def _baselines(measures: Mapping[str, MeasureStudy]) -> Table:
    columns = [Column("measure", "text"), Column("ranked by", "text"), *with_interval("tau", "tau")]
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
