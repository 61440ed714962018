"""Folders of people, and folders of groups of them, as listings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dualfair.supernet.images.importers.importing import with_attributes
from dualfair.supernet.images.importers.listing import Listing, list_files
from dualfair.supernet.images.importers.tree import frozen, look_below, reason_of, skipped_lines, tidy, tidy_names
from dualfair.supernet.images.manifest import LABEL, SPLIT, Manifest

ASTRAY = "beside the folders of people, not in one"
EMPTY = "a folder of a person or a group without an image that is read"
ASTRAY_OF_CLASSES = "beside the folders of classes, not in one"
EMPTY_CLASS = "a folder of a class without an image that is read"
SPLIT_OF_FOLDER = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What folders of splits are called, in small letters."""


def list_folder(root: Path, groups: Path | None = None) -> Listing:
    """The listing of a folder that holds one folder a person; what lies deeper is of that person too.

    `groups` is a CSV with the column identity and any number of attribute columns, `group` among them. Raises
    ValueError for an empty folder, and for persons that the CSV does not list (named).
    """
    listing = list_tree(root, ("identity",))
    if groups is None:
        return listing
    return replace(listing, manifest=with_attributes(listing.manifest, Path(groups), Path(root)))


def list_unlabelled(root: Path) -> Listing:
    """The listing of all images below a folder, however deep, of whom nobody says who they are: the identity is the
    path. Raises ValueError where there are none."""
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    tree = look_below(root)
    if not tree.images:
        seen = "".join(f"; {line}" for line in skipped_lines(tree.skipped))
        raise ValueError(f"{root} holds no images{seen}")
    note = "it is not known who is on the images: use these faces to tune networks on, not for training or ranks"
    manifest = Manifest({"path": tree.images, "identity": tree.images})
    return list_files(manifest, root, linked=False, notes=(note,), skipped=tree.skipped)


def list_classes(root: Path) -> Listing:
    """The listing of a folder that holds one folder a class; what lies deeper is of that class too.

    Where all folders are called as splits are (`SPLIT_OF_FOLDER`), classes lie in them, and the column `split` tells in
    which. Raises ValueError as `list_tree` does.
    """
    root = Path(root)
    folders = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    split_of = {name: SPLIT_OF_FOLDER[name.lower()] for name in folders if name.lower() in SPLIT_OF_FOLDER}
    if not split_of or any(not reason_of(name) and name not in split_of for name in folders):
        return list_tree(root, (LABEL,))
    listing = list_tree(root, (SPLIT, LABEL))
    columns = listing.manifest.columns
    return replace(listing, manifest=Manifest({**columns, SPLIT: tuple(split_of[name] for name in columns[SPLIT])}))


def list_tree(root: Path, levels: Sequence[str], only: Sequence[str] = ()) -> Listing:
    """The listing of a folder whose folders, level by level, name the columns `levels`: the last one is a person.

    `only` are the folders of the first level that are looked at, in place of all. People of one name in two folders of
    the level above are two, named by their paths. Raises ValueError where there are no images, and for two folders
    whose names differ in nothing that can be kept (`tidy`). A last level `label` is a class, in whichever folder of the
    level above.
    """
    root, of_classes = Path(root), levels[-1] == LABEL
    whom = "class" if of_classes else "person"
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    depth = len(levels)
    tree = look_below(root, only)
    people = [path for path in tree.folders if path.count("/") == depth - 1]
    _refuse_a_folder_around(root, people, tree.folders, whom)
    images = [path for path in tree.images if path.count("/") >= depth]
    if not images:
        seen = "".join(f"; {line}" for line in skipped_lines(tree.skipped))
        raise ValueError(f"{root} holds no images; expected one folder a {whom} with images in it{seen}")
    kept = _kept_names(root, tree.folders, depth)
    columns, with_images = {"path": tuple(images)}, {""}
    for level, name in enumerate(levels, 1):
        places = ["/".join(path.split("/", level)[:level]) for path in images]
        columns[name] = tuple(kept[place] for place in places)
        with_images.update(places)
    notes = ()
    if not of_classes and (shared := _of_several_folders(places, kept)):
        columns[levels[-1]] = tuple(shared.get(place, kept[place]) for place in places)
        named = next(iter(shared.values()))
        notes = (f"{len(shared)} people have a name that stands in several folders; they are named as {named}",)
    skipped = {
        **tree.skipped,
        (ASTRAY_OF_CLASSES if of_classes else ASTRAY): (path for path in tree.images if path.count("/") < depth),
        (EMPTY_CLASS if of_classes else EMPTY): (
            path for path in kept if path not in with_images and path.rpartition("/")[0] in with_images
        ),
    }
    return list_files(Manifest(columns), root, notes=notes, skipped=frozen(skipped))


def _of_several_folders(places: Sequence[str], kept: Mapping[str, str]) -> dict[str, str]:
    """By their folders, the people whose name stands in several folders, named by their paths."""
    people = set(places)
    times = Counter(kept[place] for place in people)
    return {place: tidy(place) for place in sorted(people) if times[kept[place]] > 1}


def _refuse_a_folder_around(root: Path, people: Sequence[str], folders: Sequence[str], whom: str) -> None:
    """A folder that holds one person or class, who has folders, is one too high."""
    beside: dict[str, list[str]] = {}
    for path in people:
        beside.setdefault(path.rpartition("/")[0], []).append(path)
    for place, paths in beside.items():
        if len(paths) == 1 and any(path.startswith(paths[0] + "/") for path in folders):
            raise ValueError(
                f"{root / place} holds the one folder {Path(paths[0]).name}, which holds folders itself; expected one "
                f"folder a {whom}. Give {root / paths[0]}"
            )


def _kept_names(root: Path, folders: Sequence[str], depth: int) -> dict[str, str]:
    """What the name of every folder of the first levels is kept as, by its path."""
    beside: dict[str, list[str]] = {}
    for path in folders:
        if path.count("/") < depth:
            place, _, name = path.rpartition("/")
            beside.setdefault(place, []).append(name)
    return {
        f"{place}/{name}".lstrip("/"): kept
        for place, names in beside.items()
        for name, kept in tidy_names(names, root / place).items()
    }
