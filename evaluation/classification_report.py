"""Classification as a report: errors and balanced accuracy, by class and by group, and disparities.

Shape legend: N images, K classes, G groups.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from dualfair.evaluation.answers import ClassifiedImages
from dualfair.evaluation.identification_report import disparity_report
from dualfair.evaluation.metrics.classification import RATES, rate_difference
from dualfair.evaluation.metrics.disparity import DISPARITIES, MINIMUM_PROBES, values_of
from dualfair.evaluation.objectives import TOP
from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.report import (
    Classification,
    ClassRates,
    DisparityRow,
    EvaluationReport,
    Number,
    intervals,
)
from dualfair.evaluation.statistics.bootstrap import CONFIDENCE, Interval
from dualfair.evaluation.statistics.jackknife import GROUPS, group_jackknife
from dualfair.evaluation.subject import groups_of, with_reference
from dualfair.supernet.images.choice import Choice
from dualfair.supernet.training.process_group import ALONE, ProcessGroup


@dataclass(frozen=True, eq=False)
class ClassifiedSubject:
    """A network under test on labelled images: what it answered, and which images these are, counted in `units`."""

    name: str
    seed: int
    images: ClassifiedImages
    chosen: Choice
    units: str
    notes: tuple[str, ...] = ()

    def measure(
        self, disparities: Mapping[str, Callable], options: EvaluateOptions, processes: ProcessGroup = ALONE
    ) -> tuple[EvaluationReport, dict[str, tuple[np.ndarray, np.ndarray]]]:
        """As `subject.Subject.measure`; there are no curves, and nothing that only faces have."""
        groups, notes, images = groups_of(self.chosen, options.least_people), list(self.notes), self.images
        faces_only = [] if options.metrics == "all" else [name for name in options.sections if name != "disparity"]
        if faces_only:
            notes.append(f"not measured, as only faces have it: {', '.join(faces_only)}")
        if groups.several and groups.small:
            notes.append(
                f"not compared, fewer than {options.least_people} {self.units} (--least-people): "
                f"{', '.join(groups.small)}"
            )
        rows = None
        if "disparity" in options.sections and groups.compare:
            measures = with_reference(disparities, options.reference, groups)
            rows = (
                *_of_correctness(images, measures, groups.small, options),
                *_of_rates(images.take(np.flatnonzero(groups.large)), options),
            )
        elif "disparity" in options.sections:
            notes.append("no disparities: there are not two groups to compare; name a column with --group")
        report = EvaluationReport(
            name=self.name,
            training_seed=self.seed,
            faces=self.chosen.description,
            images=len(images.labels),
            identities=len(np.unique(images.identities)),
            group_column=self.chosen.group_column,
            options=asdict(options),
            intervals=f"{CONFIDENCE:.0%} bootstrap over {self.units}, {options.interval}; of {', '.join(RATES)} by "
            f"leaving out one of {GROUPS} parts of them",
            notes=tuple(notes),
            units=self.units,
            classification=classification_report(images, options, groups.several),
            disparities=rows,
        )
        return report, {}


def classification_report(images: ClassifiedImages, options: EvaluateOptions, by_group: bool) -> Classification:
    """Error, top-5 error where there are more classes than that, and balanced accuracy, of all images and of every
    group; and the accuracy of every class. A number of fewer than MINIMUM_PROBES images is undefined."""
    ranks, labels, classes = images.ranks().values, images.labels, len(images.class_names)
    names = np.unique(images.groups).tolist() if by_group else []
    scopes = [np.full(len(labels), True), *(images.groups == name for name in names)]
    right, shares = ranks == 0, [ranks > 0, *([ranks >= TOP] if classes > TOP else [])]

    def statistic(rows: np.ndarray) -> np.ndarray:
        values: list[float] = []
        for members in scopes:
            of_scope = rows[members[rows]]
            values += [_mean(share[of_scope]) for share in shares]
            values.append(float(np.nanmean(by_class(of_scope, least=1))) if len(of_scope) >= MINIMUM_PROBES else np.nan)
        return np.array([*values, *by_class(rows, least=MINIMUM_PROBES)])

    def by_class(rows: np.ndarray, least: int) -> np.ndarray:
        """The share of every class's images that is classified right (K,); nan for fewer images than `least`."""
        n = np.bincount(labels[rows], minlength=classes)
        return np.where(n >= least, np.bincount(labels[rows], right[rows], classes) / np.maximum(n, 1), np.nan)

    everything = np.arange(len(labels))
    sizes = [int(members.sum()) for members in scopes for _ in range(len(shares) + 1)]
    sizes += np.bincount(labels, minlength=classes).tolist()
    of_values = intervals(statistic, images.identities, options)
    numbers = list(map(Number.of, statistic(everything).tolist(), sizes, of_values))
    width, rates = len(shares) + 1, []
    for start in range(0, width * len(scopes), width):
        error, *top5_error, balanced_accuracy = numbers[start : start + width]
        rates.append(ClassRates(error, balanced_accuracy, *top5_error))
    everyone, *of_groups = rates
    return Classification(
        everyone,
        dict(zip(map(str, names), of_groups, strict=True)),
        dict(zip(images.class_names, numbers[width * len(scopes) :], strict=True)),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) >= MINIMUM_PROBES else float("nan")


def _of_correctness(
    images: ClassifiedImages, measures: Mapping[str, Callable], leave_out: tuple[str, ...], options: EvaluateOptions
) -> list[DisparityRow]:
    """The disparities of right and wrong, and the user's own."""
    asked = {name: each for name, each in measures.items() if values_of(each) == "correct" or name not in DISPARITIES}
    ranked = images.ranks()
    rows = disparity_report(
        {ranked.count: ranked}, images.scores, images.identities, images.groups, asked, leave_out,
        replace(options, gallery="all"),
    )  # fmt: skip
    variants = {
        name: "right or wrong" if values_of(each) == "correct" else "class ranks" for name, each in asked.items()
    }
    return [replace(row, variant=variants[row.name]) for row in rows]


def _of_rates(images: ClassifiedImages, options: EvaluateOptions) -> list[DisparityRow]:
    """SPD, EOD and AOD of the groups, each the largest over all classes taken as positive."""
    positives, predicted, rows = range(len(images.class_names)), images.predicted, []
    people = len(np.unique(images.identities))
    for name in RATES:

        def statistic(part: np.ndarray, name: str = name) -> float:
            return rate_difference(name, predicted[part], images.labels[part], images.groups[part], positives)

        value, interval, undefined = statistic(np.arange(len(predicted))), None, ""
        if np.isnan(value):
            undefined = f"undefined (a class has fewer than {MINIMUM_PROBES} images of a group)"
        elif options.resamples:
            low, high = group_jackknife(statistic, images.identities, seed=options.seed, bounds=(0.0, 1.0))
            if np.isfinite([low, high]).all():
                interval = Interval(value, low, high, "jackknife", CONFIDENCE, GROUPS, 0, people, None)
        rows.append(
            DisparityRow(
                name=name,
                variant=f"largest over {len(images.class_names)} classes",
                value=None if undefined else value,
                fair=0.0,
                interval=interval,
                undefined=undefined,
            )
        )
    return rows
