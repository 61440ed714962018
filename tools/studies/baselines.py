"""What would one take instead? Networks of the search against backbones of timm's, all trained and evaluated alike.

Shape legend: S training seeds of a network.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dualfair.evaluation.metrics.pair_disparity import bpc
from dualfair.evaluation.protocol import PUBLISHED
from dualfair.evaluation.statistics.ranking import Estimate, measure_correlation
from dualfair.evolution.front_difference import FrontDifference, front_difference
from dualfair.evolution.pareto import non_dominated
from dualfair.presentation.figures import BLUE, GREY, ORANGE, panels, save
from dualfair.presentation.format import capital, counted, listed, spoken
from dualfair.presentation.table import Column, Table, interval_columns, spread_columns, table
from dualfair.runs.directory import RunDirectory
from dualfair.runs.layout import Inside, StudyLayout
from dualfair.runs.options import RESAMPLES
from dualfair.runs.records.codec import FLAT, Record, keyed
from dualfair.runs.records.study import StudyFigure, StudyReport
from dualfair.runs.records.training import SPLITS, RetrainConfig, TrainConfig, TrainingResult
from dualfair.runs.run_files import RunFiles
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.families.sized import SizedGenotype
from dualfair.supernet.files import write_csv
from dualfair.supernet.images import PEOPLE

ERROR_BELOW = 0.3
"""The study correlates error and disparities among networks of less error than that."""
BELOW = f"error below {ERROR_BELOW:g}"
OURS, BASELINES, GROWN = "ours", "baselines", "grown"
"""Searched networks, by whatever recipe, backbones of timm's, and networks on skeletons of their own, such as `grow`
finds."""
NEGATIVE_BPC = "negative_bpc"
"""Of the published study's figure 14: minus `pair_disparity.bpc` with accuracy, of faces at rank 1, as the TPR."""
VALIDATION, TEST = SPLITS
LOOKS = {
    OURS: (BLUE, "o", BLUE, "searched networks"),
    BASELINES: (ORANGE, "s", "white", "backbones of timm"),
    GROWN: (GREY, "^", GREY, "grown networks"),
}


class BaselinesLayout(StudyLayout):
    """The folder RUN/studies/baselines."""

    numbers = Inside("baselines.json")
    """The study, as a record."""
    table = Inside("baselines.csv")
    """Every network with its means and standard errors."""
    figure = Inside("baselines.png")


@dataclass(frozen=True)
class TrainedNetwork(Record):
    """A network with its recipe, by its label, and what its trainings came to.

    It is one `of` OURS, BASELINES or GROWN. By split and measure there is a value for each of the `seeds`, nan where it
    is undefined. `params` and `macs` are None where the results do not say.
    """

    network: str
    of: str
    seeds: tuple[int, ...]
    params: int | None
    macs: int | None
    values: Mapping[str, Mapping[str, tuple[float, ...]]]

    def mean(self, split: str, measure: str) -> float:
        """Mean over seeds; not finite where one value is not."""
        return float(np.mean(self.values[split][measure]))

    def standard_error(self, split: str, measure: str) -> float | None:
        """Standard error of the mean over seeds, None for one seed or values that are not finite."""
        values = self.values[split][measure]
        if len(values) < 2 or not np.isfinite(values).all():
            return None
        return float(np.std(values, ddof=1) / len(values) ** 0.5)

    def points(self, split: str, measure: str) -> np.ndarray:
        """Error and a measure of every training, (S, 2)."""
        return np.stack([self.values[split]["error"], self.values[split][measure]], axis=1)


@dataclass(frozen=True, kw_only=True)
class FrontComparison(Record):
    """Our front against that of the backbones in error and one disparity: both chosen on validation people, by labels,
    and measured on test people.

    `left_out` have values that are not finite. `fewest_seeds` of a network of either front decide what can be told.
    """

    our_front: tuple[str, ...] = keyed("our front")
    baselines_front: tuple[str, ...] = keyed("baselines' front")
    left_out: tuple[str, ...] = keyed("left out")
    fewest_seeds: tuple[int, int]
    volumes: FrontDifference = field(metadata=FLAT)


@dataclass(frozen=True)
class BaselineStudy(Record):
    """All standalone trainings of a run: searched networks against backbones, and grown ones beside them.

    `networks` are sorted by test error. By disparity there are `correlations` of error with it over several samples of
    the networks, by Spearman and in `linear` by Pearson, and the Pareto front of all of them, on test people, and the
    comparison `against` the backbones, None where one side is empty. `further` measures have correlations and fronts
    only. `damaged` results could not be read; `units` are what images are counted in. NEGATIVE_BPC is that of
    the disparity `bias` against the `baseline`, where one was named.
    """

    measures: tuple[str, ...]
    resamples: int
    networks: tuple[TrainedNetwork, ...]
    correlations: Mapping[str, Mapping[str, Estimate]]
    fronts: Mapping[str, tuple[str, ...]]
    against: Mapping[str, FrontComparison | None]
    further: tuple[str, ...] = ()
    linear: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    units: str = keyed("units", omitted=True, default=PEOPLE)
    baseline: str = keyed("baseline", omitted=True, default="")
    bias: str = keyed("bias", omitted=True, default="")

    def table(self, splits: Collection[str] = SPLITS, *, further: bool = False) -> Table:
        """Every network with mean and standard error of every measure on some people, also of the `further` ones."""
        columns = [Column("network", "text"), Column("of", "text"), Column("seeds", "whole")]
        columns += [Column("params", "millions"), Column("MACs", "millions")]
        names = (*self.measures, *(self.further if further else ()))
        measured = [(split, name) for split in splits for name in names]
        columns += [column for split, name in measured for column in spread_columns(f"{split} {spoken(name)}")]
        rows = []
        for network in self.networks:
            row = [network.network, network.of, len(network.seeds), network.params, network.macs]
            for of_split in measured:
                mean = network.mean(*of_split)
                row += [mean if np.isfinite(mean) else None, network.standard_error(*of_split)]
            rows.append(row)
        caption = "Searched networks and others, trained and judged alike, by test error"
        return table(columns, rows, f"{caption} (mean ± standard error over training seeds)")

    def table_by_measure(self) -> Table:
        """How error goes together with every disparity, over all networks and those below the bound, and the fronts."""
        rows = []
        columns = [Column("measure", "text"), Column("networks", "text"), Column("n", "whole")]
        columns += [column for name in ("Spearman", "Pearson") for column in interval_columns(name, "tau")]
        for measure, samples in self.correlations.items():
            for sample in ("all", BELOW):
                of_ranks = samples[sample]
                if sample == BELOW and of_ranks.value is None:
                    continue
                numbers = [
                    number
                    for estimate in (of_ranks, self.linear[measure][sample])
                    for number in (estimate.value, *(estimate.interval or (None, None)))
                ]
                front = listed(self.fronts[measure]) if sample == "all" else None
                rows.append([spoken(measure), sample, of_ranks.n, *numbers, front])
        caption = f"Error and every disparity on test {self.units}: correlation over networks, and the front of all"
        return table([*columns, Column("front", "text")], rows, f"{caption} ([ ] are 95 % over networks)")

    def sentences(self) -> list[str]:
        """What our front has over that of the backbones, how error and disparities go together, and what to keep in
        mind."""
        ours, baselines, grown = (sum(each.of == of for each in self.networks) for of in (OURS, BASELINES, GROWN))
        beside = f", {counted(grown, 'grown network')}" if grown else ""
        others = f"{counted(baselines, 'backbone')} with a head"
        lines = [f"{counted(ours, 'searched network')}{beside} and {others}, judged alike"]
        if longer := sum(",epochs=" in network.network for network in self.networks):
            lines.append(f"attention: {longer} of them were trained for other numbers of epochs, as their names say")
        lines += [_compared(spoken(name), comparison, self.units) for name, comparison in self.against.items()]
        for name in self.measures[1:]:
            samples = self.correlations[name]
            texts = [f"{sample} {_estimate(estimate)}" for sample, estimate in samples.items()]
            lines.append(f"error and {spoken(name)}, test {self.units}, Spearman: {'; '.join(texts)}")
        if self.baseline:
            lines.append(
                f"{spoken(NEGATIVE_BPC)}: the share of accuracy that went, less that of {spoken(self.bias)}, against "
                f"{self.baseline}, which has 0; smaller is better"
            )
        return lines + list(self.damaged)


def study_baselines(directory: RunDirectory, *, baseline: str = "", resamples: int = RESAMPLES) -> BaselineStudy:
    """The study of all standalone trainings of a run, which is also written to RUN/studies/baselines.

    `baseline` and `resamples` as in `study`. Raises ValueError as that does, and when nothing was retrained.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    files = RunFiles(directory.layout)
    results = files.results(directory.layout.retrain)
    if not results:
        raise ValueError(f"{directory.path} has no retrained networks; run 'dualfair retrain' first")
    config = files.record(TrainConfig, directory.layout.train.config)
    judged = files.record(RetrainConfig, directory.layout.retrain.config)
    disparity = judged.names.disparity if judged else PUBLISHED.disparity
    record = replace(
        study(list(results.values()), baseline=baseline, disparity=disparity, resamples=resamples),
        damaged=tuple(files.problems),
        units=config.units if config else PEOPLE,
    )
    layout = BaselinesLayout(directory.layout.study("baselines").folder)
    directory.record_command(layout, "no device")
    record.write(layout.numbers)
    write_csv(layout.table, record.table(further=True).csv())
    draw(layout.figure, record)
    shown, by_measure, sentences = record.table([TEST]), record.table_by_measure(), record.sentences()
    StudyReport(
        question="What would one take instead of a searched network?",
        sentences=tuple(f"{capital(line)}." for line in sentences),
        tables=(shown, by_measure),
        figures=(StudyFigure(layout.figure.name, f"Error against every disparity on test {record.units}"),),
    ).write(layout.report)
    for line in (*shown.lines(), *by_measure.lines(), *sentences):
        directory.say(line)
    directory.say(f"Numbers: {layout.numbers}, {layout.table}, figure: {layout.figure}")
    return record


def study(
    results: Sequence[TrainingResult],
    *,
    baseline: str = "",
    disparity: str = PUBLISHED.disparity,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> BaselineStudy:
    """Everything that is said of some trainings, by the measures that all of them have.

    With a `baseline`, the label of one of the networks, NEGATIVE_BPC of the `disparity` against that is one of the
    further measures. `resamples` are the bootstrap's, and all that is random follows `seed`. Raises ValueError for a
    baseline that is none of the networks, and for a disparity that was not measured or is below 0.
    """
    scores = [result.on(split).measures for result in results for split in SPLITS]
    measures = tuple(name for name in scores[0] if all(name in names for names in scores))
    more = [(result.further or {}).get(split, {}) for result in results for split in SPLITS]
    further = tuple(name for name in more[0] if name not in measures and all(name in names for names in more))
    by_label: dict[str, list[TrainingResult]] = {}
    for result in sorted(results, key=lambda result: (result.training.label, result.training.seed)):
        by_label.setdefault(result.training.label, []).append(result)
    networks = [_network(label, trained, (*measures, *further)) for label, trained in by_label.items()]
    if baseline:
        networks, further = _with_bpc(networks, baseline, disparity), (*further, NEGATIVE_BPC)
    networks.sort(key=lambda network: (network.mean(TEST, "error"), network.network))
    disparities = [name for name in measures if name != "error"]
    every = [*disparities, *further]
    return BaselineStudy(
        measures=measures,
        resamples=resamples,
        networks=tuple(networks),
        correlations={name: _correlations(networks, name, resamples, seed) for name in every},
        linear={name: _correlations(networks, name, resamples, seed, linear=True) for name in every},
        fronts={name: tuple(network.network for network in front(networks, TEST, name)) for name in every},
        further=further,
        baseline=baseline,
        bias=disparity if baseline else "",
        against={name: _against(networks, name, resamples, seed) for name in disparities},
    )


def _network(label: str, trained: Sequence[TrainingResult], measures: Sequence[str]) -> TrainedNetwork:
    return TrainedNetwork(
        label,
        _of(trained[0].training),
        tuple(result.training.seed for result in trained),
        trained[0].params,
        trained[0].macs,
        {
            split: {name: tuple(_value(result, split, name) for result in trained) for name in measures}
            for split in SPLITS
        },
    )


def _of(training: TrainingSpec) -> str:
    if training.searched:
        return OURS
    return GROWN if isinstance(training.network, SizedGenotype) else BASELINES


def _with_bpc(networks: Sequence[TrainedNetwork], baseline: str, disparity: str) -> list[TrainedNetwork]:
    """The networks with NEGATIVE_BPC of every training against the means of one of them."""
    known = {network.network: network for network in networks}
    if baseline not in known:
        raise ValueError(f"baseline {baseline[:80]!r} is none of the trained networks: {', '.join(known)}")
    values = [value for each in networks for of in each.values.values() for value in of.get(disparity, (-1.0,))]
    if any(value < 0 for value in values):
        raise ValueError(
            f"bpc needs a disparity of 0 or more of every network, which {disparity} is not; leave --baseline out"
        )

    def negative_bpc(network: TrainedNetwork, split: str) -> tuple[float, ...]:
        bias, accuracy = known[baseline].mean(split, disparity), 1 - known[baseline].mean(split, "error")
        points = network.points(split, disparity)
        finite = np.isfinite([*points.flat, bias, accuracy]).all()
        return tuple(-bpc(bias, after, accuracy, 1 - error) if finite else np.nan for error, after in points)

    return [
        replace(
            each, values={split: {**of, NEGATIVE_BPC: negative_bpc(each, split)} for split, of in each.values.items()}
        )
        for each in networks
    ]


def _value(result: TrainingResult, split: str, measure: str) -> float:
    values = result.on(split).measures
    return values[measure] if measure in values else result.further[split][measure]


def front(networks: Sequence[TrainedNetwork], split: str, measure: str) -> list[TrainedNetwork]:
    """The networks that no other one dominates by its means on a split; those not finite are no rivals."""
    means = np.array([[network.mean(split, "error"), network.mean(split, measure)] for network in networks])
    means = means.reshape(-1, 2)
    finite = np.flatnonzero(np.isfinite(means).all(axis=1))
    return [networks[place] for place in finite[non_dominated(means[finite])].tolist()] if len(finite) else []


def _correlations(
    networks: Sequence[TrainedNetwork], measure: str, resamples: int, seed: int, *, linear: bool = False
) -> dict[str, Estimate]:
    """A correlation of error and a disparity on test people, over samples of the networks.

    The better half, and those below a bound, are chosen by their error on validation people, so that nothing is chosen
    by its luck on test people.
    """
    order = sorted(networks, key=lambda network: network.mean(VALIDATION, "error"))
    samples = {
        "all": networks,
        "better half in error": order[: -(-len(order) // 2)],
        BELOW: [each for each in networks if each.mean(VALIDATION, "error") < ERROR_BELOW],
        BASELINES: [network for network in networks if network.of == BASELINES],
    }
    correlations = {}
    for name, sample in samples.items():
        pairs = ([network.mean(TEST, each) for network in sample] for each in ("error", measure))
        correlations[name] = measure_correlation(
            *pairs, linear=linear, names=("error", measure), resamples=resamples, seed=seed
        )
    return correlations


def _against(networks: Sequence[TrainedNetwork], measure: str, resamples: int, seed: int) -> FrontComparison | None:
    """Our front against that of the backbones; None where one of them is empty."""
    finite = [each for each in networks if all(np.isfinite(each.points(split, measure)).all() for split in SPLITS)]
    fronts = [front([each for each in finite if each.of == of], VALIDATION, measure) for of in (OURS, BASELINES)]
    if not all(fronts):
        return None
    points = ([network.points(TEST, measure) for network in networks] for networks in fronts)
    ours, baselines = (tuple(network.network for network in networks) for networks in fronts)
    return FrontComparison(
        our_front=ours,
        baselines_front=baselines,
        left_out=tuple(network.network for network in networks if network not in finite),
        fewest_seeds=tuple(min(len(network.seeds) for network in networks) for networks in fronts),
        volumes=front_difference(*points, np.random.default_rng(seed), resamples),
    )


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"{estimate.reason} (n = {estimate.n})"
    interval = estimate.interval
    ends = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "without interval"
    return f"{estimate.value:.2f} {ends} (n = {estimate.n})"


def _compared(name: str, comparison: FrontComparison | None, units: str) -> str:
    """Our front and that of the backbones, in error and one disparity."""
    if comparison is None:
        return f"{name}: nothing to compare; there have to be trainings of ours and of backbones with finite values"
    volumes, fewest = comparison.volumes, comparison.fewest_seeds
    if volumes.interval is None:
        verdict, ends = "cannot be told, a network was trained but once", ""
    else:
        low, high = volumes.interval
        ends = f" [{low:.3g}, {high:.3g}] over training seeds"
        verdict = "larger" if low > 0 else "smaller" if high < 0 else "not shown to differ"
    text = (
        f"error and {name}: on test {units} the hypervolume of our front ({listed(comparison.our_front)}) is "
        f"{verdict}: "
        f"{volumes.hypervolume[0]:.3g} against {volumes.hypervolume[1]:.3g} of the backbones' "
        f"({listed(comparison.baselines_front)}), both chosen on validation {units}; difference "
        f"{volumes.difference:.3g}{ends}, at least {fewest[0]} and {fewest[1]} seeds a network, ours larger in "
        f"{volumes.ahead:.0%} of resamples"
    )
    return f"{text}; left out, values not finite: {listed(comparison.left_out)}" if comparison.left_out else text


def draw(path: Path, study: BaselineStudy) -> None:
    """A panel a disparity, on test people: mean and standard error over seeds.

    Searched networks are filled circles, backbones open squares, grown networks triangles. Those on a panel's front
    are joined by a line and numbered, and the numbers are explained below.
    """
    numbers = {label: str(n) for n, label in enumerate(sorted({*sum(study.fronts.values(), ())}), 1)}
    looks = {of: look for of, look in LOOKS.items() if of != GROWN or any(each.of == of for each in study.networks)}
    figure, all_axes = panels(len(study.fronts), below=0.5 + 0.17 * len(numbers))
    for axes, (measure, front_labels) in zip(all_axes, study.fronts.items(), strict=True):
        on_front = []
        for of, (colour, marker, fill, name) in looks.items():
            points = []
            for network in study.networks:
                mean = [network.mean(TEST, each) for each in ("error", measure)]
                if network.of != of or not np.isfinite(mean).all():
                    continue
                points.append([*mean, *(network.standard_error(TEST, each) or 0.0 for each in ("error", measure))])
                if network.network in front_labels:
                    on_front.append((*mean, numbers[network.network]))
            x, y, dx, dy = zip(*points, strict=True) if points else ((),) * 4
            bars = {"fmt": marker, "color": colour, "mfc": fill, "ms": 6, "elinewidth": 0.8, "capsize": 2}
            axes.errorbar(x, y, xerr=dx, yerr=dy, label=f"{name} (n = {len(points)})", **bars)
        on_front.sort()
        axes.step([p[0] for p in on_front], [p[1] for p in on_front], where="post", color="black", lw=0.8, ls="--")
        for x, y, number in on_front:
            axes.annotate(number, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=9, fontweight="bold")
        axes.set_xlabel(f"error, test {study.units}")
        axes.set_ylabel(f"{spoken(measure)}, test {study.units}")
        axes.legend(fontsize=8)
    explained = "\n".join(f"{number}  {label}" for label, number in numbers.items())
    bars = "bars: standard error over training seeds; dashed: front by the means"
    figure.supxlabel(f"{bars}\n{explained}", fontsize=8, x=0.02, ha="left")
    save(figure, path)
