"""Pairs of images: drawn from labelled faces, compared by their cosine, and told apart by group.

Genuine pairs are of one person, impostor pairs of two.

Shape legend: N images, D embedding, P pairs.
"""

from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.metrics.identification import identities_of_groups

CHUNK_BYTES = 32 * 2**20
"""Size of the float64 copies of the embeddings whose cosines are taken at once."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images, in the order of their folds, each array with one entry a pair.

    `left` and `right` (P,) are the numbers of the images, `same` (P,) is true for a genuine pair, `fold` (P,) counts
    from 0, and `groups` (P, 2) are the groups of both people, or (P,) those that the pairs were published for.
    """

    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    fold: np.ndarray
    groups: np.ndarray


def make_pairs(
    identities: np.ndarray, groups: np.ndarray, *, pairs: int, folds: int = 10, seed: int, within_group: bool = False
) -> Pairs:
    """Draws `pairs` pairs, no two alike, half of them genuine and half impostors in each of `folds` folds.

    `identities` and `groups` (N,) are labels. The identities of every group are dealt to the folds at random, so no
    person is in two folds: a threshold is always judged on people it was not chosen on. With `within_group` impostors
    are of one group, as in RFW, and every group has as many genuine and impostor pairs as any other in every fold.
    Without, both people of an impostor pair are drawn from all groups, and genuine pairs from all people of the fold.

    The genuine pairs go round the identities, each giving one pair of its images a round while it has any; impostors
    are drawn alike from all pairs of images of two people. A person with a single image is seen in impostors only. The
    same `seed` gives the same pairs. Raises ValueError where `pairs` cannot be divided so, where a fold (of a group)
    has fewer pairs than are to be drawn, fewer than 2 folds, or an identity in two groups.
    """
    identities, groups = np.asarray(identities), np.asarray(groups)
    decks = identities_of_groups(identities, groups)
    parts = len(decks) if within_group else 1
    if folds < 2:
        raise ValueError(f"folds must be 2 or more, one to judge and one to learn from, got {folds}")
    quota, rest = divmod(pairs, 2 * folds * parts)
    if pairs < 1 or rest:
        shares = f"2 x {folds} folds" + (f" x {parts} groups" if within_group else "")
        raise ValueError(f"pairs must be a positive multiple of {2 * folds * parts} ({shares}), got {pairs}")
    rng = np.random.default_rng(seed)
    names, codes = np.unique(identities, return_inverse=True)
    images = np.bincount(codes)
    hands, dealt_so_far = {}, 0
    for label, deck in decks.items():
        hands[label] = _deal(np.searchsorted(names, deck), images, folds, dealt_so_far, rng)
        dealt_so_far += len(deck)
    drawn = []
    for fold in range(folds):
        dealt = {label: hand[fold] for label, hand in hands.items()}
        if not within_group:
            dealt = {"all": np.concatenate(list(dealt.values()))}
        for label, people in dealt.items():
            where = f"fold {fold}" + (f" of group {label!r}" if within_group else "")
            rows = np.flatnonzero(np.isin(codes, people))
            rows = rows[np.argsort(codes[rows], kind="stable")]
            for same, draw in ((True, _genuine), (False, _impostors)):
                left, right = draw(rows, codes[rows], quota, where, rng)
                drawn.append((left, right, np.full(quota, same), np.full(quota, fold)))
    left, right, same, fold = (np.concatenate(column) for column in zip(*drawn, strict=True))
    return Pairs(left, right, same, fold, np.stack([groups[left], groups[right]], axis=1))


def pair_scores(embeddings: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The cosine of every pair of images, float64 (P,), in [-1, 1].

    `embeddings` (N, D) are of any length, `left` and `right` (P,) the numbers of the images. All arithmetic is in
    float64, some pairs at a time, so a pair has the same score wherever it stands and in either order. A zero vector
    has the cosine 0 to everything. Raises ValueError for shapes that do not fit, numbers outside 0 to N - 1, or
    embeddings of the pairs that are not finite.
    """
    embeddings, left, right = np.asarray(embeddings), np.asarray(left), np.asarray(right)
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        raise ValueError(
            f"embeddings must be real numbers of shape (images, D), got {embeddings.dtype} {embeddings.shape}"
        )
    if left.ndim != 1 or left.shape != right.shape:
        raise ValueError(f"left and right must be one image each a pair, got shapes {left.shape} and {right.shape}")
    for name, rows in (("left", left), ("right", right)):
        if len(rows) and (rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(embeddings)):
            raise ValueError(
                f"{name} must be numbers of images from 0 to {len(embeddings) - 1}, got {rows.dtype} numbers from "
                f"{rows.min()} to {rows.max()}"
            )
    scores = np.empty(len(left))
    size = max(1, CHUNK_BYTES // (16 * max(1, embeddings.shape[1])))
    for start in range(0, len(left), size):
        part = slice(start, start + size)
        first, second = _unit(embeddings[left[part]]), _unit(embeddings[right[part]])
        scores[part] = np.einsum("pd,pd->p", first, second)
    broken = int(np.count_nonzero(np.isnan(scores)))
    if broken:
        raise ValueError(
            f"embeddings must be finite: {broken} of {len(scores)} pairs have an image with nan or inf; check the "
            "network's weights and BN statistics, or what wrote the embeddings"
        )
    return np.clip(scores, -1, 1)


def checked_pairs(scores: np.ndarray, same: np.ndarray, *, both: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float64 (P,) and `same` as bool (P,). Raises ValueError for what is neither, or not finite.

    With `both` also where there is no genuine or no impostor pair.
    """
    scores, same = np.asarray(scores, dtype=np.float64), np.asarray(same)
    if scores.ndim != 1 or scores.shape != same.shape:
        raise ValueError(f"scores and same must be one a pair, got shapes {scores.shape} and {same.shape}")
    if same.dtype != bool and not np.isin(same, (0, 1)).all():
        raise ValueError("same must be true for a pair of one person and false for a pair of two, got other values")
    broken = int(np.count_nonzero(~np.isfinite(scores)))
    if broken:
        raise ValueError(f"scores must be finite: {broken} of {len(scores)} are nan or inf; leave those pairs out")
    same = same.astype(bool)
    if both and (same.all() or not same.any()):
        raise ValueError(
            f"same must hold genuine and impostor pairs, got {np.count_nonzero(same)} genuine ones of {len(same)}"
        )
    return scores, same


def groups_of_pairs(groups: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The label of every pair (P,), and whether its two people are of one group, bool (P,).

    `groups` are the labels of the pairs (P,), which are then all within a group, or of both people (P, 2). The label of
    a pair across groups is "a|b", its groups in sorted order. Raises ValueError for other shapes, and for a genuine
    pair whose two images have different groups.
    """
    groups, same = np.asarray(groups), np.asarray(same)
    if groups.shape not in (same.shape, (*same.shape, 2)):
        raise ValueError(
            f"groups must be one label a pair ({len(same)},), or two ({len(same)}, 2), got shape {groups.shape}"
        )
    if groups.ndim == 1:
        return groups, np.ones(len(groups), bool)
    names, codes = np.unique(groups, return_inverse=True)
    first, second = np.sort(codes.reshape(groups.shape), axis=1).T
    within = first == second
    torn = np.flatnonzero(same.astype(bool) & ~within)
    if len(torn):
        raise ValueError(
            f"a genuine pair must have one group: pair {torn[0]} has {groups[torn[0]].tolist()}, and {len(torn)} of "
            f"{len(same)} pairs are such; give every identity one group"
        )
    if within.all():
        return groups[:, 0], within
    labels = groups[:, 0].astype(object)
    labels[~within] = [f"{names[a]}|{names[b]}" for a, b in zip(first[~within], second[~within], strict=True)]
    return labels, within


def _deal(
    people: np.ndarray, images: np.ndarray, folds: int, before: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The identities dealt to the folds in turn, going on from the `before` that were dealt before.

    Those with several images come first, so that all folds get mates alike.
    """
    people = rng.permutation(people)
    people = people[np.argsort(images[people] < 2, kind="stable")]
    return [people[(fold - before) % folds :: folds] for fold in range(folds)]


def _genuine(
    rows: np.ndarray, codes: np.ndarray, quota: int, where: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`quota` genuine pairs of the images `rows`, which stand sorted by their identities `codes`."""
    _, starts, sizes = np.unique(codes, return_index=True, return_counts=True)
    available = sizes * (sizes - 1) // 2
    if available.sum() < quota:
        raise ValueError(
            f"{where} has {available.sum()} genuine pairs and needs {quota}: take fewer pairs or folds, or more images"
        )
    counts = _rounds(available, quota, rng)
    left, right = [], []
    for start, size, number in zip(starts[counts > 0], sizes[counts > 0], counts[counts > 0], strict=True):
        first, second = _decoded(rng.choice(size * (size - 1) // 2, number, replace=False, shuffle=False))
        left.append(rows[start + first])
        right.append(rows[start + second])
    return np.concatenate(left), np.concatenate(right)


def _rounds(available: np.ndarray, quota: int, rng: np.random.Generator) -> np.ndarray:
    """How many of `quota` each gives when all give one a round, those that have any left; the last round by lot."""
    full = np.sort(available)
    # After r rounds, sum(min(available, r)) are given: find the last whole round.
    totals = np.concatenate([[0], np.cumsum(full)[:-1]]) + full * np.arange(len(full), 0, -1)
    exhausted = int(np.searchsorted(totals, quota, side="right"))
    if exhausted == len(full):
        return available.copy()
    rounds = (quota - full[:exhausted].sum()) // (len(full) - exhausted)
    counts = np.minimum(available, rounds)
    extra = rng.permutation(np.flatnonzero(available > rounds))[: quota - counts.sum()]
    counts[extra] += 1
    return counts


def _impostors(
    rows: np.ndarray, codes: np.ndarray, quota: int, where: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`quota` impostor pairs of the images `rows` with the identities `codes`, all such pairs being alike likely."""
    sizes = np.unique(codes, return_counts=True)[1]
    n = len(rows)
    available = (n * n - int(np.sum(sizes**2))) // 2
    if available < quota:
        raise ValueError(
            f"{where} has {available} impostor pairs and needs {quota}: take fewer pairs or folds, or more people"
        )
    if 2 * quota > available or 20 * available < n * (n - 1):
        # Most draws would be taken already or of one person: list all pairs instead.
        first, second = np.tril_indices(n, -1)
        impostors = np.flatnonzero(codes[first] != codes[second])
        chosen = rng.choice(impostors, quota, replace=False)
        return rows[first[chosen]], rows[second[chosen]]
    numbers = np.empty(0, np.int64)
    while len(numbers) < quota:
        drawn = rng.integers(n * (n - 1) // 2, size=4 * quota)
        first, second = _decoded(drawn)
        numbers = np.concatenate([numbers, drawn[codes[first] != codes[second]]])
        numbers = numbers[np.sort(np.unique(numbers, return_index=True)[1])]
    first, second = _decoded(numbers[:quota])
    return rows[first], rows[second]


def _decoded(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair (i, j), i > j, that each number stands for when all pairs are counted: i * (i - 1) / 2 + j."""
    first = ((1 + np.sqrt(1 + 8 * numbers.astype(np.float64))) / 2).astype(np.int64)
    # The rounded square root of a number just below that of a pair (i, 0) can give i.
    first -= first * (first - 1) // 2 > numbers
    return first, numbers - first * (first - 1) // 2


def _unit(rows: np.ndarray) -> np.ndarray:
    """Unit rows in float64; zero rows stay zero, and rows that are not finite become nan."""
    unit = rows.astype(np.float64)
    with np.errstate(invalid="ignore"):
        # Squares of very large or small entries would overflow or vanish, so the largest entry becomes 1 first.
        largest = np.abs(unit).max(axis=1, initial=0)
        unit /= np.where(largest == 0, 1, largest)[:, None]
        length = np.sqrt(np.einsum("pd,pd->p", unit, unit))
        return unit / np.where(length == 0, 1, length)[:, None]
