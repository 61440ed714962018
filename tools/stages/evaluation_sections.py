"""The sections of an evaluation, from one subject's embeddings: which faces, groups and pairs each of them takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.identification_report import (
    IdentificationProtocol,
    Resampling,
    disparity_report,
    open_set_report,
    rank_report,
)
from dualfair.evaluation.metrics.disparity import Disparity, largest_ratio_gap
from dualfair.evaluation.metrics.identification import COUNTS, Ranks, gallery_split
from dualfair.evaluation.metrics.pairs import Pairs, make_pairs
from dualfair.evaluation.scoring.distributed import ranks_together
from dualfair.evaluation.verification_report import VerificationProtocol, verification_report
from dualfair.supernet.training.process_group import ProcessGroup

PAIR_NUMBERS = (6000, 3000, 1200, 600, 200)
"""Numbers of pairs that are tried, largest first, where the faces come without a list of pairs."""


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of the images (N,): whether there are `several`, which are too `small`, and whether to `compare`.

    `labels` are all alike where there are no groups. `large` (N,) is true for images of groups that are compared.
    """

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
        """Images of groups with enough people; of all groups where there is nothing to compare."""
        return ~np.isin(self.labels, self.small) if self.compare else np.full(len(self.labels), True)


def groups_of(subject, least: int) -> Groups:
    """The groups of a subject's faces; those with fewer than `least` people are small."""
    if subject.groups is None:
        return Groups(np.full(len(subject.identities), "everyone"), ())
    people = Counter(dict(zip(subject.identities.tolist(), subject.groups.tolist(), strict=True)).values())
    return Groups(subject.groups, tuple(sorted(group for group, count in people.items() if count < least)))


def measure_sections(
    subject, measures, options, resampling: Resampling, notes: list[str], processes: ProcessGroup
) -> tuple[dict, dict]:
    """The sections of a report that were asked for, and the DET curves; what cannot be measured is noted.

    Ranks are shared out among `processes`; the rest is a matter of seconds and done by each.
    """
    groups = groups_of(subject, options.least_people)
    if groups.several and groups.small:
        named = ", ".join(groups.small)
        notes.append(f"not compared, fewer than {options.least_people} people (--least-people): {named}")
    protocol = IdentificationProtocol(
        measures=with_reference(measures, options.reference, groups),
        gallery=None if options.gallery == "all" else int(options.gallery),
        repeats=options.galleries,
        leave_out=groups.small,
        seed=options.seed,
    )
    sections, curves = {}, {}
    if {"identification", "disparity"} & set(options.sections):
        sections |= _identification(subject, groups, protocol, options, resampling, notes, processes)
    if "open-set" in options.sections:
        sections |= _open_set(subject, groups, protocol, resampling, notes)
    if "verification" in options.sections:
        verification, curves = _verification(subject, groups, options, resampling, notes)
        sections |= verification
    return sections, curves


def with_reference(measures: Mapping[str, object], reference: str, groups: Groups) -> dict[str, object]:
    """The measures, and every ratio also to the reference group alone. Raises ValueError for an unknown group."""
    if not reference:
        return dict(measures)
    compared = sorted(set(groups.labels.tolist()) - set(groups.small))
    if reference not in compared:
        raise ValueError(f"reference group {reference!r} is none of {', '.join(compared)}")
    ratios = [each for each in measures.values() if isinstance(each, Disparity) and each.reducer is largest_ratio_gap]
    return {**measures, **{each.name: each for each in (ratio.relative_to(reference) for ratio in ratios)}}


def _identification(
    subject,
    groups: Groups,
    protocol: IdentificationProtocol,
    options,
    resampling: Resampling,
    notes: list[str],
    processes: ProcessGroup,
) -> dict:
    embeddings, identities = subject.embeddings, subject.identities
    ranks_by_count = _ranked(embeddings, identities, options.enrol, options.seed, processes)
    by_images = ranks_by_count[COUNTS[0]]
    sections: dict = {
        "gallery": {
            "enrolled images of each person": options.enrol or "all against all",
            "images": by_images.gallery_images,
            "identities": by_images.gallery_identities,
            "excluded probes": by_images.excluded,
        }
    }
    if "identification" in options.sections:
        table = rank_report(ranks_by_count, identities, groups.labels, protocol, resampling)
        sections["identification"] = table if groups.several else table | {"groups": {}}
    if "disparity" not in options.sections:
        return sections
    if groups.compare:
        sections["disparities"] = disparity_report(
            ranks_by_count, embeddings, identities, groups.labels, protocol, resampling
        )
    else:
        notes.append("no disparities: there are not two groups to compare; name a column with --group")
    return sections


def _ranked(
    embeddings: np.ndarray, identities: np.ndarray, enrol: int, seed: int, processes: ProcessGroup
) -> dict[str, Ranks]:
    """Ranks by both counts: all against all, or probes against a gallery of `enrol` images of each person."""
    gallery = probes = np.arange(len(identities))
    if enrol:
        gallery, probes = gallery_split(identities, images_per_identity=enrol, seed=seed)
    return {count: ranks_together(embeddings, identities, gallery, probes, count, processes) for count in COUNTS}


def _open_set(
    subject, groups: Groups, protocol: IdentificationProtocol, resampling: Resampling, notes: list[str]
) -> dict:
    taken = groups.large
    try:
        return {
            "open_set": open_set_report(
                subject.embeddings[taken], subject.identities[taken], groups.labels[taken], protocol, resampling
            )
        }
    except ValueError as error:
        notes.append(f"no open set: {error}")
        return {}


def _verification(
    subject, groups: Groups, options, resampling: Resampling, notes: list[str]
) -> tuple[dict, dict[str, tuple]]:
    """The verification section and its curves: of the subject's own pairs, or of pairs drawn from its faces."""
    settings = VerificationProtocol(folds=options.folds, within_group=options.within_group, seed=options.seed)
    judged = subject.pair_subject or subject
    if subject.pairs is not None:
        pairs, vectors, people = subject.pairs, judged.embeddings, judged.identities
    else:
        taken = groups.large
        vectors, people = subject.embeddings[taken], subject.identities[taken]
        pairs = _drawn_pairs(people, groups.labels[taken], settings, notes)
    if pairs is None:
        return {}, {}
    grouped = groups.compare and judged is subject
    report, curves = verification_report(vectors, people, pairs, grouped, settings, resampling)
    return {"verification": report}, curves


def _drawn_pairs(
    identities: np.ndarray, groups: np.ndarray, settings: VerificationProtocol, notes: list[str]
) -> Pairs | None:
    """As many pairs as the faces have, of the usual numbers; None, with a note, where they have too few."""
    parts = 2 * settings.folds * (len(np.unique(groups)) if settings.within_group else 1)
    for number in PAIR_NUMBERS:
        try:
            pairs = make_pairs(
                identities,
                groups,
                pairs=-(-number // parts) * parts,
                folds=settings.folds,
                seed=settings.seed,
                within_group=settings.within_group,
            )
        except ValueError as error:
            reason = error
            continue
        notes.append(f"{len(pairs.same)} pairs were drawn (seed {settings.seed}), folds disjoint by identity")
        return pairs
    notes.append(f"no verification: {reason}")
    return None
