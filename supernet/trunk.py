"""The part of a network before its heads, whatever family it is of: stem, searched blocks, tail.

Shape legend: B batch, C channels, H height, W width.
"""

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor, nn

from dualfair.supernet.operations import Operation, Place


class SearchedBlock(nn.Module):
    """A block with candidate operations at its searched positions; a family of networks says how they are joined.

    `places` are where the positions stand, and `candidates` the operations held at each, with their codes: all of them
    in a supernet, one in a standalone network. `shortcut` is a layer on what is carried past the positions, or None.
    """

    def __init__(
        self,
        places: Sequence[Place],
        candidates: Sequence[Iterable[tuple[int, Operation]]],
        shortcut: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.places = tuple(places)
        self.shortcut = shortcut
        self.positions = nn.ModuleList()
        self._names: list[dict[int, str]] = []
        for place, row in zip(places, candidates, strict=True):
            row = tuple(row)
            self.positions.append(nn.ModuleDict({operation.name: operation.build(place) for _, operation in row}))
            self._names.append({code: operation.name for code, operation in row})

    def carry(self, x: Tensor) -> Tensor:
        """What travels past the searched positions: x itself, or its shortcut."""
        return x if self.shortcut is None else self.shortcut(x)

    def operation(self, position: int, code: int) -> nn.Module:
        """The candidate operation that a code names."""
        return self.positions[position][self._names[position][code]]

    def join(self, carried: Tensor, x: Tensor) -> Tensor:
        """What the block makes of that which was carried past the positions and that which they computed."""
        raise NotImplementedError

    def forward(self, x: Tensor, codes: Sequence[int], carried: Tensor | None = None) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride) along the operations that `codes` names.

        `carried` is what `carry` said of x, for callers who have it at hand.
        """
        carried = self.carry(x) if carried is None else carried
        for position, code in enumerate(codes):
            x = self.operation(position, code)(x)
        return self.join(carried, x)


class Trunk(nn.Module):
    """Everything before the heads: a stem, searched blocks, and a tail that ends in the features."""

    def __init__(self, stem: nn.Module, blocks: Iterable[SearchedBlock], tail: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(blocks)
        self.tail = tail

    def begin(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What all paths begin with: the stem's output (B, C, h, w), and what the first block carries of it."""
        x = self.stem(images)
        return x, self.blocks[0].carry(x)

    def maps(self, begun: tuple[Tensor, Tensor], blocks: Sequence[Sequence[int]]) -> Iterator[Tensor]:
        """From where `begin` left off, along the codes of every block: what each makes of the one before."""
        x, carried = begun
        for block, codes in zip(self.blocks, blocks, strict=True):
            x = block(x, codes, carried)
            carried = None
            yield x

    def finish(self, begun: tuple[Tensor, Tensor], blocks: Sequence[Sequence[int]]) -> Tensor:
        """From where `begin` left off, along the codes of every block, to the features (B, C, h, w)."""
        *_, last = self.maps(begun, blocks)
        return self.tail(last)

    def stages(self, blocks: Sequence[Sequence[int]] | None) -> Iterator[nn.Module]:
        """The layers that run behind `begin` along the codes of every block; for None those that run in `begin`."""
        if blocks is None:
            layers = [self.stem, self.blocks[0].shortcut]
        else:
            layers = [self.tail]
            for number, (block, codes) in enumerate(zip(self.blocks, blocks, strict=True)):
                layers += [block.shortcut] if number > 0 else []
                layers += [block.operation(position, code) for position, code in enumerate(codes)]
        return (layer for layer in layers if layer is not None)

    def forward(self, images: Tensor, blocks: Sequence[Sequence[int]]) -> Tensor:
        """(B, 3, H, W) and the codes of every block -> features (B, C, h, w)."""
        return self.finish(self.begin(images), blocks)
