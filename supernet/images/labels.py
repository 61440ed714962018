"""Labels: who is on the images and to which group a person belongs; what of that is missing, torn or spelled twice.

One rule for all commands and for every column. A missing label names nobody and no group. People whose group is not
known are left out only where that was asked for, and never compared. Spellings that `fold` makes equal name one thing,
so that two of them are a mistake.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from unicodedata import category, normalize

from dualfair.supernet.images.manifest import Manifest, attributes_of, shorten

GROUP = "group"
"""The column of groups, unless another one is named."""
EVERYONE = "all"
"""The group of all people where there is no column of groups."""
RESERVED = {EVERYONE, "all pairs"}
"""What everybody together is called beside the groups, in tables and pictures."""
NO_GROUP = "no group"
_WRAPPING = re.compile(
    r"^((np|numpy|pd|pandas|math)\.)?"
    r"((array|frozenset|set|list|tuple|dict|float\d*|str_?|datetime64|tensor)(?=\())?|, dtype=\w+\)$"
)
"""What Python writes around the items of a container, and in front of a number of a library."""
_ROUNDED = re.compile(r"\d\.(\d+)e\+(\d+)")
_EXCEL_DIGITS = 11
"""Whole numbers with more digits are cut by Excel to some first ones: 1.23457E+11, which many numbers come to."""

MISSING = {
    "", "n/a", "#n/a", "#n/a n/a", "#na", "na", "n.a.", "nat", "nan", "-nan", "+nan", "none", "null", "nil", "\\n",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "#null!", "#value!", "#ref!", "#name?", "#num!", "#div/0!",
    "unknown", "missing", "undefined", "unspecified", "not available", "not applicable", "not known", "not specified",
    NO_GROUP,
}  # fmt: skip
"""What stands for a label that is not known, as `fold` gives it and without brackets or quotes around it; so does what
has nothing but punctuation."""

_OTHERS, _LATIN = "авекмнорстухѕіјӏԁԛԝαβεζηικμνορτυχ’‘ʼ", "abekmhopctyxsijldqwabezhikmnoptyx'''"
LOOK_ALIKES = str.maketrans(_OTHERS + _OTHERS.upper(), _LATIN + _LATIN.upper())
"""Letters of Cyrillic and Greek that, small or large, look as a Latin one does; typographic apostrophes."""
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What shows nothing, although Unicode has it among letters, marks and symbols."""
TRUTH = {"true": "1", "false": "0"}
"""What programs write for yes and no, and its number."""
_JOINT = re.compile(r"(?<=[^\W_])(?!\s+-\d)[\s_-]+(?=[^\W_])")
"""Blanks, dashes and underscores between letters or digits; a dash in front of a digit and behind a blank is a sign."""


class DoubtfulLabels(Protocol):
    """Sentences on what is doubtful in some labels."""

    unknown: Sequence[str]
    alike: Sequence[str]
    reserved: Sequence[str]


@dataclass(frozen=True, eq=False)
class Labels:
    """What the labels of some images come to: `group_of` has the group of every person whose group is known."""

    column: str | None
    group_of: Mapping[str, str]
    nameless: Counter[str]
    """Images without an identity, by what stands in its place."""

    groupless: Mapping[str, str]
    """People most of whose images name no group, with what stands in its place."""

    torn: Mapping[str, Counter[str]]
    """People whose images name several groups, two of them most often: images by group."""

    mixed: Mapping[str, Counter[str]]
    """Other people whose images name several groups; most of the images decide."""

    alike: tuple[str, ...]
    """Sentences on identities and on groups that are spelled in several ways."""

    @property
    def unknown(self) -> list[str]:
        """Sentences on the images and people that --drop-unknown leaves out."""
        said = []
        if self.nameless:
            said.append(f"{self.nameless.total()} images have no identity ({in_numbers(self.nameless)})")
        if self.groupless:
            said.append(
                f"{len(self.groupless)} identities have no group in column {self.column!r} "
                f"({in_numbers(Counter(self.groupless.values()))}): {shorten(sorted(self.groupless))}"
            )
        if self.torn:
            said.append(
                f"{len(self.torn)} identities have two groups in column {self.column!r} in equal number: "
                f"{_people(self.torn)}"
            )
        return said

    @property
    def reserved(self) -> list[str]:
        """A sentence on a group that has the name of everybody together."""
        return called_as_everyone(self.group_of.values(), f"column {self.column!r} has") if self.column else []

    @property
    def majorities(self) -> list[str]:
        """A sentence on the people whose group is that of most images, not of all."""
        if not self.mixed:
            return []
        column, people = f"column {self.column!r}", _people(self.mixed)
        return [f"{len(self.mixed)} identities have images of two groups in {column}, the majority counts: {people}"]

    @property
    def decided(self) -> list[str]:
        """Sentences on what was decided where the unknown are left out."""
        return [*(f"left out: {sentence}" for sentence in self.unknown), *self.majorities]


def labels_of(manifest: Manifest, column: str | None, rows: Sequence[int] | None = None) -> Labels:
    """The labels of a manifest, or of some rows of it, by a column of groups; without one all people are one group.

    A person's group is that of most images, where a missing one counts as a group of its own. Raises ValueError for an
    unknown column.
    """
    identities, values = manifest.columns["identity"], (EVERYONE,) * len(manifest)
    if column is not None:
        manifest.require(column)
        values = manifest.columns[column]
    pairs = zip(identities, values, strict=True) if rows is None else ((identities[row], values[row]) for row in rows)
    counts = Counter(pairs)
    no_names, no_groups = (
        {value for value in found if is_missing(value)} for found in map(set, zip(*counts, strict=True))
    )
    nameless: Counter[str] = Counter()
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    instead: dict[str, str] = {}
    for (identity, value), images in counts.items():
        if identity in no_names:
            nameless[identity] += images
        elif value in no_groups:
            votes[identity][NO_GROUP] += images
            instead.setdefault(identity, value)
        else:
            votes[identity][value] += images
    group_of: dict[str, str] = {}
    groupless: dict[str, str] = {}
    torn: dict[str, Counter[str]] = {}
    mixed: dict[str, Counter[str]] = {}
    for identity, count in votes.items():
        (group, most), *others = count.most_common()
        if others and others[0][1] == most:
            torn[identity] = count
        elif group == NO_GROUP:
            groupless[identity] = instead[identity]
        else:
            group_of[identity] = group
            if others:
                mixed[identity] = count
    named = (value for _, value in counts if value not in no_groups)
    alike = (*spelled_alike(votes, "identities"), *spelled_alike(named, f"column {column!r} has groups"))
    return Labels(column, group_of, nameless, groupless, torn, mixed, alike)


def known_labels(
    manifest: Manifest, column: str | None, rows: Sequence[int] | None = None, *, drop_unknown: bool = False
) -> Labels:
    """As `labels_of`. Raises ValueError where a spelling is doubtful, where a group is called as everybody together is,
    where nobody has a group, and where images or people would be left out that nobody asked to leave out.
    """
    labels = labels_of(manifest, column, rows)
    others = [name for name in attributes_of(manifest) if name != column] if labels.groupless else []
    refuse_labels(labels, bool(labels.group_of), drop_unknown, others)
    return labels


def refuse_labels(labels: DoubtfulLabels, somebody: bool, drop_unknown: bool, others: Sequence[str] = ()) -> None:
    """Raise ValueError as `known_labels` does; `somebody` is left or not, `others` are columns to name in its place."""
    if labels.alike:
        raise ValueError(f"{'; '.join(labels.alike)}; give each one spelling")
    if labels.reserved:
        raise ValueError(f"{'; '.join(labels.reserved)}; give it another name")
    if not somebody:
        named = f"; name another column: {', '.join(others)}" if others else ""
        raise ValueError(f"nobody is left: {'; '.join(labels.unknown)}{named}")
    if labels.unknown and not drop_unknown:
        raise ValueError(f"{'; '.join(labels.unknown)}; correct that, or leave them out with --drop-unknown")


def usual_column(manifest: Manifest) -> str | None:
    """The column `group` where it names any group at all."""
    return None if all(map(is_missing, set(manifest.columns.get(GROUP, ())))) else GROUP


def doubts(manifest: Manifest, *looked_at: str | None) -> Iterator[str]:
    """Sentences on images without a value, and on doubtful spellings, in all columns of attributes but some."""
    for name in attributes_of(manifest):
        if name not in looked_at:
            values = Counter(manifest.columns[name])
            missing = missing_of(values)
            if missing:
                yield f"column {name!r} has no value for {missing.total()} images ({in_numbers(missing)})"
            yield from spelled_alike(values.keys() - missing.keys(), f"column {name!r} has values")


def is_missing(value: str) -> bool:
    """Whether a label says that nothing is known, rather than naming a person or a group."""
    text = _WRAPPING.sub("", fold(value)).strip("<>()[]{}'\" ")
    if rounded := _ROUNDED.fullmatch(text):
        return int(rounded[2]) >= max(_EXCEL_DIGITS, len(rounded[1]) + 1)
    return not MISSING.isdisjoint((text, text.replace(" ", ""))) or all(
        category(letter).startswith("P") for letter in text
    )


def missing_of(values: Mapping[str, int]) -> Counter[str]:
    """The missing ones of counted values."""
    return Counter({value: count for value, count in values.items() if is_missing(value)})


def spelled_alike(values: Iterable[str], what: str) -> list[str]:
    """A sentence on values that name one thing in several spellings; none where each has one."""
    spellings = defaultdict(set)
    for value in values:
        spellings[fold(value)].add(value)
    several = [_told_apart(sorted(alike)) for alike in spellings.values() if len(alike) > 1]
    named = shorten(sorted(several))
    return [f"{what} that differ only in spelling: {named}"] if several else []


def called_as_everyone(groups: Iterable[str], what: str) -> list[str]:
    """A sentence on every group that has the name of everybody together."""
    names = sorted(name for name in set(groups) if fold(name) in RESERVED)
    return [f"{what} a group {name!r}, as everybody together is called" for name in names]


def fold(value: str) -> str:
    """What all spellings of a label have in common.

    Case, width, composition and look (`LOOK_ALIKES`) of letters mean nothing, nor do invisible characters. Blanks,
    dashes and underscores between words are one blank. Quotes around the whole mean nothing. Neither does what table
    programs make of whole numbers: a ".0" behind them once a cell of the column is empty, no zeros in front of them.
    Yes and no are written True and False, or 1 and 0.
    """
    if not (value.isascii() and value.isprintable()):
        seen = _UNSEEN.sub("", normalize("NFKC", value))
        letters = (letter for letter in seen if letter.isspace() or category(letter) not in ("Cc", "Cf"))
        value = normalize("NFKC", "".join(letters).translate(LOOK_ALIKES).casefold())
        value = "".join("-" if category(letter) == "Pd" or letter == "\N{MINUS SIGN}" else letter for letter in value)
    text = " ".join(_JOINT.sub(" ", value.casefold()).split())
    text = re.sub(r"^(['\"])(.+)\1$", r"\2", text)
    return re.sub(r"^([+-]?)0*(\d+?)(\.0+)?$", r"\1\2", TRUTH.get(text, text))


def _told_apart(alike: Sequence[str]) -> str:
    """Spellings joined by "and"; letters that look the same on a screen are told by their codes."""
    looks = {_UNSEEN.sub("", normalize("NFC", value)).translate(LOOK_ALIKES) for value in alike}
    shown = repr if len(looks) == len(alike) else ascii
    return " and ".join(map(shown, alike))


def in_numbers(counts: Counter[str]) -> str:
    """Values and how often each stands there, the most frequent first."""
    return shorten([f"{value!r} {count}" for value, count in counts.most_common()])


def _people(images: Mapping[str, Counter[str]]) -> str:
    return shorten(
        [
            f"{identity} ({', '.join(f'{group} {n}' for group, n in images[identity].most_common())})"
            for identity in images
        ]
    )
