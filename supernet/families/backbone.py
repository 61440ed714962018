"""A backbone of timm as a value: it prints short, parses back and hashes. Needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dualfair.supernet.genotype import HEAD_NAME, HEAD_NAMES

PREFIX = "timm."
"""What tells the text of a backbone from that of a genotype."""

_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True, order=True)
class Backbone:
    """A network that was not searched: a backbone by its name in timm, without weights, and the margin head.

    `blocks` are the searched codes along it: none, it has one path.

    >>> backbone = Backbone.parse("timm.dpn68b:cosface")
    >>> backbone.name, backbone.head, str(backbone)
    ('dpn68b', 'cosface', 'timm.dpn68b:cosface')
    """

    name: str
    head: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(
                f"backbone {str(self.name)[:60]!r} must be a name of timm's such as 'resnet18', without the tag of "
                "pretrained weights: it is trained from scratch"
            )
        if not HEAD_NAME.fullmatch(str(self.head)):
            raise ValueError(
                f"backbone {self.name}: {str(self.head)[:40]!r} is no head name; choose from {', '.join(HEAD_NAMES)}, "
                "or name one of your own"
            )

    @classmethod
    def parse(cls, text: str) -> Backbone:
        """The backbone that prints as `text`. Raises ValueError naming what is wrong with it."""
        if not isinstance(text, str) or not text.startswith(PREFIX):
            raise ValueError(f"a backbone is written as {PREFIX}NAME:HEAD, got {str(text)[:60]!r}")
        name, _, head = text.removeprefix(PREFIX).partition(":")
        return cls(name, head)

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}:{self.head}"

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Codes of searched operations, block by block: none."""
        return ()
