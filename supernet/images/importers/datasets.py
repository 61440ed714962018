"""The data sets that can be imported: one function each, in one table.

An importer takes the place where the data lies (SRC) and returns a `Listing`; it reads no pixels and no network. Its
keyword-only parameters are the options of its command, its docstring is the help.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dualfair.supernet.images.importers.celeba import celeba
from dualfair.supernet.images.importers.containers import find_file, rec, verification_set
from dualfair.supernet.images.importers.folders import list_folder, list_tree, list_unlabelled
from dualfair.supernet.images.importers.listing import Listing, locate
from dualfair.supernet.images.importers.table import list_table
from dualfair.supernet.images.importers.tinyface import tinyface
from dualfair.supernet.images.importers.vggface2 import vggface2
from dualfair.supernet.images.pairs import Pairs, join_pairs, read_lfw_pairs, read_plain_pairs


def folder(source: Path, *, groups: Path | None = None) -> Listing:
    """Your own photos: SRC holds one folder a person.

    `groups` is a CSV with the column identity and any number of attribute columns, `group` among them.
    """
    return list_folder(source, groups)


def csv(source: Path) -> Listing:
    """Your own table: SRC is a CSV path,identity,group[,more attributes].

    Paths are relative to the CSV. A column 'split' (train, validation, test) is kept.
    """
    return list_table(source)


def unlabelled(source: Path) -> Listing:
    """Photos of nobody in particular: SRC holds images, at any depth.

    The column 'identity' is the file. They serve to tune networks on (quantise --data), and for nothing that has to
    know who is who.
    """
    return list_unlabelled(source)


def rfw(source: Path) -> Listing:
    """RFW, Racial Faces in the Wild: SRC holds data and txts.

    Both may also be in SRC/test. The column 'group' is the folder; the published pairs of every group are in ten folds.
    """
    source = Path(source)
    data = locate(source, "data", ("", "test"), "RFW's 'test' archive, unpacked")
    listing = _grouped_folders(data)
    lists = {}
    for group in sorted(set(listing.manifest.columns["group"])):
        path = locate(data.parent / "txts", f"{group}_pairs.txt", (group,), "RFW's 'txts' folder, beside 'data'")
        lists[group] = read_plain_pairs(path, listing.manifest, within=f"{group}/")
    pairs = join_pairs(lists)
    warning = (
        "RFW is drawn from MS-Celeb-1M: a network trained on MS1M or a set derived from it (MS1MV2, MS1MV3, ...) has "
        "seen these people, and its results here say little"
    )
    return replace(listing, pairs=pairs, notes=(warning, *listing.notes, *_missing(pairs)))


def lfw(source: Path, *, pairs: Path | None = None, groups: Path | None = None) -> Listing:
    """LFW, Labeled Faces in the Wild: SRC holds one folder a person, and pairs.txt.

    The people may also be in SRC/lfw, SRC/lfw_funneled or SRC/lfw-deepfunneled. `pairs` is a list in the format of
    pairs.txt, by default SRC/pairs.txt where it is. `groups` is a CSV identity,group[,more]; LFW itself has no groups.
    """
    source = Path(source)
    places = [source / name for name in ("lfw", "lfw_funneled", "lfw-funneled", "lfw-deepfunneled")]
    images = next((place for place in places if place.is_dir()), source)
    listing = list_folder(images, groups)
    pairs = pairs or source / "pairs.txt"
    if not pairs.is_file() and pairs == source / "pairs.txt":
        return replace(listing, notes=(f"there is no {pairs}, so the faces have no verification pairs",))
    published = read_lfw_pairs(Path(pairs), listing.manifest)
    return replace(listing, pairs=published, notes=_missing(published))


def bupt(source: Path) -> Listing:
    """BUPT-Balancedface: SRC holds race_per_7000.

    In it are one folder a group, and in that one a person. The column 'group' is the folder. The images are not
    aligned.
    """
    source = Path(source)
    inside = source if source.name == "race_per_7000" and source.is_dir() else None
    images = inside or locate(source, "race_per_7000", ("",), "BUPT-Balancedface's archive, unpacked")
    return _grouped_folders(images)


def casia(source: Path, *, groups: Path | None = None) -> Listing:
    """CASIA-WebFace: SRC holds one folder a person, or train.rec.

    `groups` is a CSV identity,group[,more]; CASIA-WebFace itself has no groups.
    """
    source = Path(source)
    if source.suffix == ".rec" or (source.is_dir() and find_file(source, ".rec", "train.rec")):
        return rec(source, groups=groups)
    return folder(source, groups=groups)


IMPORTERS: dict[str, Callable[..., Listing]] = {
    "folder": folder,
    "csv": csv,
    "celeba": celeba,
    "vggface2": vggface2,
    "rfw": rfw,
    "lfw": lfw,
    "bupt": bupt,
    "casia": casia,
    "tinyface": tinyface,
    "rec": rec,
    "bin": verification_set,
    "unlabelled": unlabelled,
}


def _grouped_folders(root: Path) -> Listing:
    """The listing of a folder that holds one folder a group, and in it one a person."""
    if not any(path.is_dir() for path in root.iterdir()):
        raise ValueError(f"{root} holds no folders; expected one a group, and in it one a person")
    return list_tree(root, ("group", "identity"))


def _missing(pairs: Pairs) -> Sequence[str]:
    if not pairs.dropped:
        return ()
    total = len(pairs) + len(pairs.dropped)
    return (f"{len(pairs.dropped):,} of {total:,} pairs name an image that is not there, first {pairs.dropped[0]}",)
