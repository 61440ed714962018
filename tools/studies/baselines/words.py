"""The study of searched networks against backbones as a table and as sentences."""

from dualfair.evaluation.statistics.ranking import Estimate
from dualfair.presentation.format import counted, listed, spoken
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.records.training import SPLITS
from dualfair.studies.baselines.numbers import BASELINES, OURS, TEST
from dualfair.studies.baselines.records import BaselineStudy, FrontComparison


def networks_table(study: BaselineStudy, splits: tuple[str, ...] = SPLITS) -> Table:
    """Every network with mean and standard error of every measure on some people, by test error."""
    columns = [Column("network", "text"), Column("of", "text"), Column("seeds", "whole")]
    columns += [Column("params", "millions"), Column("MACs", "millions")]
    measured = [(split, name) for split in splits for name in study.measures]
    for split, name in measured:
        title = f"{split} {spoken(name)}"
        columns += [Column(title, spread=f"{title} SE"), Column(f"{title} SE")]
    rows = [
        [
            *(network.network, network.of, len(network.seeds), network.params, network.macs),
            *(value for split, name in measured for value in vars(network.on(split)[name]).values()),
        ]
        for network in study.networks
    ]
    caption = "Searched networks and backbones of timm's, trained and judged alike, by test error"
    return table(columns, rows, f"{caption} (mean ± standard error over training seeds)")


def answer(study: BaselineStudy) -> list[str]:
    """What our front has over that of the backbones, a sentence a disparity, and what to keep in mind."""
    ours, baselines = (sum(network.of == of for network in study.networks) for of in (OURS, BASELINES))
    lines = [f"{counted(ours, 'searched network')} and {counted(baselines, 'backbone')} with a head, judged alike"]
    if longer := sum(",epochs=" in network.network for network in study.networks):
        lines.append(f"attention: {longer} of them were trained for other numbers of epochs, as their names say")
    return lines + [_compared(spoken(name), comparison) for name, comparison in study.against.items()]


def details(study: BaselineStudy) -> list[str]:
    """Correlations of error and disparities, fronts on test people, and results that could not be read."""
    lines = []
    for split, by_measure in study.correlations.items():
        for name, samples in by_measure.items():
            texts = [f"{sample} {_estimate(estimate)}" for sample, estimate in samples.items()]
            lines.append(f"error and {spoken(name)}, {split} people, Spearman: {'; '.join(texts)}")
    for name, labels in study.fronts[TEST].items():
        lines.append(f"front of error and {spoken(name)}, test people: {', '.join(labels) or 'undefined'}")
    return lines + list(study.damaged)


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"{estimate.reason} (n = {estimate.n})"
    interval = estimate.interval
    ends = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "without interval"
    return f"{estimate.value:.2f} {ends} (n = {estimate.n})"


def _compared(name: str, comparison: FrontComparison | None) -> str:
    """Our front and that of the backbones, in error and one disparity."""
    if comparison is None:
        return f"{name}: nothing to compare; there have to be trainings of ours and of backbones with finite values"
    interval = comparison.interval
    if interval is None:
        verdict, ends = "cannot be told, a network was trained but once", ""
    else:
        ends = f" [{interval[0]:.3g}, {interval[1]:.3g}] over training seeds"
        verdict = "larger" if interval[0] > 0 else "smaller" if interval[1] < 0 else "not shown to differ"
    fewest, volumes = comparison.fewest_seeds, comparison.hypervolume
    text = (
        f"error and {name}: on test people the hypervolume of our front ({listed(comparison.our_front)}) is {verdict}: "
        f"{volumes[0]:.3g} against {volumes[1]:.3g} of the backbones' ({listed(comparison.baselines_front)}), both "
        f"chosen on validation people; difference {comparison.difference:.3g}{ends}, at least {fewest[0]} and "
        f"{fewest[1]} seeds a network, ours larger in {comparison.ahead:.0%} of resamples"
    )
    return f"{text}; left out, values not finite: {listed(comparison.left_out)}" if comparison.left_out else text
