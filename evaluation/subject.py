"""One system under test, measured as a whole: which of its faces, groups and pairs every section of the report takes.

Shape legend: N images, D embedding.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from dualfair.evaluation.identification_report import (
    disparity_report,
    open_set_report,
    rank_report,
    std_acc_report,
)
from dualfair.evaluation.metrics.disparity import Disparity, largest_ratio_gap
from dualfair.evaluation.metrics.identification import COUNTS, gallery_split
from dualfair.evaluation.metrics.pairs import make_pairs
from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.report import EvaluationReport
from dualfair.evaluation.scoring.distributed import ranks_together
from dualfair.evaluation.statistics.bootstrap import CONFIDENCE
from dualfair.evaluation.verification_report import PairedFaces, verification_report
from dualfair.supernet.images.choice import Choice
from dualfair.supernet.images.pairs import listed_before, with_itself
from dualfair.supernet.training.process_group import ALONE, ProcessGroup

PAIR_NUMBERS = (6000, 3000, 1200, 600, 200)
"""Numbers of pairs that are tried, largest first, where the faces come without a list of pairs."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A system under test: its embeddings (N, D) of faces; `paired` are verified, None where pairs are to be drawn.

    Where the people of the faces are not `linked`, known within a pair only, nothing but their pairs is measured.
    """

    name: str
    seed: int
    embeddings: np.ndarray
    faces: Choice
    paired: PairedFaces | None = None
    notes: tuple[str, ...] = ()
    linked: bool = True

    def measure(
        self, disparities: Mapping[str, Callable], options: EvaluateOptions, processes: ProcessGroup = ALONE
    ) -> tuple[EvaluationReport, dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Its report and DET curves, see `measure_subject`."""
        return measure_subject(self, disparities, options, processes)


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of the images, `labels` (N,), all alike where there are none; `small` ones have too few people."""

    labels: np.ndarray
    small: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether there are two groups or more."""
        return len(np.unique(self.labels)) > 1

    @property
    def compare(self) -> bool:
        """Whether two groups or more have enough people."""
        return len(np.unique(self.labels)) - len(self.small) > 1

    @property
    def large(self) -> np.ndarray:
        """Images of groups with enough people (N,); of all groups where there is nothing to compare."""
        return ~np.isin(self.labels, self.small) if self.compare else np.full(len(self.labels), True)


def groups_of(faces: Choice, least: int) -> Groups:
    """The groups of faces; those with fewer than `least` people are small."""
    if faces.groups is None:
        return Groups(np.full(len(faces.identities), "everyone"), ())
    people = Counter(dict(zip(faces.identities.tolist(), faces.groups.tolist(), strict=True)).values())
    return Groups(faces.groups, tuple(sorted(group for group, count in people.items() if count < least)))


def measure_subject(
    subject: Subject, disparities: Mapping[str, Callable], options: EvaluateOptions, processes: ProcessGroup = ALONE
) -> tuple[EvaluationReport, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The report with the sections that were asked for, and the DET curves; what cannot be measured is noted.

    Ranks are shared out among `processes`; the rest is a matter of seconds and done by each. Raises ValueError for a
    reference group that is none of the groups that are compared.
    """
    faces, groups = subject.faces, groups_of(subject.faces, options.least_people)
    notes = list(subject.notes)
    if empty := int(np.count_nonzero(~subject.embeddings.any(axis=1))):
        notes.append(
            f"{empty} embeddings are 0 throughout, as where no face was found: as far from everybody, and judged"
        )
    if groups.several and groups.small:
        named = ", ".join(groups.small)
        notes.append(f"not compared, fewer than {options.least_people} people (--least-people): {named}")
    measures = with_reference(disparities, options.reference, groups)
    sections, curves, asked = {}, {}, options.sections
    if not subject.linked:
        others = [name for name in asked if name != "verification"]
        asked = [name for name in asked if name == "verification"]
        notes += [f"not measured, as people are known within a pair only: {', '.join(others)}"] if others else []
    if {"identification", "disparity"} & set(asked):
        sections |= _identification(subject, groups, measures, options, notes, processes)
    embeddings, identities, labels = (
        array[groups.large] for array in (subject.embeddings, faces.identities, groups.labels)
    )
    if "open-set" in asked:
        try:
            sections["open_set"] = open_set_report(embeddings, identities, labels, options)
        except ValueError as error:
            notes.append(f"no open set: {error}")
    if "verification" in asked:
        paired = subject.paired or drawn_pairs(embeddings, identities, labels, options, notes)
        if subject.paired:
            notes += _doubts_about(subject.paired)
        if paired is not None:
            of_list = paired.pairs.groups.ndim == 1
            paired = replace(paired, grouped=paired.grouped and (of_list or groups.compare))
            sections["verification"], curves = verification_report(paired, options)
    report = EvaluationReport(
        name=subject.name,
        training_seed=subject.seed,
        faces=faces.description,
        images=len(faces.identities),
        identities=len(set(faces.identities.tolist())),
        group_column=faces.group_column,
        options=asdict(options),
        intervals=f"{CONFIDENCE:.0%} bootstrap over people as probes, gallery fixed, {options.interval}",
        notes=tuple(notes),
        **sections,
    )
    return report, curves


def with_reference(measures: Mapping[str, Callable], reference: str, groups: Groups) -> dict[str, Callable]:
    """The measures, and every ratio also to the reference group alone. Raises ValueError for an unknown group."""
    if not reference:
        return dict(measures)
    compared = sorted(set(groups.labels.tolist()) - set(groups.small))
    if reference not in compared:
        raise ValueError(f"reference group {reference!r} is none of {', '.join(compared)}")
    return {
        **measures,
        **{
            f"{name}_to_{reference}": each.relative_to(reference)
            for name, each in measures.items()
            if isinstance(each, Disparity) and each.reducer is largest_ratio_gap
        },
    }


def _identification(
    subject: Subject,
    groups: Groups,
    measures: Mapping[str, Callable],
    options: EvaluateOptions,
    notes: list[str],
    processes: ProcessGroup,
) -> dict[str, object]:
    """Who is enrolled, and what follows from ranks: all against all, probes against `enrol` images a person, or against
    all that are none."""
    embeddings, identities, labels = subject.embeddings, subject.faces.identities, groups.labels
    gallery = probes = np.arange(len(identities))
    if options.enrol:
        gallery, probes = gallery_split(identities, images_per_identity=options.enrol, seed=options.seed)
    enrolled = options.enrol or "all against all"
    if (looked_for := subject.faces.probes) is not None:
        gallery, probes = np.flatnonzero(~looked_for), np.flatnonzero(looked_for)
        enrolled = f"all but {options.probes}"
    ranks = {count: ranks_together(embeddings, identities, gallery, probes, count, processes) for count in COUNTS}
    by_images = ranks[COUNTS[0]]
    sections: dict[str, object] = {
        "gallery": {
            "enrolled images of each person": enrolled,
            "images": by_images.gallery_images,
            "identities": by_images.gallery_identities,
            "excluded probes": by_images.excluded,
        }
    }
    if "identification" in options.sections:
        report = rank_report(ranks, identities, labels, options)
        sections["identification"] = report if groups.several else replace(report, groups={})
    if "disparity" in options.sections and groups.compare:
        sections["disparities"] = (
            *disparity_report(ranks, embeddings, identities, labels, measures, groups.small, options),
            std_acc_report(by_images, identities, labels, groups.small, options),
        )
    elif "disparity" in options.sections:
        notes.append("no disparities: there are not two groups to compare; name a column with --group")
    return sections


def _doubts_about(paired: PairedFaces) -> list[str]:
    """What is to be said of a list of pairs, which is taken as it is. Raises ValueError where it contradicts itself."""
    pairs = paired.pairs
    wrong = (paired.identities[pairs.left] == paired.identities[pairs.right]) != pairs.same
    if wrong.any():
        first = np.flatnonzero(wrong)[0]
        left, right = paired.identities[[pairs.left[first], pairs.right[first]]]
        said = "one person" if pairs.same[first] else "two people"
        raise ValueError(
            f"{np.count_nonzero(wrong)} of {len(wrong)} pairs contradict the identities of their images, the first is "
            f"said to be of {said} and has {str(left)!r} and {str(right)!r}; correct the list or the identities"
        )
    return [
        f"{np.count_nonzero(doubtful)} pairs of the list {what}"
        for doubtful, what in (
            (with_itself(pairs.left, pairs.right), "are of an image with itself, which any system gets right"),
            (listed_before(pairs.left, pairs.right), "stand there before, in this order or the other, and count again"),
        )
        if doubtful.any()
    ]


def drawn_pairs(
    embeddings: np.ndarray, identities: np.ndarray, groups: np.ndarray, options: EvaluateOptions, notes: list[str]
) -> PairedFaces | None:
    """As many pairs as the faces have, of the usual numbers; None, with a note, where they have too few."""
    parts = 2 * options.folds * (len(np.unique(groups)) if options.within_group else 1)
    for number in PAIR_NUMBERS:
        try:
            pairs = make_pairs(
                identities,
                groups,
                pairs=-(-number // parts) * parts,
                folds=options.folds,
                seed=options.seed,
                within_group=options.within_group,
            )
        except ValueError as error:
            reason = error
            continue
        notes.append(f"{len(pairs.same)} pairs were drawn (seed {options.seed}), folds disjoint by identity")
        return PairedFaces(embeddings, identities, pairs)
    notes.append(f"no verification: {reason}")
    return None
