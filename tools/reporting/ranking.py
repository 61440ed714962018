"""Inherited against standalone scores: the numbers of `dualfair correlate`."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.reporting.run_files import RunFiles, number
from dualfair.reporting.table import column, table
from dualfair.reporting.words import spoken

LEAST = 3
"""Networks without which no correlation is defined."""


def ranking_section(run: RunFiles) -> dict | None:
    """The ranking study of a run, None where there is none.

    {"networks", "seeds", "sample": the networks that the answer rests on ("random", the honest ones, where there are
    three or more, else "all"), "measures": its numbers on test people, "table": all samples, splits and measures,
    "baselines": a table of what ranks beside the inherited score, "missing", "left_out"}. Raises KeyError, TypeError or
    ValueError where ranking.json is damaged.
    """
    said = run.json("correlate/ranking.json")
    if said is None:
        return None
    samples = said["studies"]["test identities"]["samples"]
    sample = "random" if "random" in samples and samples["random"]["n"] >= LEAST else "all"
    return {
        "networks": len(said["networks"]),
        "seeds": said["seeds"],
        "sample": sample,
        "measures": {name: _measure(name, of) for name, of in samples[sample]["measures"].items()},
        "table": _table(said["studies"]),
        "baselines": _baselines(samples[sample]["measures"]),
        "missing": [str(name) for name in said["missing"]],
        "left_out": [str(name) for name in said["left_out"]],
    }


def _measure(name: str, found: Mapping) -> dict:
    """The numbers of a measure that sentences are made of."""
    ours, ceiling = found["correlation"], found["ceiling"]
    low, high = ours["interval"] or (None, None)
    lowest, highest = ceiling["interval"] or (None, None)
    return {
        "measure": name,
        "n": found["n"],
        "tau": number(ours["tau"]),
        "low": number(low),
        "high": number(high),
        "p": number(found["p"]),
        "ceiling": number(ceiling["tau"]),
        "ceiling low": number(lowest),
        "ceiling high": number(highest),
        "reason": ours["reason"],
        "conclusions": [spoken(str(text)) for text in found["conclusions"]],
    }


_SIZES = {"params": "parameters", "macs": "multiply-accumulates"}
_SHOWN = ("n", "tau", "low", "high", "p", "ceiling", "ceiling low", "ceiling high")


def _table(studies: Mapping) -> dict:
    columns = [column("networks chosen", "text"), column("people", "text"), column("measure", "text")]
    columns += [column("n", "whole"), column("tau", "tau", low="tau low", high="tau high"), column("tau low", "tau")]
    columns += [column("tau high", "tau"), column("p, one-sided")]
    columns += [column("ceiling", "tau", low="ceiling low", high="ceiling high"), column("ceiling low", "tau")]
    columns += [column("ceiling high", "tau")]
    rows = []
    for people, study in studies.items():
        for sample, of in study["samples"].items():
            for name, found in of["measures"].items():
                one = _measure(name, found)
                who = str(people).replace("identities", "people")
                rows.append([sample, who, spoken(name), *(one[part] for part in _SHOWN)])
    return table(columns, rows)


def _baselines(measures: Mapping) -> dict:
    columns = [
        column("measure", "text"),
        column("ranked by", "text"),
        column("tau", "tau", low="tau low", high="tau high"),
    ]
    columns += [column("tau low", "tau"), column("tau high", "tau")]
    rows = []
    for name, found in measures.items():
        sizes = {_SIZES.get(one, one): of for one, of in found["baselines"].items()}
        candidates = {"inherited score": found["correlation"], **sizes}
        if found.get("beyond"):
            candidates[f"inherited {found['beyond']['measure']} instead"] = found["beyond"]["instead"]
        candidates["ceiling: the exact truth"] = found["ceiling"]
        for ranked_by, one in candidates.items():
            low, high = one["interval"] or (None, None)
            rows.append([name, ranked_by, number(one["tau"]), number(low), number(high)])
    return table(columns, rows)
