"""A network on a skeleton that is named by depth and width, as a value: mix-d3-w16/0-1-0:softmax. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dualfair.supernet.families.base import size_in_name
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import SIZED, Skeleton, sized_skeleton


def names_a_size(text: str) -> bool:
    """Whether a text begins as such a network prints: what tells it from a genotype."""
    name, slash, _ = text.partition("/")
    said = size_in_name(name)
    return bool(slash and said and said[0] in SIZED)


@dataclass(frozen=True, order=True)
class SizedGenotype:
    """A genotype with the name of its skeleton, one of `skeleton.SIZED`.

    >>> network = SizedGenotype.parse("mix-d3-w16/1:softmax")
    >>> network.skeleton, str(network), network.head
    ('mix-d3-w16', 'mix-d3-w16/1-1-1:softmax', 'softmax')
    """

    skeleton: str
    genotype: Genotype

    @classmethod
    def parse(cls, text: str) -> SizedGenotype:
        """The network that prints as `text`. Raises ValueError naming what is wrong with it."""
        if not isinstance(text, str) or not names_a_size(text):
            families = ", ".join(SIZED)
            raise ValueError(f"network {str(text)[:60]!r}: expected such as mix-d21-w56/0:softmax, of {families}")
        name, _, codes = text.partition("/")
        genotype = sized_skeleton(name).fit(codes)
        if not genotype.head:
            raise ValueError(f"network {text[:60]!r} needs a head, as in mix-d21-w56/0:softmax")
        return cls(name, genotype)

    def __str__(self) -> str:
        return f"{self.skeleton}/{self.genotype}"

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Codes of operations, block by block."""
        return self.genotype.blocks

    @property
    def head(self) -> str:
        """Name of the head."""
        return self.genotype.head

    def skeleton_like(self, other: Skeleton) -> Skeleton:
        """Its skeleton for the images, the length of embeddings and the heads of one's own of another skeleton."""
        shape = sized_skeleton(self.skeleton).resized(other.image_size)
        return replace(shape, crop_from=other.crop_from, embedding=other.embedding, own_heads=other.own_heads)
