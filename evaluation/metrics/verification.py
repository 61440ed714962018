"""Verification: do two images show the same person? Accuracy over folds, TAR at a FAR, equal error rate.

The score of a pair is a cosine, higher is more alike, and a threshold accepts every score that reaches it. Genuine
pairs are of one person, impostor pairs of two. FAR and FMR are one rate: the share of impostor pairs that are accepted.
TAR (or TPR) is the share of genuine pairs that are, and FNMR = 1 - TAR.

Shape legend: P pairs, F folds, T thresholds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.metrics.pairs import checked_pairs, groups_of_pairs
from dualfair.evaluation.metrics.similarity import CHUNK_BYTES, checked_faces, normalised

FEWEST_FALSE_ACCEPTS = 10
"""A FAR that fewer impostor pairs than this make up says little: `TarAtFar.warning` tells so."""


@dataclass(frozen=True)
class TenFold:
    """Accuracy over folds, in [0, 1], higher is better, 0.5 is chance on balanced folds.

    `accuracy` is the mean over folds and `sd` their sample standard deviation (n - 1); the literature's programs print
    that of the population, sqrt((F - 1) / F) times as large. `accuracies` and `thresholds` are those of the folds in
    the order of their labels, the thresholds as cosines. `n` pairs, `genuine` of them.
    """

    accuracy: float
    sd: float
    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]
    n: int
    genuine: int


@dataclass(frozen=True, eq=False)
class Roc:
    """All points of the ROC curve, from the threshold that accepts nothing to the one that accepts every pair.

    `thresholds` (T,) are the distinct scores, descending, after the next number above the highest one. `far` and `tar`
    (T,) are the shares of impostor and genuine pairs whose score is the threshold or more. The points of the DET
    curve are (`fmr`, `fnmr`). Also the numbers of pairs, `genuine` and `impostors`.
    """

    thresholds: np.ndarray
    far: np.ndarray
    tar: np.ndarray
    genuine: int
    impostors: int

    @property
    def fmr(self) -> np.ndarray:
        """False match rate (T,), lower is better: another name of the FAR."""
        return self.far

    @property
    def fnmr(self) -> np.ndarray:
        """False non-match rate (T,), lower is better."""
        return 1 - self.tar


@dataclass(frozen=True)
class TarAtFar:
    """The largest TAR, in [0, 1], higher is better, with a FAR of at most the one asked for.

    `far` is the rate reached at `threshold`, a cosine; `warning` says where there are too few impostors to go by.
    """

    tar: float
    far: float
    threshold: float
    genuine: int
    impostors: int
    warning: str = ""


def ten_fold(scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> TenFold:
    """Accuracy on every fold at the threshold that is best on all other folds, any number of them, as for LFW.

    `scores` (P,), `same` (P,) true for genuine pairs, `folds` (P,) labels. Every cut between the scores of the other
    folds is tried (the programs of FaceNet and insightface try 400 distances instead). Of several best cuts the
    strictest is taken, and the threshold lies midway between the scores it separates; above the highest score it is the
    next number, below the lowest it is that score. The rule never looks at the fold that is judged, so a network that
    embeds all images alike, for which accepting all and accepting nothing are equally good, has exactly 0.5 on balanced
    folds.

    Raises ValueError for shapes that do not fit, fewer than two folds, other folds without a genuine and an impostor
    pair, and scores that are not finite.
    """
    scores, same = checked_pairs(scores, same)
    return _over_folds(scores, same, _checked_folds(folds, len(scores)), np.ones(len(scores), bool))


def group_ten_fold(
    scores: np.ndarray, same: np.ndarray, folds: np.ndarray, groups: np.ndarray, *, shared: bool
) -> dict[object, TenFold]:
    """`ten_fold` of every group, by group in sorted order.

    With `shared=False` a group's threshold comes from its own other folds, as the literature reports RFW. With
    `shared=True` it comes from the other folds of all groups together, one for all, as a system in operation has it.
    `groups` are labels of the pairs (P,), or of both people (P, 2); pairs across groups are then left out everywhere.
    Raises ValueError as `ten_fold` does, naming the group, and where a group lacks one of the folds.
    """
    scores, same = checked_pairs(scores, same)
    folds = _checked_folds(folds, len(scores))
    labels, within = groups_of_pairs(groups, same)
    scores, same, folds, labels = scores[within], same[within], folds[within], labels[within]
    ten_folds = {}
    for name in np.unique(labels).tolist():
        members = labels == name
        lacking = np.setdiff1d(folds, folds[members])
        if len(lacking):
            raise ValueError(f"group {name!r} has no pair in fold {lacking[0]!s}; every fold must hold all groups")
        if shared:
            ten_folds[name] = _over_folds(scores, same, folds, members)
            continue
        try:
            ten_folds[name] = ten_fold(scores[members], same[members], folds[members])
        except ValueError as error:
            raise ValueError(f"group {name!r}: {error}") from error
    return ten_folds


def roc(scores: np.ndarray, same: np.ndarray) -> Roc:
    """The ROC curve of scores (P,), `same` (P,) true for genuine pairs; exact, one point for every distinct score.

    Pairs with equal scores are accepted together, so ties favour nobody: a constant score has the two end points only.
    Raises ValueError for shapes that do not fit, scores that are not finite, or no genuine or no impostor pair.
    """
    scores, same = checked_pairs(scores, same, both=True)
    thresholds, accepted, true = _cuts(scores, same)
    genuine = int(same.sum())
    impostors = len(same) - genuine
    return Roc(thresholds, (accepted - true) / impostors, true / genuine, genuine, impostors)


def tar_at_far(scores: np.ndarray, same: np.ndarray, far: float) -> TarAtFar:
    """The largest TAR with a FAR of at most `far`, in [0, 1], and the strictest threshold that reaches it.

    Exact, by sorting. Where genuine and impostor pairs tie, all of them are accepted or none is, so the rate reached
    may be lower than `far`; a network that embeds all images alike gives 0 for any `far` below 1. Warns where `far` of
    the impostors are fewer than `FEWEST_FALSE_ACCEPTS`. Raises ValueError for another `far` and as `roc` does.
    """
    if not 0 <= far <= 1:
        raise ValueError(f"far must be 0 to 1, the share of impostor pairs to accept at most, got {far}")
    curve = roc(scores, same)
    tar = curve.tar[np.searchsorted(curve.far, far, side="right") - 1]
    point = np.searchsorted(curve.tar, tar)
    return TarAtFar(
        tar=float(tar),
        far=float(curve.far[point]),
        threshold=float(curve.thresholds[point]),
        genuine=curve.genuine,
        impostors=curve.impostors,
        warning=far_warning(far, curve.impostors),
    )


def far_warning(far: float, impostors: int) -> str:
    """What to say where so many impostor pairs are too few for a FAR, "" where they are not."""
    if far * impostors >= FEWEST_FALSE_ACCEPTS:
        return ""
    return (
        f"FAR {far:g} of {impostors} impostor pairs is {far * impostors:.3g} false accepts; take a higher FAR or more "
        f"pairs: below {FEWEST_FALSE_ACCEPTS} the threshold hangs on single pairs"
    )


def pairs_of_images(identities: np.ndarray) -> tuple[int, int]:
    """How many genuine and impostor pairs the images of identities (N,) make, each with each once."""
    images = np.unique(identities, return_counts=True)[1]
    n, genuine = int(images.sum()), int((images * (images - 1) // 2).sum())
    return genuine, n * (n - 1) // 2 - genuine


def tar_of_all_pairs(embeddings: np.ndarray, identities: np.ndarray, far: float) -> float:
    """The largest TAR with a FAR of at most `far` over all pairs of the images, in [0, 1], higher is better.

    That is `tar_at_far` of the cosines of all pairs of `embeddings` (N, D), whose people are `identities` (N,). Only
    the `far` nearest impostors are kept, so memory grows with these and not with the pairs. NaN, undefined, without a
    genuine or an impostor pair. Raises ValueError for shapes that do not fit and embeddings that are not finite.
    """
    embeddings, identities = checked_faces(embeddings, identities)
    _, codes = np.unique(identities, return_inverse=True)
    genuine_pairs, impostors = pairs_of_images(identities)
    if not (genuine_pairs and impostors):
        return float("nan")
    accepted = min(int(far * impostors) + 1, impostors)
    while accepted / impostors > far:
        accepted -= 1
    if accepted == impostors:
        return 1.0
    genuine: list[np.ndarray] = []
    nearest = np.empty(0)
    for cosines, same in _all_pairs(embeddings, codes):
        genuine.append(cosines[same])
        nearest = np.concatenate([nearest, cosines[~same]])
        if len(nearest) > accepted + 1:
            nearest = np.partition(nearest, len(nearest) - accepted - 1)[len(nearest) - accepted - 1 :]
    return float(np.mean(np.concatenate(genuine) > nearest.min()))


def _all_pairs(embeddings: np.ndarray, codes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The cosines of all pairs of images, each once and some at a time, and which are of one person."""
    unit = normalised(embeddings.copy())
    rows = max(1, CHUNK_BYTES // (len(unit) * unit.itemsize))
    for first in range(0, len(unit), rows):
        cosines = unit[first : first + rows] @ unit[first:].T
        later = np.arange(len(unit) - first) > np.arange(len(cosines))[:, None]
        yield cosines[later], (codes[first : first + rows, None] == codes[first:])[later]


def eer(scores: np.ndarray, same: np.ndarray) -> float:
    """The equal error rate: where FMR and FNMR are equal, in [0, 1], lower is better, 0.5 is chance.

    Both are linear between neighbouring points of the ROC curve (`roc`), so the curve is cut exactly once. A constant
    score gives 0.5. Raises ValueError as `roc` does.

    One of two genuine pairs scores below one of three impostors: FMR goes from 0 to 1/3 at an FNMR of 1/2, and FNMR
    from 1/2 to 0 at an FMR of 1/3.

    >>> eer([0.9, 0.5, 0.3, 0.2, 0.1], [True, False, True, False, False])
    0.3333333333333333
    """
    curve = roc(scores, same)
    gap = curve.fmr - curve.fnmr
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(curve.fmr[before] + share * (curve.fmr[after] - curve.fmr[before]))


def _checked_folds(folds: np.ndarray, pairs: int) -> np.ndarray:
    folds = np.asarray(folds)
    if folds.shape != (pairs,):
        raise ValueError(f"folds must be one label for each of {pairs} pairs, got shape {folds.shape}")
    return folds


def _over_folds(scores: np.ndarray, same: np.ndarray, folds: np.ndarray, judged: np.ndarray) -> TenFold:
    """Accuracy of the `judged` pairs (P,) of every fold at the threshold from all pairs of the other folds."""
    names = np.unique(folds)
    if len(names) < 2:
        raise ValueError(f"folds must be at least two, one to judge and one to learn from, got {len(names)}")
    accuracies, thresholds = [], []
    for name in names:
        held_out = folds == name
        training_same = same[~held_out]
        if training_same.all() or not training_same.any():
            raise ValueError(
                f"the folds beside {name!s} must hold genuine and impostor pairs, got "
                f"{np.count_nonzero(training_same)} genuine ones of {len(training_same)}: take fewer folds, impostors "
                "within groups, or more people"
            )
        tested = held_out & judged
        thresholds.append(_best_threshold(scores[~held_out], training_same))
        accuracies.append(float(np.mean((scores[tested] >= thresholds[-1]) == same[tested])))
    return TenFold(
        accuracy=float(np.mean(accuracies)),
        sd=float(np.std(accuracies, ddof=1)),
        accuracies=tuple(accuracies),
        thresholds=tuple(thresholds),
        n=int(np.count_nonzero(judged)),
        genuine=int(np.count_nonzero(same[judged])),
    )


def _cuts(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds (T,), descending from one that accepts nothing, and how many pairs each accepts, all and genuine."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    thresholds = np.append(np.nextafter(ordered[0], np.inf), ordered[last])
    return thresholds, np.append(0, last + 1), np.append(0, np.cumsum(same[order])[last])


def _best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    thresholds, accepted, true = _cuts(scores, same)
    cut = int(np.argmax(2 * true - accepted))
    if cut in (0, len(thresholds) - 1):
        return float(thresholds[cut])
    lowest_accepted, highest_rejected = thresholds[cut], thresholds[cut + 1]
    midway = highest_rejected + (lowest_accepted - highest_rejected) / 2
    return float(midway if midway > highest_rejected else lowest_accepted)
