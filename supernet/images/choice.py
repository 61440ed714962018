"""The images that are evaluated: all of a faces folder, or those of a split, with their groups.

Shape legend: M images chosen of a manifest.
"""

from dataclasses import dataclass

import numpy as np

from dualfair.supernet.images.manifest import SPLIT, Manifest, attributes_of, identity_groups, split_identities


@dataclass(frozen=True, eq=False)
class Choice:
    """The images that are evaluated: rows (M,) of a manifest with their identities, and groups where there is a column
    of them; the description says in words which images these are."""

    rows: np.ndarray
    identities: np.ndarray
    groups: np.ndarray | None
    group_column: str | None
    description: str


def choose(
    manifest: Manifest,
    where: str,
    group_column: str | None,
    split: str,
    fractions: tuple = (),
    seed: int = 0,
    split_column: str | None = None,
) -> Choice:
    """The rows of a split ("all" for every image) with their groups; a person's group is that of most images.

    A split is drawn alike of every group of `split_column`, that of training: other groups have the same test people.
    Without `group_column` the column `group` is taken where there is one. Raises ValueError for an unknown column, an
    empty split, and a split where the manifest has none and no `fractions` say how to make it.
    """
    column = group_column or ("group" if "group" in manifest.columns else None)
    if column is not None and column not in manifest.columns:
        raise ValueError(
            f"unknown group column {column!r}; {where} has: {', '.join(attributes_of(manifest)) or 'no attributes'}"
        )
    rows = np.arange(len(manifest))
    if split != "all":
        if SPLIT not in manifest.columns and not fractions:
            raise ValueError(
                f"{where} has no column 'split', and these are not the faces that the network was trained on; "
                "use --split all"
            )
        rows = split_identities(manifest, split_column or column or "identity", fractions, seed)[split]
    if not len(rows):
        raise ValueError(f"the {split} split of {where} is empty; use --split all")
    identities = np.asarray(manifest.columns["identity"], dtype=str)[rows]
    groups = None
    if column is not None:
        of_identity = identity_groups(manifest, column)
        groups = np.asarray([of_identity[identity] for identity in identities.tolist()], dtype=str)
    what = "all images" if split == "all" else f"the {split} people"
    return Choice(rows, identities, groups, column, f"{what} of {where}")
