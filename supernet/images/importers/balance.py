"""Balance: as many identities and as many images of every group, as the published study took them from CelebA.

Shape legend: N images.
"""

import numpy as np

from dualfair.supernet.images.labels import known_labels
from dualfair.supernet.images.manifest import Manifest


def balanced_rows(manifest: Manifest, group_column: str, *, seed: int, least_images: int = 3) -> np.ndarray:
    """Rows of a balanced part of a manifest, int64, ascending.

    Only identities with at least `least_images` images and a known group take part; an identity belongs to the group
    that most of its images name (`known_labels`), and all its images count there. From every group as many identities
    are drawn as the group with the fewest has, each choice equally likely. The group whose drawn identities have the
    fewest images keeps them all; in the others `least_images` random images of every identity are set aside and the
    rest is thinned at random until all groups have equally many.

    Guaranteed for every manifest that does not raise: groups have equally many identities, as many as possible;
    equally many images, as many as possible for the identities drawn; every identity of the result has at least
    `least_images`; equal seeds give equal rows. Not guaranteed: the identities with the most images are not preferred.

    Raises ValueError for `least_images` below 1, an unknown column, groups of doubtful spelling, fewer than two groups,
    and a group without an identity of `least_images` images.
    """
    if least_images < 1:
        raise ValueError(f"least_images must be 1 or more, got {least_images}")
    group_of = known_labels(manifest, group_column, drop_unknown=True).group_of
    members: dict[str, dict[str, np.ndarray]] = {group: {} for group in sorted(set(group_of.values()))}
    if len(members) < 2:
        raise ValueError(f"column {group_column!r} must tell two groups or more apart, got {', '.join(members)}")
    for identity, rows in _rows_by_identity(manifest).items():
        if len(rows) >= least_images and identity in group_of:
            members[group_of[identity]][identity] = rows
    for group, people in members.items():
        if not people:
            raise ValueError(
                f"group {group!r} of column {group_column!r} has no identity with {least_images} images or more; "
                "lower least_images or drop the group"
            )
    rng = np.random.default_rng(seed)
    fewest = min(len(people) for people in members.values())
    drawn = [_draw(list(people.values()), fewest, rng) for people in members.values()]
    images = min(sum(map(len, people)) for people in drawn)
    return np.sort(np.concatenate([_thin(people, images, least_images, rng) for people in drawn]))


def _rows_by_identity(manifest: Manifest) -> dict[str, np.ndarray]:
    """Rows of every identity, identities in alphabetical order."""
    identities, codes = np.unique(np.asarray(manifest.columns["identity"], dtype=str), return_inverse=True)
    rows = np.argsort(codes, kind="stable").astype(np.int64)
    ends = np.cumsum(np.bincount(codes, minlength=len(identities)))
    return dict(zip(identities.tolist(), np.split(rows, ends[:-1]), strict=True))


def _draw(people: list[np.ndarray], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [people[place] for place in np.sort(rng.permutation(len(people))[:count])]


def _thin(people: list[np.ndarray], images: int, least: int, rng: np.random.Generator) -> np.ndarray:
    """`images` rows of some identities, at least `least` of each; there are enough, as `images` >= `least` x people."""
    shuffled = [rng.permutation(rows) for rows in people]
    kept = np.concatenate([rows[:least] for rows in shuffled])
    spare = np.concatenate([rows[least:] for rows in shuffled])
    return np.concatenate([kept, rng.permutation(spare)[: images - len(kept)]])
