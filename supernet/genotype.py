"""An architecture as a value: it prints short, parses back, sorts and hashes. Needs nothing but Python."""

from __future__ import annotations

import re
from dataclasses import dataclass

MARGIN_HEADS = ("arcface", "cosface", "magface")
"""Heads that widen what lies between people; faces are searched with these unless others are named."""
HEAD_NAMES = (*MARGIN_HEADS, "softmax", "adaface")
"""All built-in heads."""

LARGEST_CODE = 999_999
"""No space has as many operations; a longer number is a slip, or an attack on the memory of whoever reads it."""

HEAD_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What a head may be called."""
_DIGITS = re.compile(r"[0-9]+")
_CODE = re.compile(r"0|[1-9][0-9]{0,5}")


@dataclass(frozen=True, order=True)
class Genotype:
    """One network of a search space: the operation codes of every block, then the head.

    `101-101-000-680:cosface` is a network of four blocks with three searched positions each (codes are listed in
    `supernet.operations.OPERATIONS`) and the CosFace head. A block that holds a code above 9 separates its codes by
    commas: `1,12,0`, or `12,` where 12 stands alone. Spaces without a head leave out `:head`.

    >>> genotype = Genotype.parse("101-680:cosface")
    >>> genotype.blocks, genotype.head, genotype.indices
    (((1, 0, 1), (6, 8, 0)), 'cosface', (1, 0, 1, 6, 8, 0, 1))
    >>> str(genotype)
    '101-680:cosface'
    """

    blocks: tuple[tuple[int, ...], ...]
    head: str = ""

    def __post_init__(self) -> None:
        blocks = tuple(tuple(map(int, block)) for block in self.blocks)
        object.__setattr__(self, "blocks", blocks)
        if not blocks or any(not block for block in blocks):
            raise ValueError("a genotype needs at least one block, and each block at least one code")
        wrong = [code for block in blocks for code in block if not 0 <= code <= LARGEST_CODE]
        if wrong:
            raise ValueError(f"operation codes must be 0 to {LARGEST_CODE}, got {_shown(wrong[0])}")
        if self.head and not HEAD_NAME.fullmatch(self.head):
            raise ValueError(f"head {_shown(self.head)} must be a lower-case name such as {HEAD_NAMES[0]!r}")

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """The genotype that prints as `text`. Raises ValueError naming the block and the position at fault."""
        if not isinstance(text, str):
            raise ValueError(f"a genotype is parsed from text, got {type(text).__name__}")
        codes, colon, head = text.strip().partition(":")
        if colon and not HEAD_NAME.fullmatch(head):
            raise ValueError(
                f"genotype {_shown(text)}: {_shown(head)} after ':' is no head name; expected e.g. "
                f"'101:{HEAD_NAMES[1]}'"
            )
        blocks = []
        for number, token in enumerate(codes.split("-"), 1):
            fault = _fault(token)
            if fault is not None:
                raise ValueError(
                    f"genotype {_shown(text)}: block {number} is {_shown(token)}{fault}; expected operation codes such "
                    "as '101', one digit a position (or numbers joined by ','), blocks joined by '-'"
                )
            blocks.append(tuple(map(int, token.rstrip(",").split(",") if "," in token else token)))
        return cls(tuple(blocks), head)

    def __str__(self) -> str:
        codes = "-".join(_print_block(block) for block in self.blocks)
        return f"{codes}:{self.head}" if self.head else codes

    @property
    def indices(self) -> tuple[int, ...]:
        """All codes in order, then the head's place in `HEAD_NAMES`: the genotype as integers.

        Raises ValueError for a head that is not built in (a space numbers its own heads: `SearchSpace.encode`).
        """
        codes = tuple(code for block in self.blocks for code in block)
        if not self.head:
            return codes
        if self.head not in HEAD_NAMES:
            raise ValueError(f"head {self.head!r} has no built-in number; use SearchSpace.encode")
        return (*codes, HEAD_NAMES.index(self.head))

    def repeat(self, blocks: int) -> Genotype:
        """This genotype for `blocks` blocks: one block is used for all, as in `101:cosface`.

        Raises ValueError when it has more than one block and not exactly `blocks`.
        """
        if len(self.blocks) == blocks:
            return self
        if len(self.blocks) == 1:
            return Genotype(self.blocks * blocks, self.head)
        raise ValueError(f"genotype '{self}' has {len(self.blocks)} blocks; expected {blocks}, or one for all of them")


def _print_block(block: tuple[int, ...]) -> str:
    if max(block) <= 9:
        return "".join(map(str, block))
    return ",".join(map(str, block)) + ("," if len(block) == 1 else "")


def _fault(token: str) -> str | None:
    """What is wrong with the text of a block, with the position; None for a block, "" where there is no position."""
    if _DIGITS.fullmatch(token):
        return None
    parts = token.removesuffix(",").split(",") if "," in token else list(token)
    kind = _CODE if "," in token else _DIGITS
    wrong = next((place for place, part in enumerate(parts, 1) if not kind.fullmatch(part)), None)
    if token and wrong is None:
        return None
    return "" if len(parts) < 2 else f", position {wrong} is {_shown(parts[wrong - 1])}"


def _shown(value: object) -> str:
    """A value for a message, on one line and not too long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text):,} letters)"
