"""The tables of a run's report, from records of its stages, and the numbers that sentences about them rest on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dualfair.presentation.format import listed, number, spoken
from dualfair.presentation.table import Column, Table, interval_columns, spread_columns, table
from dualfair.reporting.setting import Setting
from dualfair.runs.records.ranking import ConvergenceStudy, MeasureStudy, RankingStudy
from dualfair.runs.records.search import Front
from dualfair.runs.records.training import SPLITS
from dualfair.runs.run_files import RunFiles
from dualfair.stages.recommendation import TrainedNetwork
from dualfair.supernet.images import PEOPLE
from dualfair.supernet.operations import OPERATION_NAMES
from dualfair.supernet.training.checkpoint import checkpoints, load_checkpoint, read_record
from dualfair.supernet.training.counters import UpdateCounters

LEAST = 3
"""Networks without which no correlation is defined."""


def network_table(networks: Sequence[TrainedNetwork], objectives: Sequence[str], units: str = PEOPLE) -> Table:
    """All trained networks: the objectives on both splits with standard errors over seeds, and sizes."""
    cells = [(split, name) for split in reversed(SPLITS) for name in objectives]
    columns = [Column("network", "text"), Column("trained as", "text"), Column("trainings", "whole")]
    columns += [column for split, name in cells for column in spread_columns(f"{split} {spoken(name)}")]
    columns += [Column("test images", "whole"), Column("parameters", "millions"), Column("MACs", "millions")]
    rows = []
    for network in networks:
        means = [network.on(split)[name] for split, name in cells]
        values = [value for mean in means for value in (mean.mean, mean.standard_error)]
        sizes = network.probes, network.params, network.macs
        rows.append([network.label, ", ".join(network.samples), network.seeds, *values, *sizes])
    caption = f"Networks trained by themselves, best on test {units} first (± one standard error over trainings)"
    return table(columns, rows, caption)


def group_table(networks: Sequence[TrainedNetwork], people: Mapping[str, int], units: str = PEOPLE) -> Table:
    """Error and mean rank of every group on test people, for every network; `people` are those of each group."""
    columns = [Column("network", "text"), Column("group", "text")]
    apart = units != "images"
    columns += [Column(name, "whole") for name in ((units,) if apart else ()) + ("images", "trainings")]
    columns += [*spread_columns("error"), *spread_columns("mean rank")]
    rows = [
        [
            *(network.label, group.group, *([people.get(group.group)] if apart else [])),
            *(group.probes, network.seeds),
            *(value for mean in (group.error, group.mean_rank) for value in (mean.mean, mean.standard_error)),
        ]
        for network in networks
        for group in network.groups
    ]
    return table(columns, rows, f"Each group on test {units} (± one standard error over trainings)")


def front_table(front: Front, units: str = PEOPLE) -> Table:
    """The networks on the search's front or on the confirmed one, with their scores on the search's people and on fresh
    ones. Raises KeyError for a network without a score."""
    confirmed = {network.genotype: network for network in front.networks}
    searched = {network.genotype: network for network in front.confirmation.search_front} if front.confirmation else {}
    fronts = {"search's front": searched or confirmed, f"front on fresh {units}": confirmed if searched else {}}
    networks = {**searched, **confirmed}
    fresh = [name for name in front.objectives if any(name in (each.confirmed or {}) for each in networks.values())]
    columns = [Column("network", "text"), Column("is on the", "text")]
    columns += [Column(f"{spoken(name)}, search") for name in front.objectives]
    columns += [column for name in fresh for column in interval_columns(f"{spoken(name)}, fresh {units}")]
    rows = []
    for genotype, network in networks.items():
        row = [str(genotype), " and ".join(name for name, members in fronts.items() if genotype in members)]
        row += [number(network.values[name]) for name in front.objectives]
        ends = [f"{name}{end}" for name in fresh for end in ("", " low", " high")]
        rows.append([*row, *(number((network.confirmed or {}).get(end)) for end in ends)])
    caption = "Networks of the search's front"
    if fresh:
        caption += f" and of the front on fresh {units} [95 % over {units}]"
    if front.config.predicted:
        caption += f"; {listed([spoken(name) for name in front.config.predicted])} predicted [95 % of trainings]"
    return table(columns, rows, caption)


@dataclass(frozen=True)
class RankedSample:
    """The part of a ranking study that its answer rests on: on test people, the networks of the `sample` "random", the
    honest ones, where there are LEAST or more, else "all". Networks that are not in it are `left_out`; `convergence` is
    None where it was not checked."""

    sample: str
    seeds: int
    measures: Mapping[str, MeasureStudy]
    left_out: tuple[str, ...]
    convergence: ConvergenceStudy | None = None


def ranked_sample(study: RankingStudy) -> RankedSample:
    """What the answer rests on. Raises KeyError where the study is not of test people."""
    by_split = {name.partition(" ")[0]: of for name, of in study.studies.items()}
    samples = by_split["test"].samples
    sample = "random" if "random" in samples and samples["random"].n >= LEAST else "all"
    left_out = (*study.missing, *study.left_out)
    return RankedSample(sample, study.seeds, samples[sample].measures, left_out, study.convergence)


def ranking_table(study: RankingStudy, units: str = PEOPLE) -> Table:
    """Kendall's tau of the inherited score and its ceiling, of every sample, split and measure; also within heads where
    there are several, and of predictions by the other networks' trainings where there are such."""
    columns = [*(Column(name, "text") for name in ("networks chosen", units, "measure")), Column("n", "whole")]
    columns += [*interval_columns("tau", "tau"), Column("p, one-sided"), *interval_columns("ceiling", "tau")]
    measures = study.measures.values()
    several, predicted = any(each.within_heads for each in measures), any(each.predicted for each in measures)
    columns += interval_columns("tau within heads", "tau") if several else []
    columns += interval_columns("tau of predictions", "tau") if predicted else []
    rows = []
    for people, of_people in study.studies.items():
        for sample, of_sample in of_people.samples.items():
            for name, measure in of_sample.measures.items():
                tau, ceiling = measure.correlation, measure.ceiling.truth
                who = sample, people.replace("identities", "people"), spoken(name), measure.n
                ends = [tau.interval or (None, None), ceiling.interval or (None, None)]
                row = [*who, tau.tau, *ends[0], measure.p, ceiling.tau, *ends[1]]
                if several:
                    within = measure.within_heads
                    row += [within.value, *(within.interval or (None, None))] if within else [None] * 3
                if predicted:
                    ours = measure.predicted and measure.predicted.correlation
                    row += [ours.tau, *(ours.interval or (None, None))] if ours else [None] * 3
                rows.append(row)
    return table(columns, rows, "Kendall's tau [95 % over networks] of every sample")


@dataclass(frozen=True)
class Updates:
    """How often training updated the operations, `least` to `most`, after a `step` of so many `steps`, of which some
    were `skipped`. `equal` says whether all operations of all places have the same count, and heads, whose number need
    not divide that of the paths, the same but for one."""

    step: int
    steps: int
    sampler: str | None
    skipped: int
    least: int
    most: int
    equal: bool


def count_updates(files: RunFiles, setting: Setting) -> tuple[Updates, Table] | None:
    """The counters in the supernet's newest checkpoint, and least and most updates at each place; None without one.

    Without the run's space every operation counts. Raises ValueError where the checkpoint cannot be read.
    """
    paths = checkpoints(files.layout.train.folder)
    if not paths:
        return None
    record, counters = read_record(paths[-1]), UpdateCounters.of_checkpoint(load_checkpoint(paths[-1]))
    space, allowed = setting.space, {}
    for choice_block, genes in zip(space.choice_blocks, space.genes, strict=True) if space else ():
        allowed |= dict.fromkeys(genes, choice_block.codes)
    rows, counts = [], []
    for block, positions in enumerate(counters.operations.tolist()):
        for position, updates in enumerate(positions):
            at_place = [updates[code] for code in allowed.get((block, position), range(len(OPERATION_NAMES)))]
            counts += at_place
            rows.append(_row(f"block {block + 1}, position {position + 1}", at_place, allowed_rest=0))
    heads = list(counters.heads.values())
    rows.append(_row("head", heads, allowed_rest=1 if heads and sum(heads) % len(heads) else 0))
    whole = (Column(name, "whole") for name in ("choices", "least updates", "most updates"))
    columns = [Column("place", "text"), *whole, Column("equal", "mark")]
    sampler = setting.config.options.sampler if setting.config else None
    equal = min(counts) == max(counts) and rows[-1][-1]
    updates = Updates(record.step, record.steps, sampler, counters.skipped, min(counts), max(counts), equal)
    return updates, table(columns, rows, "Updates at each place")


def _row(place: str, updates: Collection[int], allowed_rest: int) -> list:
    least, most = (min(updates), max(updates)) if updates else (0, 0)
    return [place, len(updates), least, most, most - least <= allowed_rest]
