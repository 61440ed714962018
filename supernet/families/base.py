"""What every family's skeleton says: everything about a network that is not searched, as data. Needs no torch."""

from __future__ import annotations

import itertools
import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.operations import OPERATIONS, Operation, Place

if TYPE_CHECKING:
    from dualfair.supernet.trunk import Trunk


NECKS = ("bn", "linear1000", "none", "flatten")
"""What may stand between the features and the class weights of a margin head. Behind the mean over the map: a linear
layer without bias to the embedding and BN without a learnt scale; a linear layer with bias to 1,000 numbers; nothing.
Or BN, all pixels of the map, a linear layer with bias to the embedding and BN without learnt weights."""
LINEAR = 1000
"""Length of the embeddings of `linear1000`."""


_SIZED = re.compile(r"([a-z]+)-d([1-9][0-9]{0,3})-w([1-9][0-9]{0,4})")


def size_in_name(name: str) -> tuple[str, int, int] | None:
    """Family, depth and width of a name that says them, such as mix-d21-w56; None for any other."""
    said = _SIZED.fullmatch(name)
    return (said[1], int(said[2]), int(said[3])) if said else None


@dataclass(frozen=True)
class OwnHead:
    """A head that is not built in: its name in genotypes, its margin function (see `supernet.heads.MarginHead`), and
    the "module:object" by which the function is found again."""

    name: str
    margin: Callable
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Skeleton(ABC):
    """A family of networks without its searched operations.

    `image_size` is the side of the square RGB input in pixels, which is a crop of images resized to `crop_from` px, or
    all of them with 0. `embedding` is the length of the embedding that the necks "bn" and "flatten" make, and `blocks`
    counts the blocks of each stage. `operations` are the candidates: the code in a genotype is the place in this tuple.
    `heads` are those to choose from unless others are named; none leaves the choice to what is trained on. `own_heads`
    are those that genotypes may name besides the built-in ones.
    """

    name: str
    image_size: int
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    embedding: int = 512
    neck: str = NECKS[0]
    crop_from: int = 0
    operations: tuple[Operation, ...] = tuple(OPERATIONS.values())
    heads: tuple[str, ...] = ()
    own_heads: tuple[OwnHead, ...] = ()

    def __post_init__(self) -> None:
        if not self.blocks or min(self.blocks) < 1:
            raise ValueError(f"skeleton {self.name}: every stage needs at least one block, got {self.blocks}")
        names = [operation.name for operation in self.operations]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"skeleton {self.name}: two operations are named {twice!r}; give each a name of its own")
        if self.neck not in NECKS:
            raise ValueError(f"skeleton {self.name}: neck must be one of {', '.join(NECKS)}, got {self.neck!r}")
        if self.crop_from and self.crop_from < self.image_size:
            raise ValueError(
                f"skeleton {self.name}: {self.image_size} px cannot be a crop of images of {self.crop_from} px; "
                "crop_from must be as large or larger, or 0"
            )
        if self.image_size < self.reduction:
            raise ValueError(
                f"skeleton {self.name}: images of {self.image_size} px are too small; it needs {self.reduction} px"
            )

    @property
    def stored_size(self) -> int:
        """The least side in pixels that images have to be stored with."""
        return self.crop_from or self.image_size

    @property
    def input_in_words(self) -> str:
        """The size of the network's images, and what they are crops of."""
        return f"{self.image_size} px" + (f" of {self.crop_from}" if self.crop_from else "")

    @property
    def reduction(self) -> int:
        """How many input pixels one pixel of the last feature map covers, along one side; 1 unless overridden."""
        return 1

    @property
    def space(self) -> str:
        """The built-in space that networks are searched in unless another is named, by the positions of the blocks."""
        return "layers" if all(len(places) == 1 for places in self.block_places()) else "dpn81"

    @property
    @abstractmethod
    def features(self) -> int:
        """Channels of the last feature map, which the heads' necks read."""

    @abstractmethod
    def block_places(self) -> tuple[tuple[Place, ...], ...]:
        """Where the searched positions of every block stand, first block to last."""

    @property
    def last_side(self) -> int:
        """Side of the last feature map in pixels."""
        return self.block_places()[-1][-1].out_side

    @property
    def last_channels(self) -> int:
        """Channels behind the last block: those of its last position, unless overridden."""
        return self.block_places()[-1][-1].out_channels

    def block_channels(self) -> tuple[int, ...]:
        """Channels behind every block: what the next one reads."""
        return (*(places[0].in_channels for places in self.block_places()[1:]), self.last_channels)

    def block_reductions(self) -> tuple[int, ...]:
        """How many input pixels one pixel behind every block covers, along one side. ValueError where `reduction` says
        something else."""
        strides = [math.prod(place.stride for place in places) for places in self.block_places()]
        stem, rest = divmod(self.reduction, math.prod(strides))
        if rest or not stem:
            raise ValueError(f"skeleton {self.name}: reduction {self.reduction} is not that of its strides {strides}")
        return tuple(stem * product for product in itertools.accumulate(strides, operator.mul))

    def shortcut_layers(self) -> tuple[tuple[Operation, Place] | None, ...]:
        """The fixed layer beside the positions of every block, None where there is none: nowhere, unless overridden."""
        return (None,) * sum(self.blocks)

    @abstractmethod
    def stem_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the stem, which all paths share."""

    @abstractmethod
    def tail_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the tail, which runs behind every path of its own."""

    @abstractmethod
    def make_trunk(self, candidates: Sequence[Sequence[Iterable[int]]]) -> Trunk:
        """Stem, blocks and tail, freshly initialised; `candidates` are codes of operations at every position."""

    def named(self, codes: Iterable[Iterable[int]]) -> list[list[tuple[int, Operation]]]:
        """The operations of codes, with their codes, as `trunk.SearchedBlock` takes them: a row a position."""
        return [[(code, self.operations[code]) for code in row] for row in codes]

    def fit(self, genotype: Genotype | str) -> Genotype:
        """The genotype for this skeleton's blocks; one block stands for all. ValueError naming the place otherwise."""
        genotype = Genotype.parse(genotype) if isinstance(genotype, str) else genotype
        genotype = genotype.repeat(sum(self.blocks))
        for number, (codes, places) in enumerate(zip(genotype.blocks, self.block_places(), strict=True), 1):
            if len(codes) != len(places):
                raise ValueError(
                    f"genotype '{genotype}': block {number} has {len(codes)} codes; expected {len(places)}"
                )
            for position, code in enumerate(codes, 1):
                if code >= len(self.operations):
                    raise ValueError(
                        f"genotype '{genotype}': block {number}, position {position} has code {code}; "
                        f"allowed: 0 to {len(self.operations) - 1}"
                    )
        return genotype

    def resized(self, image_size: int | None = None, blocks: Sequence[int] | None = None) -> Skeleton:
        """The same widths for images of another size, no crops, or another depth; None keeps what is there."""
        crop_from = 0 if image_size else self.crop_from
        blocks = tuple(blocks or self.blocks)
        return replace(self, image_size=image_size or self.image_size, blocks=blocks, crop_from=crop_from)

    def check_size_in_name(self, width: int) -> None:
        """Raises ValueError where the name says another depth, which is all blocks together, or another width."""
        said, depth = size_in_name(self.name), sum(self.blocks)
        if said and said[1:] != (depth, width):
            raise ValueError(
                f"skeleton {self.name}: its name says {said[1]} blocks of width {said[2]}, got {depth} of {width}"
            )

    def check_stages(self, *fields: str) -> None:
        """Raises ValueError where one of these fields does not have as many entries as the first, one a stage."""
        stages = len(getattr(self, fields[0]))
        for field in fields:
            if len(getattr(self, field)) != stages:
                raise ValueError(
                    f"skeleton {self.name}: {field} has {len(getattr(self, field))} entries; expected {stages}, "
                    "one a stage"
                )
