"""Does the inherited score rank as standalone training does, over several supernets and ways of training them?

Shape legend: n networks, S training seeds.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dualfair.evaluation.network_features import network_features, with_inherited
from dualfair.evaluation.statistics.ceiling import NoiseCeiling, TruthCeiling, noise_ceiling, truth_ceiling
from dualfair.evaluation.statistics.mean_tau import MeanTau, all_taus, mean_tau, resampled_networks
from dualfair.evaluation.statistics.prediction import Features
from dualfair.presentation.figures import BLUE, GREY, ORANGE, save
from dualfair.presentation.format import listed, quoted, spoken, two
from dualfair.presentation.table import Column, Table, interval_columns, table
from dualfair.runs.config import changed, read_toml
from dualfair.runs.devices import Workplace, describe, working_beside
from dualfair.runs.options import ProtocolOptions, RetrainOptions, TrainOptions
from dualfair.runs.records.codec import Record, keyed
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.trained_run import open_trained
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.inherited import inherited_scores
from dualfair.stages.retrain import HowTrained
from dualfair.stages.train import train
from dualfair.studies.supernets import StudyOptions
from dualfair.studies.supernets.prediction import predicted_taus
from dualfair.studies.supernets.truth import Truth, read_truth, trained_truth
from dualfair.supernet.files import write_csv
from dualfair.supernet.images.store import open_store
from dualfair.supernet.training.recipe import Recipe

COMPARISON = Path(__file__).parent / "comparison.toml"
"""The comparison that comes along."""
BASE = "default"
"""The variant that differs in nothing; all others are compared with it."""
COSTS = ("params", "macs")
WITHOUT = "no supernet"
"""The row of predictions by trainings alone, from operations and costs."""


@dataclass(frozen=True)
class Variant:
    """One way to train supernets and to score by their weights."""

    name: str
    train: TrainOptions
    recipe: Recipe
    protocol_options: ProtocolOptions

    @property
    def training(self) -> tuple[TrainOptions, Recipe]:
        """What decides about the weights: variants that are equal in it share their supernets."""
        return self.train, self.recipe


def variants_of(
    train: TrainOptions, recipe: Recipe, protocol_options: ProtocolOptions, path: Path | None = None
) -> list[Variant]:
    """What the options say, and the variants of a file, or of the COMPARISON where `path` is its bare name.

    Every table [name] of the file holds what differs: any field of the recipe, `sampler`, `calibrate` and `people`.
    None of them changes what is true of a network that is trained by itself. Raises ValueError for a file that is not
    TOML, or an option or a value that is not one of these.
    """
    variants = [Variant(BASE, train, recipe, protocol_options)]
    path = COMPARISON if path is not None and str(path) == COMPARISON.stem else path
    for name, values in (read_toml(path, "variants") if path else {}).items():
        if not isinstance(values, dict):
            raise ValueError(f"variants {path}: {name} = {values!r} stands in no table; write [name of the variant]")
        if name == BASE:
            raise ValueError(f"variants {path}: [{BASE}] is the name of what the options say; take another")
        taken = [*COSTS, WITHOUT, *(variant.name for variant in variants)]
        if like := next((other for other in taken if _folder_name(other) == _folder_name(name)), None):
            raise ValueError(f"variants {path}: [{name}] is too much like {like!r} for a folder and a row of its own")
        try:
            _check_options(values)
            configs = (changed(config, values) for config in (train, recipe, protocol_options))
            variants.append(Variant(name, *configs))
        except ValueError as error:
            raise ValueError(f"variants {path}: [{name}] {error}") from None
    return variants


def _check_options(values: Mapping[str, object]) -> None:
    known = ("sampler", "calibrate", "people", *(field.name for field in dataclasses.fields(Recipe)))
    for option, value in values.items():
        if option not in known:
            raise ValueError(f"cannot set {option}; choose from {', '.join(known)}")
        if isinstance(value, str) and ":" in value:
            raise ValueError(f"cannot name {value!r}, which would run code; a file may not")


@dataclass(frozen=True)
class StandaloneCeilings(Record):
    """How well the trainings rank networks themselves: tau between two of them, and what their exact mean would
    reach."""

    noise_ceiling: NoiseCeiling
    ceiling: TruthCeiling


@dataclass(frozen=True)
class SupernetStudy(Record):
    """The same `networks` ranked by the supernets of every variant, and by standalone trainings of so many seeds.

    By measure, on test people, there are the ceilings of the `standalone` trainings, and tau of inherited scores with
    their mean: of the `variants`, each beside the first one, and of the `baselines` params and macs, in the direction
    that ranks better. `within_heads` has both over the pairs of networks with the same head, where there are several.
    `predicted` has, by variant and measure, tau of the networks that so many trainings, by their number, do not hold
    with what they predict from inherited scores, operations and costs, mean of the supernets; and WITHOUT any.
    """

    options: StudyOptions
    networks: tuple[str, ...]
    seeds: int
    standalone: Mapping[str, StandaloneCeilings] = keyed("truth")
    variants: Mapping[str, Mapping[str, MeanTau]]
    baselines: Mapping[str, Mapping[str, MeanTau]]
    within_heads: Mapping[str, Mapping[str, MeanTau]] = field(default_factory=dict)
    predicted: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)

    def table(self) -> Table:
        """A row a measure and variant, then those of the baselines and of the ceilings."""
        columns = [Column("measure", "text"), Column("variant", "text"), *interval_columns("tau", "tau")]
        columns += [*interval_columns(f"less {next(iter(self.variants))}", "tau"), Column("every supernet", "text")]
        columns += interval_columns("within heads", "tau") if self.within_heads else []
        sizes = sorted({size for of in self.predicted.values() for taus in of.values() for size in taus}, key=int)
        columns += [Column(f"predicted by {size}", "tau") for size in sizes]
        rows: list[list[object]] = []

        def predictions(name: str, measure: str) -> list[object]:
            taus = self.predicted.get(name, {}).get(measure, {})
            return [taus.get(size) for size in sizes]

        for measure, of in self.standalone.items():
            for name, by_measure in {**self.variants, **self.baselines}.items():
                result = by_measure[measure]
                single = " ".join(map(two, result.taus)) if len(result.taus) > 1 else None
                ends = (result.interval or (None, None)), (result.difference_interval or (None, None))
                rows.append([spoken(measure), name, result.mean, *ends[0], result.difference, *ends[1], single])
                if self.within_heads:
                    within = self.within_heads[name][measure]
                    rows[-1] += [within.mean, *(within.interval or (None, None))]
                rows[-1] += predictions(name, measure)
            if sizes:
                blank = [None] * (len(columns) - 2 - len(sizes))
                rows.append([spoken(measure), WITHOUT, *blank, *predictions(WITHOUT, measure)])
            ceiling = of.ceiling.tau, *(of.ceiling.interval or (None, None))
            rows.append([spoken(measure), "most that the truth's noise allows", *ceiling])
            rows.append([spoken(measure), "between two trainings of the truth", of.noise_ceiling.mean])
        return table(columns, [[*row, *[None] * (len(columns) - len(row))] for row in rows])

    def sentences(self) -> list[str]:
        """How reliable the truth is, which variants have a difference to the first one with an interval without 0, and
        of how many comparisons."""
        first, *others = self.variants
        reliable = [
            f"{spoken(measure)} {two(of.ceiling.reliability)}"
            for measure, of in self.standalone.items()
            if of.ceiling.reliability is not None
        ]
        truth = f"Reliability of the truth, the mean of {self.seeds} trainings, 1 = noise does not matter: "
        lines = []
        for name, measure in ((name, measure) for name in others for measure in self.standalone):
            result = self.variants[name][measure]
            low, high = result.difference_interval or (0, 0)
            if low > 0 or high < 0:
                word = "better" if low > 0 else "worse"
                difference = f"{result.difference:+.2f} [{low:.2f}, {high:.2f}]"
                lines.append(f"{name} ranks {spoken(measure)} {word} than {first}: {difference}")
        if compared := len(others) * len(self.standalone):
            none = f"No other difference to {first} is shown" if lines else "No difference is shown"
            lines.append(f"{none}; of {compared} comparisons one in twenty would differ by luck")
        return [truth + listed(reliable), *lines] if reliable else lines


def study(
    place: Workplace,
    faces: Path,
    variants: Sequence[Variant],
    options: StudyOptions,
    *,
    standalone_table: Path | None = None,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> SupernetStudy:
    """Train what is missing in a folder, and write the study of all variants there; the first variant's first supernet
    hosts the standalone trainings. A `standalone_table` of published scores takes their place (`read_truth`).

    A training that `should_stop` ends is saved before `runs.watching.Stopped` is raised. Raises ValueError where
    options, faces and table do not fit, or the folder was begun with others.
    """
    directory, folder = place.directory, place.directory.path
    directory.record_command(directory.layout.stage("study"), describe(place.processes.device))
    names: dict[tuple[TrainOptions, Recipe], str] = {}
    first = variants[0]
    truth: Truth | None = None
    if standalone_table is not None:
        options_of_set = first.train.on(open_store(faces).task)
        truth = read_truth(standalone_table, options_of_set, first.protocol_options, options.networks)
    inherited: dict[str, list[dict[str, np.ndarray]]] = {}
    for variant in variants:
        runs = _supernets(folder, names.setdefault(variant.training, variant.name), options.supernets)
        for number, run in enumerate(runs):
            seeded = replace(variant.train, seed=variant.train.seed + number)
            with working_beside(place, run, make=True) as beside:
                train(beside, faces, seeded, variant.recipe, progress=progress, should_stop=should_stop)
        if truth is None:
            how = HowTrained(
                options=RetrainOptions(seeds=options.seeds, controls=0),
                recipe=replace(variant.recipe, epochs=options.standalone_epochs),
                protocol=variant.protocol_options,
                progress=progress,
                should_stop=should_stop,
            )
            with working_beside(place, runs[0]) as beside:
                truth = trained_truth(beside, options.networks, variant.train.seed, how)
        inherited[variant.name] = []
        for run in runs:
            with working_beside(place, run) as beside:
                supernet, config = open_trained(beside.directory, beside.processes), variant.protocol_options
                scores = inherited_scores(supernet, truth.genotypes, SearchConfig.of(config))
                inherited[variant.name].append(scores)
        features = network_features(truth.genotypes, supernet.setting.space, supernet.setting.skeleton)
        record = study_of(tuple(map(str, truth.genotypes)), truth.scores, inherited, options, features)
        record.write(folder / "study.json")
    units = supernet.setting.splits["test"].units
    compared = f"the trainings on test {units}" if standalone_table is None else f"those in {standalone_table}"
    directory.say(
        f"Study: {len(record.networks)} random networks, {record.seeds} trainings each; inherited scores on validation "
        f"{units} against the mean of {compared}. Kendall's tau, mean of the supernets [95 % over networks]"
    )
    for line in (*record.table().lines(), *record.sentences()):
        directory.say(line)
    write_csv(folder / "study.csv", record.table().csv())
    draw(folder / "study.png", record)
    directory.say(f"Numbers: {folder / 'study.json'} and study.csv, picture: {folder / 'study.png'}")
    if standalone_table is None:
        directory.say(f"Next: dualfair correlate --run {quoted(_supernets(folder, BASE, 1)[0])}")
    return record


def _supernets(folder: Path, training: str, count: int) -> list[Path]:
    """The run directories of the supernets that are trained so."""
    return [folder / "supernets" / f"{_folder_name(training)}-{number}" for number in range(count)]


def _folder_name(variant: str) -> str:
    return re.sub("[^a-z0-9]+", "-", variant.lower())


def study_of(
    networks: tuple[str, ...],
    standalone: Mapping[str, np.ndarray],
    inherited: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    options: StudyOptions,
    features: Features | None = None,
    *,
    seed: int = 0,
) -> SupernetStudy:
    """The study of a `Truth`'s scores; `inherited` are the scores of every variant by supernet and column, (n,), and
    `features` what is known of the networks without either, as of `network_features`."""
    counts = resampled_networks(len(networks), options.resamples, seed)
    first = next(iter(inherited))
    heads = np.array([name.partition(":")[2] for name in networks])
    variants: dict[str, dict[str, MeanTau]] = {name: {} for name in inherited}
    baselines: dict[str, dict[str, MeanTau]] = {name: {} for name in COSTS}
    within: dict[str, dict[str, MeanTau]] = {name: {} for name in (*variants, *baselines)}
    for measure, scores in standalone.items():
        truth = scores[:, :, 0].mean(axis=1)
        base = all_taus([supernet[measure] for supernet in inherited[first]], truth, counts)
        for name, supernets in inherited.items():
            of_variant = all_taus([supernet[measure] for supernet in supernets], truth, counts)
            variants[name][measure] = mean_tau(of_variant, None if name == first else base)
            of_heads = all_taus([supernet[measure] for supernet in supernets], truth, counts, heads)
            within[name][measure] = mean_tau(of_heads)
        for name in COSTS:
            of_cost = all_taus([inherited[first][0][name]], truth, counts)
            sign = -1 if of_cost[0, 0] < 0 else 1
            baselines[name][measure] = mean_tau(sign * of_cost, base)
            within[name][measure] = mean_tau(sign * all_taus([inherited[first][0][name]], truth, counts, heads))
    return SupernetStudy(
        options=options,
        networks=networks,
        seeds=next(iter(standalone.values())).shape[1],
        standalone={
            name: StandaloneCeilings(
                noise_ceiling(of[:, :, 0]),
                truth_ceiling(of[:, :, 0], of[:, :, 1:] if of.shape[2] > 1 else None, seed=seed),
            )
            for name, of in standalone.items()
        },
        variants=variants,
        baselines=baselines,
        within_heads=within if len(set(heads)) > 1 else {},
        predicted=_predicted(standalone, inherited, features, seed) if features else {},
    )


def _predicted(
    standalone: Mapping[str, np.ndarray],
    inherited: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    features: Features,
    seed: int,
) -> dict[str, dict[str, dict[str, float]]]:
    predicted: dict[str, dict[str, dict[str, float]]] = {}
    for measure, scores in standalone.items():
        truth = scores[:, :, 0].mean(axis=1)
        for name, supernets in inherited.items():
            of_all = [predicted_taus(with_inherited(each[measure], features), truth, seed) for each in supernets]
            sizes = set.intersection(*map(set, of_all))
            means = {size: float(np.mean([taus[size] for taus in of_all])) for size in sizes}
            predicted.setdefault(name, {})[measure] = means
        predicted.setdefault(WITHOUT, {})[measure] = predicted_taus(features, truth, seed)
    return predicted


def draw(path: Path, study: SupernetStudy) -> None:
    """A study of supernets on test people: a panel a measure, a row a variant or baseline with mean tau and interval,
    a cross for every supernet, and a line at the most that the truth's noise allows."""
    rows = {**study.variants, **study.baselines}
    figure = Figure(figsize=(1.6 + 2.4 * len(study.standalone), 1.6 + 0.34 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(study.standalone), sharey=True, sharex=True, squeeze=False)[0]
    for axes, (measure, of) in zip(panels, study.standalone.items(), strict=True):
        for place, (name, by_measure) in enumerate(rows.items()):
            result, colour = by_measure[measure], BLUE if name in study.variants else GREY
            if result.mean is None:
                continue
            axes.plot(result.interval or [result.mean] * 2, [place, place], color=colour, lw=1.5)
            axes.plot(result.mean, place, "o", color=colour, ms=5)
            single = [tau for tau in result.taus if tau is not None]
            axes.plot(single, [place] * len(single), "x", color=ORANGE, ms=5)
        axes.axvline(0, color=GREY, lw=0.8)
        if of.ceiling.tau is not None:
            axes.axvline(of.ceiling.tau, color="black", lw=0.8, ls="--")
        axes.set_title(spoken(measure), fontsize=9)
        axes.set_xlabel("Kendall's tau", fontsize=8)
    panels[0].set_yticks(range(len(rows)), rows)
    panels[0].invert_yaxis()
    save(figure, path)
