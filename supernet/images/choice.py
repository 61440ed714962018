"""The images that are evaluated: all of a faces folder, or those of a split, with their groups.

Shape legend: M images chosen of a manifest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dualfair.supernet.images.labels import GROUP, is_missing, known_labels, usual_column
from dualfair.supernet.images.manifest import SPLIT, Manifest, attributes_of, given_splits


@dataclass(frozen=True, eq=False)
class Choice:
    """The images that are evaluated: rows (M,) of a manifest with their identities, and groups where there is a column
    of them; the description says in words which images these are, the notes what was decided about their labels.
    `probes` (M,) are those that are looked for among the others, None where all are among all."""

    rows: np.ndarray
    identities: np.ndarray
    groups: np.ndarray | None
    group_column: str | None
    description: str
    notes: tuple[str, ...] = ()
    probes: np.ndarray | None = None


def choose(
    manifest: Manifest,
    where: str,
    group_column: str | None,
    split: str,
    deal: Callable[[Manifest], Mapping[str, np.ndarray]] | None = None,
    drop_unknown: bool = False,
    probes: str = "",
) -> Choice:
    """The rows of a split ("all" for every image) with their groups; a person's group is that of most images.

    `deal` gives the splits as training dealt them, whatever the groups are here; without it the manifest has to have a
    column of them. Without `group_column` the column `group` is taken where there is one that names groups. `probes`
    are the images of a column's value, COLUMN=VALUE. Raises ValueError for an unknown column, an empty split, a split
    that is neither dealt nor given, for unknown or doubtful labels (`known_labels`), and where all images or none are
    probes.
    """
    column = group_column or usual_column(manifest)
    if column is not None and column not in manifest.columns:
        raise ValueError(
            f"unknown group column {column!r}; {where} has: {', '.join(attributes_of(manifest)) or 'no attributes'}"
        )
    rows = np.arange(len(manifest))
    if split != "all" and deal:
        rows = deal(manifest)[split]
    elif split != "all":
        if SPLIT not in manifest.columns:
            raise ValueError(
                f"{where} has no column 'split', and these are not the faces that the network was trained on; "
                "use --split all"
            )
        given_splits(manifest, {name for name in set(manifest.columns["identity"]) if not is_missing(name)})
        rows = np.flatnonzero(manifest.column(SPLIT) == split)
    if not len(rows):
        raise ValueError(f"the {split} split of {where} is empty; use --split all")
    labels = known_labels(manifest, column, rows.tolist(), drop_unknown=drop_unknown)
    notes = labels.decided
    if column is None and GROUP in manifest.columns:
        notes.append(f"column {GROUP!r} names no group, so that nobody is compared")
    identities = manifest.column("identity")[rows]
    known = np.array([identity in labels.group_of for identity in identities.tolist()])
    rows, identities = rows[known], identities[known]
    groups = np.array([labels.group_of[identity] for identity in identities.tolist()])
    what = "all images" if split == "all" else f"the {split} people"
    chosen = Choice(rows, identities, None if column is None else groups, column, f"{what} of {where}", tuple(notes))
    return replace(chosen, probes=_probes(manifest, rows, probes)) if probes else chosen


def _probes(manifest: Manifest, rows: np.ndarray, probes: str) -> np.ndarray:
    column, _, value = probes.partition("=")
    if column not in manifest.columns:
        raise ValueError(f"probes: there is no column {column[:40]!r}; there are {', '.join(manifest.columns)}")
    of = manifest.column(column)[rows] == value
    if of.all() or not of.any():
        raise ValueError(
            f"probes: {'all' if of.all() else 'none'} of the {len(rows):,} images have {probes[:60]!r}; some have to "
            "be looked for, and others to be the gallery"
        )
    return of
