"""The study of searched networks against backbones as lines of text and as a table."""

from __future__ import annotations

from dualfair.evaluation.statistics.ranking import Estimate
from dualfair.evolution.dominance import CANNOT_BE_TOLD, DOES_NOT, DOMINATES
from dualfair.presentation.table import aligned
from dualfair.runs.records.training import SPLITS
from dualfair.studies.baselines.numbers import BASELINES, OURS, TEST
from dualfair.studies.baselines.records import BaselineStudy, FrontVerdict, SeedMean


def table(study: BaselineStudy) -> list[list]:
    """Rows of a CSV: every network with mean and standard error of every measure on both splits."""
    measured = [(split, name) for split in SPLITS for name in study.measures]
    kinds = ("mean", "standard error")
    rows: list[list] = [
        [
            *("network", "of", "seeds", "params", "macs"),
            *(f"{split} {name} {kind}" for split, name in measured for kind in kinds),
        ]
    ]
    for network in study.networks:
        means = [network.on(split)[name] for split, name in measured]
        values = (value for mean in means for value in (mean.mean, mean.standard_error))
        about = (network.network, network.of, len(network.seeds), network.params, network.macs)
        rows.append(["" if value is None else value for value in (*about, *values)])
    return rows


def sentences(study: BaselineStudy) -> list[str]:
    """The study as lines of text: networks, correlations, fronts, and what our front does to the backbones."""
    ours, baselines = (sum(network.of == of for network in study.networks) for of in (OURS, BASELINES))
    lines = [f"Shelf: {ours} searched networks and {baselines} backbones with a head, judged alike"]
    longer = sum(",epochs=" in network.network for network in study.networks)
    if longer:
        lines.append(f"  attention: {longer} of them were trained for other numbers of epochs, as their names say")
    lines += aligned(_shown_rows(study))
    lines.append("n = training seeds; mean ± standard error over them, test people; sorted by test error")
    for split, by_measure in study.correlations.items():
        for name, samples in by_measure.items():
            texts = [f"{sample} {_estimate(estimate)}" for sample, estimate in samples.items()]
            lines.append(f"  error and {_plain(name)}, {split} people, Spearman: {'; '.join(texts)}")
    for name, labels in study.fronts[TEST].items():
        lines.append(f"  front of error and {_plain(name)}, test people: {', '.join(labels) or 'undefined'}")
    for place, (name, verdict) in enumerate(study.dominance.items()):
        lines += _dominance(_plain(name), verdict, one_by_one=place == 0)
    if len(study.dominance) > 1:
        lines.append("  backbone by backbone for the other disparities: shelf.json")
    return lines + [f"  {text}" for text in study.damaged]


def _shown_rows(study: BaselineStudy) -> list[list[str]]:
    rows = [["network", "of", "n", "params", "MACs", *(_plain(name) for name in study.measures)]]
    for network in study.networks:
        cells = [_cell(network.test[name]) for name in study.measures]
        cost = (_millions(network.params, 2), _millions(network.macs, 1))
        rows.append([network.network, network.of, str(len(network.seeds)), *cost, *cells])
    return rows


def _millions(count: int | None, digits: int) -> str:
    return "-" if count is None else f"{count / 1e6:.{digits}f} M"


def _cell(mean: SeedMean) -> str:
    if mean.mean is None:
        return "undefined"
    return f"{mean.mean:.3f}" + ("" if mean.standard_error is None else f" ± {mean.standard_error:.3f}")


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"{estimate.reason} (n = {estimate.n})"
    interval = estimate.interval
    ends = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "without interval"
    return f"{estimate.value:.2f} {ends} (n = {estimate.n})"


def _dominance(name: str, front: FrontVerdict | None, *, one_by_one: bool) -> list[str]:
    """What our front does to the backbones in error and one disparity, and to every backbone if wanted."""
    if front is None:
        return [f"  {name}: nothing to compare; there have to be trainings of ours and of backbones with finite values"]
    our_seeds, baseline_seeds = front.fewest_seeds
    words = {
        DOMINATES: "dominates every backbone",
        DOES_NOT: "does not dominate every backbone",
        CANNOT_BE_TOLD: f"whether it dominates every backbone {CANNOT_BE_TOLD}",
    }
    counts = {verdict: sum(backbone.verdict == verdict for backbone in front.each) for verdict in words}
    volumes, interval = front.hypervolume, front.interval
    ends = f"[{interval[0]:.3g}, {interval[1]:.3g}]" if interval else "without interval, a network was trained but once"
    lines = [
        f"  error and {name}: our front, chosen on validation people (n = {len(front.our_front)}), on test people: "
        f"{words[front.verdict]} (probability {front.probability:.2f}; at least {our_seeds} seeds of ours, "
        f"{baseline_seeds} of the shelf)",
        f"    of {len(front.each)} backbones: dominated {counts[DOMINATES]}, not {counts[DOES_NOT]}, cannot be told "
        f"{counts[CANNOT_BE_TOLD]}; hypervolume ours {volumes[0]:.3g}, shelf {volumes[1]:.3g}, difference "
        f"{front.difference:.3g} {ends}, ours larger in {front.ahead:.0%} of resamples",
    ]
    lines += [
        f"    {backbone.network}: {backbone.verdict}, by some network of ours {backbone.probability:.2f}, by "
        f"{backbone.by} {backbone.probability_by:.2f} (seeds {backbone.seeds[1]} and {backbone.seeds[0]})"
        for backbone in (front.each if one_by_one else ())
    ]
    if front.left_out:
        lines.append(f"    left out, values not finite: {', '.join(front.left_out)}")
    return lines


def _plain(name: str) -> str:
    return name.replace("_", " ")
