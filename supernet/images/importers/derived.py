"""Labelled images made of imported sets: an attribute as the label, and classes that go with a group."""

from pathlib import Path

import numpy as np

from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.importers.packed import picture
from dualfair.supernet.images.manifest import IDENTITY, LABEL, SPLIT, SPLITS, Manifest, require_splits, shorten
from dualfair.supernet.images.store import CLASSIFICATION, FaceStore, open_store

GROUP = "group"
COLOUR, GREY = "colour", "grey"
_LUMINANCE = np.array([0.299, 0.587, 0.114])


def attribute(source: Path, *, label: str) -> Listing:
    """A column of SRC, a folder of faces or labelled images, as the label: CelebA's Smiling, for example.

    All other columns stay, so that any of them can be the group; so do the splits, if there are any, and people stay
    together.
    """
    store = open_store(source)
    if label not in store.manifest.columns:
        raise ValueError(f"{source} has no column {label!r}; it has: {', '.join(store.manifest.columns)}")
    columns = {**store.manifest.columns, LABEL: store.manifest.columns[label]}
    return Listing(
        manifest=Manifest(columns),
        source=source,
        open_image=lambda row: picture(store.pixels[row]),
        task=CLASSIFICATION,
        size=store.size,
        notes=(f"labels are the column {label!r} of {source.name}",),
    )


def skewed(source: Path, *, classes: str, share: float = 0.95) -> Listing:
    """CIFAR-10S of any set: SRC is a folder of labelled images with the column split, which becomes half grey.

    Of the classes that are named, with commas, the share of the training images is in colour and the rest grey; of all
    others the other way round (Wang et al., 2020). Validation and test images come twice, in colour and in grey. The
    column group says which, and identity, where there was none, of which picture both are. CIFAR-10S has
    automobile,cat,dog,horse,truck in colour.
    """
    store = open_store(source)
    manifest = store.manifest
    if store.task != CLASSIFICATION or SPLIT not in manifest.columns:
        raise ValueError(f"{source} must hold labelled images with the column split; import such a set first")
    if not 0.5 < share < 1:
        raise ValueError(f"share must be above 0.5 and below 1, got {share:g}")
    labels, splits = manifest.column(LABEL), manifest.column(SPLIT)
    require_splits(splits.tolist())
    coloured = [name.strip() for name in classes.split(",") if name.strip()]
    known = np.unique(labels).tolist()
    if unknown := [name for name in coloured if name not in known]:
        raise ValueError(f"{source} has no class {unknown[0]!r}; it has {shorten(known)}")
    if not coloured or len({*coloured}) == len(known):
        raise ValueError(f"classes must name some of {shorten(known)}, not all and not none")
    rows, groups = _drawn(labels, splits, coloured, share)
    order = np.lexsort((groups == GREY, rows))
    rows, groups = rows[order], groups[order]
    columns = {name: tuple(manifest.column(name)[rows].tolist()) for name in manifest.columns}
    columns.setdefault(IDENTITY, columns["path"])
    columns["path"] = tuple(f"{path}-{of}" for path, of in zip(columns["path"], groups.tolist(), strict=True))
    columns[GROUP] = tuple(groups.tolist())
    return Listing(
        manifest=Manifest(columns),
        source=source,
        open_image=lambda row: picture(_image(store, int(rows[row]), groups[row])),
        task=CLASSIFICATION,
        size=store.size,
        notes=(f"of {', '.join(coloured)} {share:g} of the training images are in colour, of other classes in grey",),
    )


def _drawn(labels: np.ndarray, splits: np.ndarray, coloured: list[str], share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of images and the group of each; which training images are of which is drawn."""
    rng, rows, groups = np.random.default_rng(0), [], []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero((labels == label) & (splits == SPLITS[0])))
        most = int(len(members) * share)
        first, second = (COLOUR, GREY) if label in coloured else (GREY, COLOUR)
        rows.append(members)
        groups.append(np.where(np.arange(len(members)) < most, first, second))
    judged = np.flatnonzero(splits != SPLITS[0])
    rows += [judged, judged]
    groups += [np.full(len(judged), COLOUR), np.full(len(judged), GREY)]
    return np.concatenate(rows), np.concatenate(groups)


def _image(store: FaceStore, row: int, group: str) -> np.ndarray:
    """An image (S, S, 3) as it is, or its luminance in three equal channels."""
    pixels = np.asarray(store.pixels[row])
    if group == COLOUR:
        return pixels
    return np.repeat(np.rint(pixels @ _LUMINANCE).astype(np.uint8)[..., None], 3, axis=2)
