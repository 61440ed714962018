"""The ranking study in words: what may be concluded from its numbers, and its lines on the screen."""

from collections.abc import Mapping

from dualfair.evaluation.statistics.ranking import RankingCorrelation
from dualfair.runs.records.ranking import Beyond, MeasureStudy, RankingStudy, Rival, TableStudy

SHOWN = ("random", "even", "all")
"""Samples that are printed."""

NEAR_CEILING = 0.9
"""From this share of the ceiling on, a score ranks as well as the truth's own noise allows."""

LEAST_CEILING = 0.5
"""Below this ceiling the truth itself does not rank the networks."""


def conclusions(study: MeasureStudy) -> list[str]:
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
    ours, ceiling = study.correlation, study.ceiling
    lines, positive = [], False
    if ours.tau is None or ours.interval is None:
        lines.append(f"nothing can be concluded: {ours.reason}")
    else:
        low, high = ours.interval
        positive = low > 0
        if low <= 0 <= high:
            lines.append(f"nothing can be concluded: the interval holds 0 with n = {study.n}")
        else:
            lines.append("ranks better than chance" if positive else "ranks the wrong way round")
    if ceiling.truth.tau is not None and ceiling.truth.tau < LEAST_CEILING:
        lines.append("the truth itself does not rank these networks: train more seeds or judge on more people")
    elif positive and ceiling.share is not None and ceiling.share >= NEAR_CEILING:
        lines.append("ranks as well as the truth's own noise allows")
    lines += _beside(study.baselines, positive)
    if study.beyond and ours.tau is not None:
        interval = study.beyond.corrected.interval
        more = positive and interval is not None and interval[0] > 0
        tells = "tells more than" if more else "adds nothing that these networks can show beyond"
        lines.append(f"{tells} {study.beyond.measure}")
    return lines


def _beside(baselines: Mapping[str, Rival], positive: bool) -> list[str]:
    """Which baselines are better; and, of a score that ranks at all, which are not shown to be worse."""
    intervals = {name: rival.difference.interval for name, rival in baselines.items() if rival.difference.interval}
    worse = [name for name, (_, high) in intervals.items() if high < 0]
    unclear = [name for name, (low, high) in intervals.items() if low <= 0 <= high]
    better = [name for name, (low, _) in intervals.items() if low > 0]
    lines = [f"worse than {' and '.join(worse)}"] if worse else []
    if positive and better:
        lines.append(f"better than {' and '.join(better)}")
    if positive and unclear:
        lines.append(f"not shown to be better than {' and '.join(unclear)}")
    return lines


def sentences(study: RankingStudy, compared: str) -> list[str]:
    """A study as lines of text; `compared` says which scores were."""
    lines = [f"Ranking: {len(study.networks)} networks, {study.seeds} seeds each; {compared}"]
    if study.maximised:
        lines.append(f"  more is better of {', '.join(study.maximised)}: studied with the sign changed")
    lines += sample_lines(study.studies)
    for name, measure in study.measures.items():
        ours = measure.correlation
        if ours.tau is not None and (ours.ties_cheap or ours.ties_truth):
            pairs = ours.n * (ours.n - 1) // 2
            lines.append(
                f"  ties in {name}: {ours.ties_cheap} of {pairs} pairs of networks in the cheap scores, "
                f"{ours.ties_truth} in the truth"
            )
    if study.only_inherited or study.only_standalone:
        lines.append(
            f"  in one table only: {study.only_inherited} networks without truth, {study.only_standalone} "
            "without a cheap score"
        )
    if study.left_out:
        lines.append(f"  left out, seeds missing: {', '.join(study.left_out)}")
    if study.missing:
        lines.append(f"  missing: {'; '.join(study.missing)}")
    return lines + [f"  {text}" for text in study.damaged]


def sample_lines(studies: Mapping[str, TableStudy]) -> list[str]:
    """Studies as lines of text, by what the truth was measured on ("" where that needs no name).

    Of the samples "random", "even" and "all" those are shown that hold other networks than one shown before: two lines
    a measure, and one on the front.
    """
    lines: list[str] = []
    shown: list[set[str]] = []
    some = next(iter(studies.values())).samples
    for sample in (name for name in SHOWN if name in some):
        networks = set(some[sample].networks)
        if networks in shown:
            continue
        shown.append(networks)
        title = f"{sample} {len(networks)}"
        fronts = []
        for split, study in studies.items():
            part = study.samples[sample]
            for name, measure in part.measures.items():
                lines += measure_lines(f"{title}: {name}{f', {split}' if split else ''}", measure)
            front = part.front_agreement
            if front and front.agreement is not None:
                fronts.append(
                    f"{front.agreement:.2f}{f' on {split}' if split else ''} "
                    f"({front.chosen} chosen; as many at random {front.at_random:.2f})"
                )
        if fronts:
            lines.append(f"  {title}: front by the cheap scores reaches, of the true front: {', '.join(fronts)}")
    return lines


def measure_lines(title: str, study: MeasureStudy) -> list[str]:
    """A measure's numbers on one line, and what may be concluded on the next."""
    ours, top = study.correlation, study.top_k
    if ours.tau is None:
        return [f"  {title}: tau {ours.reason}"]
    parts = [
        f"tau {tau_in_words(ours)}, p {study.p:.2g}",
        f"rho {ours.spearman:.2f}, best weighted {study.weighted_tau:.2f}",
        f"top {top.k} {top.overlap:.0%} (chance {top.chance:.0%})",
        f"regret {study.regret:.3g} (random choice {study.regret_at_random:.3g})",
        ", ".join(f"{name} {_two(rival.correlation.tau)}" for name, rival in study.baselines.items()),
        _beyond_in_words(study.beyond),
        _ceiling_in_words(study),
    ]
    return [f"  {title}: {'; '.join(part for part in parts if part)}", f"    => {'; '.join(study.conclusions)}"]


def tau_in_words(ours: RankingCorrelation) -> str:
    """Tau with its interval."""
    interval = ours.interval
    within = f"[{interval[0]:.2f}, {interval[1]:.2f}] ({ours.method} 95 %)" if interval else "interval undefined"
    return f"{ours.tau:.2f} {within}"


def title_of(sample: str, study: MeasureStudy) -> str:
    """A figure's title: the sample, tau, and the ceiling."""
    ours, ceiling = study.correlation, study.ceiling.truth
    tau = "tau undefined" if ours.tau is None else f"tau {tau_in_words(ours)}"
    most = "" if ceiling.tau is None else f"; ceiling {ceiling.tau:.2f}"
    return f"{sample} networks, n = {study.n}\n{tau}{most}"


def _beyond_in_words(beyond: Beyond | None) -> str:
    if not beyond:
        return ""
    partial, name = beyond.corrected, beyond.measure
    within = f" [{partial.interval[0]:.2f}, {partial.interval[1]:.2f}]" if partial.interval else ""
    return (
        f"given {name} {_two(beyond.partial_tau.value)}, corrected {_two(partial.value)}{within}, "
        f"{name} instead {_two(beyond.instead.correlation.tau)}"
    )


def _ceiling_in_words(study: MeasureStudy) -> str:
    ceiling, seeds = study.ceiling.truth, study.noise_ceiling.mean
    noise = [f"{name} {_two(value)}" for name, value in (("seeds", seeds), ("halves", ceiling.between_halves))]
    if ceiling.tau is None:
        return f"ceiling {ceiling.reason} (between {', '.join(noise)})"
    most = "at most " if ceiling.at_most else ""
    return f"ceiling {most}{ceiling.tau:.2f} (between {', '.join(noise)})"


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def bars_of(study: MeasureStudy) -> dict[str, tuple[float, tuple[float, float] | None]]:
    """Tau of the inherited score, of every baseline, and the ceiling, with intervals: what a figure shows."""
    correlations = {"ours": study.correlation, **{name: rival.correlation for name, rival in study.baselines.items()}}
    if study.beyond:
        correlations[study.beyond.measure] = study.beyond.instead.correlation
    bars = {name: (each.tau, each.interval) for name, each in correlations.items()}
    bars["ceiling"] = (study.ceiling.truth.tau, study.ceiling.truth.interval)
    return {name: bar for name, bar in bars.items() if bar[0] is not None}
