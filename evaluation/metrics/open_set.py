"""Open-set identification: find the enrolled person, and stay silent about people who are not enrolled.

Shape legend: N images, E probes of enrolled people, U probes of people who are not enrolled.
"""

from dataclasses import dataclass, replace

import numpy as np

from dualfair.evaluation.metrics.identification import gallery_split, identities_of_groups
from dualfair.evaluation.metrics.similarity import (
    arrange,
    checked_faces,
    checked_rows,
    comparisons,
    mates_in_gallery,
    tie_tolerance,
)

FEWEST_FALSE_POSITIVES = 10
"""A false positive rate that fewer probes than this make up says little: `OpenSet.warning` tells so."""


@dataclass(frozen=True, eq=False)
class OpenSetScores:
    """What a gallery answers to every probe. The score of a probe is its cosine to the nearest image of the gallery.

    Of the probes of enrolled people, images `enrolled` (E,): `mates` (E,) is the cosine to the nearest image of their
    identity, and `first` (E,) says that no image of another identity is as near, within `tolerance`; then it is the
    score. Of the probes of other people, images `unknown` (U,): `scores` (U,). Image numbers ascend. The `excluded`
    probes are the only image of their identity in the gallery: neither enrolled, apart from themselves, nor unknown.
    """

    enrolled: np.ndarray
    mates: np.ndarray
    first: np.ndarray
    unknown: np.ndarray
    scores: np.ndarray
    excluded: int
    gallery_images: int
    gallery_identities: int
    tolerance: float

    def __post_init__(self) -> None:
        for array in (self.enrolled, self.mates, self.first, self.unknown, self.scores):
            array.setflags(write=False)


@dataclass(frozen=True)
class OpenSet:
    """How a gallery does where it answers only to scores of `threshold`, a cosine, or more.

    `dir`, the detection and identification rate in [0, 1], higher is better: the share of the `enrolled` probes whose
    nearest image is their identity's, with no tie, and reaches the threshold. `fpir`, the false positive identification
    rate in [0, 1], lower is better: the share of the `unknown` probes whose score reaches the threshold. A rate over no
    probe is None, never 0. `warning` says where there are too few unknown probes to go by.
    """

    dir: float | None
    fpir: float | None
    threshold: float
    enrolled: int
    unknown: int
    warning: str = ""


def open_set_scores(
    embeddings: np.ndarray,
    identities: np.ndarray,
    gallery: np.ndarray,
    probes: np.ndarray | None = None,
    *,
    chunk: int | None = None,
) -> OpenSetScores:
    """Compares probes with a gallery of enrolled people.

    `embeddings` (N, D) are finite and of any length, `identities` (N,) are labels, `gallery` and `probes` numbers of
    images; the probes are all images outside the gallery unless given, and one inside is not compared with itself.
    A probe is of an unknown person where the gallery has no image of its identity. Work and memory are those of
    `identification.split_ranks`; `chunk` changes cosines by rounding only.

    Raises ValueError for shapes that do not fit, embeddings that are not finite, an empty gallery, and numbers that
    are not those of images or come twice.
    """
    embeddings, identities = checked_faces(embeddings, identities)
    n = len(identities)
    gallery = checked_rows("gallery", gallery, n)
    if not len(gallery):
        raise ValueError("gallery must hold at least one image to be identified by, got none")
    probes = np.setdiff1d(np.arange(n), gallery) if probes is None else checked_rows("probes", probes, n)
    has_mate = mates_in_gallery(identities, gallery, probes) > 0
    enrolled = probes[has_mate]
    unknown = probes[~has_mate & ~np.isin(identities[probes], identities[gallery])]
    mates, first, best = np.empty(n), np.empty(n, dtype=bool), np.empty(n)
    for part in comparisons(embeddings, arrange(identities, gallery, np.concatenate([enrolled, unknown])), chunk):
        nearest = part.others.max(axis=1)
        mates[part.probes], first[part.probes], best[part.probes] = part.mates, nearest < part.bars, nearest
    return OpenSetScores(
        enrolled=enrolled,
        mates=mates[enrolled],
        first=first[enrolled],
        unknown=unknown,
        scores=best[unknown],
        excluded=len(probes) - len(enrolled) - len(unknown),
        gallery_images=len(gallery),
        gallery_identities=len(np.unique(identities[gallery])),
        tolerance=tie_tolerance(embeddings.dtype),
    )


def rates_at(scores: OpenSetScores, threshold: float) -> OpenSet:
    """Both rates at a threshold, a cosine. Ties are pessimistic: an unknown probe's score within the tolerance below
    the threshold reaches it, an enrolled probe's does not."""
    enrolled, unknown = len(scores.mates), len(scores.scores)
    hits = int(np.count_nonzero(scores.mates[scores.first] >= threshold))
    alarms = int(np.count_nonzero(_reach(scores) >= threshold))
    return OpenSet(
        dir=hits / enrolled if enrolled else None,
        fpir=alarms / unknown if unknown else None,
        threshold=float(threshold),
        enrolled=enrolled,
        unknown=unknown,
    )


def dir_at_fpir(scores: OpenSetScores, fpir: float) -> OpenSet:
    """The largest DIR at an FPIR of at most `fpir`, in [0, 1): both rates at the smallest threshold that allows it.

    Exact, by sorting the scores of the unknown probes; ties are pessimistic as in `rates_at`, so the rate reached may
    be lower than `fpir`. A network that embeds all images alike gives 0. Warns where `fpir` of the unknown probes are
    fewer than `FEWEST_FALSE_POSITIVES`. Raises ValueError for another `fpir`, and without unknown probes.
    """
    if not 0 <= fpir < 1:
        raise ValueError(f"fpir must be 0 or more and below 1, the share of false alarms to allow, got {fpir}")
    reach = np.sort(_reach(scores))[::-1]
    n = len(reach)
    if not n:
        raise ValueError(
            "an FPIR needs probes of people who are not enrolled, got none; leave identities out of the gallery, "
            "as open_set_split does"
        )
    allowed = np.searchsorted(np.arange(n) / n, fpir, side="right") - 1
    threshold = float(np.nextafter(reach[allowed], np.inf))
    rates = rates_at(scores, threshold)
    if fpir * n >= FEWEST_FALSE_POSITIVES:
        return rates
    warning = (
        f"FPIR {fpir:g} of {n} probes of unknown people is {fpir * n:.3g} false positives; take a higher FPIR or more "
        f"people: below {FEWEST_FALSE_POSITIVES} the threshold hangs on single images"
    )
    return replace(rates, warning=warning)


def open_set_split(
    identities: np.ndarray, groups: np.ndarray, *, seed: int | np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Enrols a random half of every group's identities: numbers of the gallery's images and of the probes, ascending.

    `identities` and `groups` (N,) are labels. Of an enrolled identity the gallery takes one image, as `gallery_split`
    does; its other images and all images of identities that are not enrolled are the probes. A group of n identities
    enrols n / 2, rounded to even.

    Raises ValueError for a group of a single identity, or an identity in two groups.
    """
    identities = np.asarray(identities)
    rng = np.random.default_rng(seed)
    chosen = []
    for group, members in identities_of_groups(identities, groups).items():
        if len(members) < 2:
            raise ValueError(f"group {group!r} has one identity; an open set needs one to enrol and one to leave out")
        chosen.append(rng.permutation(members)[: round(len(members) / 2)])
    rows = np.flatnonzero(np.isin(identities, np.concatenate(chosen)))
    gallery, _ = gallery_split(identities[rows], seed=rng)
    return rows[gallery], np.setdiff1d(np.arange(len(identities)), rows[gallery])


def _reach(scores: OpenSetScores) -> np.ndarray:
    """The highest threshold that every unknown probe's score reaches, (U,): the score and the tolerance."""
    return scores.scores + scores.tolerance
