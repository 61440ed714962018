"""TinyFace: probes, the gallery that their people are in, and distractors, in a folder each."""

import re
from dataclasses import replace
from pathlib import Path

from dualfair.supernet.images.importers.folders import list_tree
from dualfair.supernet.images.importers.listing import Listing, locate
from dualfair.supernet.images.manifest import Manifest

PARTS = {"Probe": "probe", "Gallery_Match": "gallery", "Gallery_Distractor": "distractor"}
"""What an image is for, by its folder."""
_NAME = re.compile(r"(\d+)_\d+\.\w+")


def tinyface(source: Path) -> Listing:
    """TinyFace, faces of about 20 pixels: SRC holds Testing_Set, and in it Probe, Gallery_Match and Gallery_Distractor.

    An image of the first two is named after its person, such as 17_3.jpg; a distractor is a person of its own. The
    column 'part' says probe, gallery or distractor, for 'dualfair evaluate --probes part=probe'.
    """
    root = locate(Path(source), "Probe", ("", "Testing_Set"), "TinyFace's archive, unpacked").parent
    for folder in PARTS:
        locate(root, folder, ("",), "TinyFace's archive, unpacked")
    listing = list_tree(root, ("identity",), only=[*PARTS])
    paths = listing.manifest.columns["path"]
    parts = tuple(PARTS[path.partition("/")[0]] for path in paths)
    people = tuple(path if part == "distractor" else _person(path) for path, part in zip(paths, parts, strict=True))
    return replace(listing, manifest=Manifest({"path": paths, "identity": people, "part": parts}))


def _person(path: str) -> str:
    named = _NAME.fullmatch(path.rpartition("/")[2])
    if named is None:
        raise ValueError(f"image {path[:80]!r} does not say whose it is; expected a name such as 17_3.jpg")
    return named[1]
