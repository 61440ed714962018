"""The ranking study as lines of text, and as a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dualfair.evaluation.ranking_study import Beyond, MeasureStudy, PredictedScore
from dualfair.evaluation.ranking_tables import ScoreTables, mean_over_seeds, samples_of
from dualfair.evaluation.statistics.ranking import RankingCorrelation
from dualfair.presentation.figures import ranking_figure, save
from dualfair.runs.records.ranking import RankingStudy, TableStudy

SHOWN = ("random", "even", "all")
"""Samples that are printed."""


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
    if study.unused:
        lines.append(f"  not used: {study.unused} rows of seeds that most networks do not have")
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
                lines += _measure_lines(f"{title}: {name}{f', {split}' if split else ''}", measure)
            front = part.front_agreement
            if front and front.agreement is not None:
                fronts.append(
                    f"{front.agreement:.2f}{f' on {split}' if split else ''} "
                    f"({front.chosen} chosen; as many at random {front.at_random:.2f})"
                )
        if fronts:
            lines.append(f"  {title}: front by the cheap scores reaches, of the true front: {', '.join(fronts)}")
    return lines


def _measure_lines(title: str, study: MeasureStudy) -> list[str]:
    """A measure's numbers on one line, and what may be concluded on the next."""
    ours, top = study.correlation, study.top_k
    if ours.tau is None:
        return [f"  {title}: tau {ours.reason}"]
    parts = [
        f"tau {_tau(ours)}, one-sided p {study.p:.2g}",
        f"within heads {_two(study.within_heads.value, study.within_heads.interval)}" if study.within_heads else "",
        f"rho {ours.spearman:.2f}, best weighted {study.weighted_tau:.2f}",
        f"top {top.k} {top.overlap:.0%} (chance {top.chance:.0%})",
        f"regret {study.regret:.3g} (random choice {study.regret_at_random:.3g})",
        ", ".join(f"{name} {_two(rival.correlation.tau)}" for name, rival in study.baselines.items()),
        _predicted(study.predicted) if study.predicted else "",
        _beyond(study.beyond) if study.beyond else "",
        _ceiling(study),
    ]
    return [f"  {title}: {'; '.join(part for part in parts if part)}", f"    => {'; '.join(study.conclusions)}"]


def draw(
    path: Path, tables: ScoreTables, study: TableStudy, axes: tuple[str, str], maximised: Sequence[str] = ()
) -> None:
    """Draw a scatter a measure, of the random sample of a study, or of all networks where there is none."""
    samples = samples_of(tables)
    name = "random" if "random" in samples else "all"
    part = tables.only(samples[name])
    panels = []
    for measure, scores in part.inherited.items():
        standalone = part.standalone[measure]
        n, seeds = standalone.shape
        with np.errstate(invalid="ignore"):
            spread = standalone.std(axis=1, ddof=1) / seeds**0.5 if seeds > 1 else np.zeros(n)
        shown = f"-{measure}" if measure in maximised else measure
        measured = study.samples[name].measures[measure]
        ceiling = measured.ceiling.truth.tau
        title = f"{name} networks, n = {n}\ntau {_tau(measured.correlation)}"
        title += "" if ceiling is None else f"; ceiling {ceiling:.2f}"
        names = tuple(f"{shown}, {axis}" for axis in axes)
        panels.append((scores, mean_over_seeds(standalone), spread, names, title, bars_of(measured)))
    save(ranking_figure(panels), path)


def bars_of(study: MeasureStudy) -> dict[str, tuple[float, tuple[float, float] | None]]:
    """Tau of the inherited score, of every baseline, and the ceiling, with intervals: what a figure shows."""
    taus = {"ours": study.correlation, **{name: rival.correlation for name, rival in study.baselines.items()}}
    if study.beyond:
        taus[study.beyond.measure] = study.beyond.instead.correlation
    taus["ceiling"] = study.ceiling.truth
    return {name: (each.tau, each.interval) for name, each in taus.items() if each.tau is not None}


def _tau(ours: RankingCorrelation) -> str:
    how = f" ({ours.method} 95 %)" if ours.interval else " interval undefined" if ours.tau is not None else ""
    return f"{_two(ours.tau, ours.interval)}{how}"


def _predicted(predicted: PredictedScore) -> str:
    ours, gain = predicted.correlation, predicted.gain
    more = "" if gain.value is None else f", {gain.value:+.2f}{_within(gain.interval)} than inherited"
    return f"predicted by the others' trainings {_two(ours.tau, ours.interval)}{more}"


def _beyond(beyond: Beyond) -> str:
    name, partial = beyond.measure, beyond.corrected
    return (
        f"given {name} {_two(beyond.partial_tau.value)}, corrected {_two(partial.value, partial.interval)}, "
        f"{name} instead {_two(beyond.instead.correlation.tau)}"
    )


def _ceiling(study: MeasureStudy) -> str:
    ceiling = study.ceiling.truth
    mean = "" if ceiling.reliability is None else f"reliability {_two(ceiling.reliability)} of {ceiling.seeds} seeds, "
    noise = f"({mean}between seeds {_two(study.noise_ceiling.mean)}, halves {_two(ceiling.between_halves)})"
    if ceiling.tau is None:
        return f"ceiling {ceiling.reason} {noise}"
    return f"ceiling {'at most ' if ceiling.at_most else ''}{ceiling.tau:.2f} {noise}"


def _two(value: float | None, interval: tuple[float, float] | None = None) -> str:
    """A number of two decimals, with its interval where it has one."""
    return "undefined" if value is None else f"{value:.2f}{_within(interval)}"


def _within(interval: tuple[float, float] | None) -> str:
    return f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
