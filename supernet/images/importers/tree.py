"""What lies below a folder: every file is an image that is taken, or skipped for a reason that is told.

Links are followed, and a file is taken once, however many links lead to it.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualfair.supernet.files import on_one_line
from dualfair.supernet.images.decoding import suffixes

HIDDEN = "hidden, as the name begins with a dot"
SYSTEM = "made by an operating system or a file server, not by you"
BAD_NAME = "named in another encoding than UTF-8, or with control characters; rename it"
DEAD_LINK = "a link that leads nowhere"
LOOP = "a link to a folder around it"
TAKEN = "a link to what is taken from another place"
NOT_PLAIN = "no plain file"

SYSTEM_NAMES = {
    name.casefold()
    for name in (
        *("__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"),
        *("lost+found", "@eaDir", "#recycle", "@Recycle"),
    )
}
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Skipped = Mapping[str, tuple[str, ...]]
"""The names that are skipped, by the reason."""


@dataclass(frozen=True)
class Tree:
    """Paths below a folder, with / between their parts, sorted part by part."""

    images: tuple[str, ...]
    folders: tuple[str, ...]
    """Those that may hold images."""

    skipped: Skipped


def look_below(root: Path, only: Sequence[str] = ()) -> Tree:
    """All files below a folder, whatever their depth; with `only` those in these of its folders, in their order."""
    return _Walk(os.path.realpath(root)).walk(root, only)


class _Walk:
    def __init__(self, root: str) -> None:
        self.root = root
        self.images: dict[str, str] = {}
        """By its path, where an image really lies; "" where no link leads to it."""
        self.folders: list[str] = []
        self.skipped: dict[str, list[str]] = defaultdict(list)
        self._linked_folders: set[str] = set()

    def walk(self, place: Path, only: Sequence[str]) -> Tree:
        self._look_into(str(place), "", self.root, (self.root,), "", only)
        linked = {path: real for path, real in self.images.items() if real}
        if linked:
            taken = {f"{self.root}/{path}" for path, real in self.images.items() if not real}
            for path, real in linked.items():
                if real in taken:
                    self.skipped[TAKEN].append(path)
                    del self.images[path]
                taken.add(real)
        return Tree(tuple(self.images), tuple(self.folders), frozen(self.skipped))

    def _look_into(
        self, place: str, inside: str, real: str, around: tuple[str, ...], reason: str, only: Sequence[str] = ()
    ) -> None:
        """`place` is a folder whose path from the root is `inside` (ends in /), and which really is `real`."""
        try:
            with os.scandir(place) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
            if only:
                entries = sorted((entry for entry in entries if entry.name in only), key=lambda e: only.index(e.name))
        except OSError as error:
            self.skipped[f"a folder that cannot be opened ({error.strerror})"].append(printable(inside))
            return
        for entry in entries:
            path, is_link = inside + entry.name, entry.is_symlink()
            lies = os.path.realpath(entry.path) if is_link else f"{real}/{entry.name}"
            why = reason or reason_of(entry.name)
            is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir()
            if not why:
                why = self._reason_of_folder(path, lies, around) if is_folder else _reason_of_file(entry, is_link)
            if is_folder and why in ("", TAKEN):
                self.folders.append(path)
            if is_folder and why not in (LOOP, TAKEN) and not (why and is_link):
                self._look_into(entry.path, path + "/", lies, (*around, lies), why)
            elif why:
                self.skipped[why].append(printable(path))
            else:
                self.images[path] = lies if lies != f"{self.root}/{path}" else ""

    def _reason_of_folder(self, path: str, real: str, around: tuple[str, ...]) -> str:
        if real in around or self.root.startswith(real.rstrip("/") + "/"):
            return LOOP
        if real != f"{self.root}/{path}":
            # However folders link to each other, each is looked into twice at most.
            if real in self._linked_folders:
                return TAKEN
            self._linked_folders.add(real)
        return ""


def reason_of(name: str) -> str:
    """Why a file or folder of this name is skipped; "" where it is not."""
    if name.startswith("."):
        return HIDDEN
    if name.casefold() in SYSTEM_NAMES:
        return SYSTEM
    return BAD_NAME if _UNPRINTABLE.search(name) else ""


def _reason_of_file(entry: os.DirEntry, is_link: bool) -> str:
    if is_link and not os.path.exists(entry.path):
        return DEAD_LINK
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix not in suffixes():
        return f"no image format that is read ({suffix or 'no suffix'})"
    return "" if entry.is_file() else NOT_PLAIN


def frozen(skipped: Mapping[str, Iterable[str]]) -> Skipped:
    """Without the reasons that nothing was skipped for."""
    return {reason: kept for reason, names in skipped.items() if (kept := tuple(names))}


def skipped_lines(skipped: Skipped) -> list[str]:
    """A line a reason, with how many there are and the first of them."""
    return [f"skipped {len(names):,}: {reason}; the first is {names[0]}" for reason, names in skipped.items()]


def printable(name: str) -> str:
    r"""A name for a line of text: bytes that are not UTF-8 as \xe9, control characters as \n."""
    return on_one_line(os.fsencode(name).decode("utf-8", "backslashreplace"))


def tidy(name: str) -> str:
    """A name as it is kept: without blanks around it, as a CSV has none, and with composed accents (NFC)."""
    return unicodedata.normalize("NFC", name.strip())


def tidy_names(names: Iterable[str], root: Path) -> dict[str, str]:
    """Names of folders and what they are kept as. Raises ValueError for one that is blank, and two that are equal."""
    kept: dict[str, str] = {}
    for name in names:
        if not tidy(name):
            raise ValueError(f"{root} holds a folder named {name!r}; give it a name")
        other = kept.setdefault(tidy(name), name)
        if other != name:
            raise ValueError(
                f"{root} holds the folders {other!a} and {name!a}, equal but for blanks around the names or "
                "the way accents are coded; rename one, or join them"
            )
    return {name: tidied for tidied, name in kept.items()}
