"""The ranking study in words: what may be concluded from its numbers, and its lines on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SHOWN = ("random", "even", "all")
"""Samples that are printed."""

NEAR_CEILING = 0.9
"""From this share of the ceiling on, a score ranks as well as the truth's own noise allows."""

LEAST_CEILING = 0.5
"""Below this ceiling the truth itself does not rank the networks."""


def conclusions(found: Mapping) -> list[str]:
    """What may be concluded from a measure's numbers, in words, by these rules:

    - Tau or its interval undefined, or the interval holds 0: nothing, and why.
    - The interval above 0: it ranks better than chance; below 0: it ranks the wrong way round.
    - The ceiling below 0.5: the truth itself does not rank these networks. Else, with an interval above 0, tau at 0.9
      of the ceiling or more: it ranks as well as the truth's own noise allows.
    - The interval of ours - baseline, paired, below 0: it is worse than the baseline. Only with an interval of tau
      above 0: better than those below it, and not shown to be better than those whose interval holds 0.
    - Of a measure beside the first: unless tau and the corrected partial tau given the first both have intervals above
      0, it adds nothing beyond the first that these networks can show.
    """
    ours, ceiling = found["correlation"], found["ceiling"]
    said, positive = [], False
    if ours["tau"] is None or ours["interval"] is None:
        said.append(f"nothing can be concluded: {ours['reason']}")
    else:
        low, high = ours["interval"]
        positive = low > 0
        if low <= 0 <= high:
            said.append(f"nothing can be concluded: the interval holds 0 with n = {found['n']}")
        else:
            said.append("ranks better than chance" if positive else "ranks the wrong way round")
    if ceiling["tau"] is not None and ceiling["tau"] < LEAST_CEILING:
        said.append("the truth itself does not rank these networks: train more seeds or judge on more people")
    elif positive and ceiling["share"] is not None and ceiling["share"] >= NEAR_CEILING:
        said.append("ranks as well as the truth's own noise allows")
    said += _beside(found["baselines"], positive)
    beyond = found["beyond"]
    if beyond and ours["tau"] is not None:
        interval = beyond["corrected"]["interval"]
        more = positive and interval is not None and interval[0] > 0
        told = "tells more than" if more else "adds nothing that these networks can show beyond"
        said.append(f"{told} {beyond['measure']}")
    return said


def _beside(baselines: Mapping[str, Mapping], positive: bool) -> list[str]:
    """Which baselines are better; and, of a score that ranks at all, which are not shown to be worse."""
    intervals = {name: of["difference"]["interval"] for name, of in baselines.items() if of["difference"]["interval"]}
    worse = [name for name, (_, high) in intervals.items() if high < 0]
    unclear = [name for name, (low, high) in intervals.items() if low <= 0 <= high]
    better = [name for name, (low, _) in intervals.items() if low > 0]
    said = [f"worse than {' and '.join(worse)}"] if worse else []
    if positive and better:
        said.append(f"better than {' and '.join(better)}")
    if positive and unclear:
        said.append(f"not shown to be better than {' and '.join(unclear)}")
    return said


def sentences(studies: Mapping[str, Mapping]) -> list[str]:
    """Studies as lines of text, by what the truth was measured on ("" where that needs no name).

    Of the samples "random", "even" and "all" those are shown that hold other networks than one shown before: two lines
    a measure, and one on the front.
    """
    lines: list[str] = []
    shown: list[set[str]] = []
    some = next(iter(studies.values()))["samples"]
    for sample in (name for name in SHOWN if name in some):
        networks = set(some[sample]["networks"])
        if networks in shown:
            continue
        shown.append(networks)
        title = f"{sample} {len(networks)}"
        fronts = []
        for split, study in studies.items():
            part = study["samples"][sample]
            for measure, found in part["measures"].items():
                lines += measure_lines(f"{title}: {measure}{f', {split}' if split else ''}", found)
            if part["front_agreement"] and part["front_agreement"]["agreement"] is not None:
                front = part["front_agreement"]
                fronts.append(
                    f"{front['agreement']:.2f}{f' on {split}' if split else ''} "
                    f"({front['chosen']} chosen; as many at random {front['at_random']:.2f})"
                )
        if fronts:
            lines.append(f"  {title}: front by the cheap scores reaches, of the true front: {', '.join(fronts)}")
    return lines


def measure_lines(title: str, found: Mapping) -> list[str]:
    """A measure's numbers on one line, and what may be concluded on the next."""
    ours = found["correlation"]
    if ours["tau"] is None:
        return [f"  {title}: tau {ours['reason']}"]
    top = found["top_k"]
    parts = [
        f"tau {tau_in_words(ours)}, p {found['p']:.2g}",
        f"rho {ours['spearman']:.2f}, best weighted {found['weighted_tau']:.2f}",
        f"top {top['k']} {top['overlap']:.0%} (chance {top['chance']:.0%})",
        f"regret {found['regret']:.3g} (random choice {found['regret_at_random']:.3g})",
        ", ".join(f"{name} {_two(other['tau'])}" for name, other in found["baselines"].items()),
        _beyond_in_words(found["beyond"]),
        _ceiling_in_words(found),
    ]
    return [f"  {title}: {'; '.join(part for part in parts if part)}", f"    => {'; '.join(found['conclusions'])}"]


def tau_in_words(ours: Mapping) -> str:
    """Tau with its interval."""
    interval = ours["interval"]
    within = f"[{interval[0]:.2f}, {interval[1]:.2f}] ({ours['method']} 95 %)" if interval else "interval undefined"
    return f"{ours['tau']:.2f} {within}"


def title_of(sample: str, found: Mapping) -> str:
    """A figure's title: the sample, tau, and the ceiling."""
    ours, ceiling = found["correlation"], found["ceiling"]
    tau = "tau undefined" if ours["tau"] is None else f"tau {tau_in_words(ours)}"
    most = "" if ceiling["tau"] is None else f"; ceiling {ceiling['tau']:.2f}"
    return f"{sample} networks, n = {found['n']}\n{tau}{most}"


def _beyond_in_words(beyond: Mapping | None) -> str:
    if not beyond:
        return ""
    partial, name = beyond["corrected"], beyond["measure"]
    within = f" [{partial['interval'][0]:.2f}, {partial['interval'][1]:.2f}]" if partial["interval"] else ""
    return (
        f"given {name} {_two(beyond['partial_tau']['value'])}, corrected {_two(partial['value'])}{within}, "
        f"{name} instead {_two(beyond['instead']['tau'])}"
    )


def _ceiling_in_words(found: Mapping) -> str:
    ceiling, seeds = found["ceiling"], found["noise_ceiling"]["mean"]
    noise = [f"{name} {_two(value)}" for name, value in (("seeds", seeds), ("halves", ceiling["between_halves"]))]
    if ceiling["tau"] is None:
        return f"ceiling {ceiling['reason']} (between {', '.join(noise)})"
    most = "at most " if ceiling["at_most"] else ""
    return f"ceiling {most}{ceiling['tau']:.2f} (between {', '.join(noise)})"


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def bars_of(found: Mapping) -> dict[str, tuple[float, Sequence[float] | None]]:
    """Tau of the cheap score, of every baseline, and the ceiling, with intervals: what a figure shows of a measure."""
    ours = found["correlation"]
    bars = {"ours": (ours["tau"], ours["interval"])}
    bars |= {name: (other["tau"], other["interval"]) for name, other in found["baselines"].items()}
    if found["beyond"]:
        bars[found["beyond"]["measure"]] = (found["beyond"]["instead"]["tau"], found["beyond"]["instead"]["interval"])
    bars["ceiling"] = (found["ceiling"]["tau"], found["ceiling"]["interval"])
    return {name: bar for name, bar in bars.items() if bar[0] is not None}
