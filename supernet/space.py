"""Search spaces as data: which choices exist and which positions of a network move together. Needs numpy only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.supernet.genotype import MARGIN_HEADS, Genotype
from dualfair.supernet.operations import OPERATION_NAMES

HEAD = "head"
"""The name of the choice block that chooses the head; its choices are head names."""


@dataclass(frozen=True)
class ChoiceBlock:
    """One decision of a search space.

    `choices` are the names chosen from, in order. `genes` are the places of the genotype that follow the decision,
    as (block, position) pairs; left out, the choice block is a genotype block of its own. `codes` are the numbers
    that the choices have in a genotype: their places in `choices` unless given.
    """

    name: str
    choices: tuple[str, ...]
    genes: tuple[tuple[int, int], ...] = ()
    codes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(str(choice) for choice in self.choices))
        object.__setattr__(self, "genes", tuple((int(block), int(position)) for block, position in self.genes))
        object.__setattr__(self, "codes", tuple(self.codes) or tuple(range(len(self.choices))))
        if not self.choices:
            raise ValueError(f"choice block {self.name!r} has no choices; give at least one")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError(f"choice block {self.name!r} lists a choice twice: {', '.join(self.choices)}")
        if len(self.codes) != len(self.choices) or len(set(self.codes)) < len(self.codes):
            raise ValueError(
                f"choice block {self.name!r} has {len(self.choices)} choices and the codes {self.codes}; "
                "give one code a choice, all different"
            )


class SearchSpace:
    """All genotypes that a list of choice blocks spans.

    An integer vector holds the place of the chosen choice of every choice block, in order; `encode` and `decode`
    translate between vectors and genotypes.

    >>> space = SearchSpace([ChoiceBlock("kernel", ("3", "5", "7")), ChoiceBlock("head", ("arcface", "cosface"))])
    >>> space.size, space.sizes, str(space.decode([2, 1]))
    (6, (3, 2), '2:cosface')
    """

    def __init__(self, choice_blocks: Iterable[ChoiceBlock], name: str = "custom") -> None:
        self.name = name
        self.choice_blocks: tuple[ChoiceBlock, ...] = tuple(choice_blocks)
        if not self.choice_blocks:
            raise ValueError("a search space needs at least one choice block")
        names = [choice_block.name for choice_block in self.choice_blocks]
        if len(set(names)) < len(names):
            raise ValueError(f"choice blocks must have different names, got {', '.join(names)}")
        self._heads = next((block for block in self.choice_blocks if block.name == HEAD), None)
        self._genes = _genes_of_choice_blocks(self.choice_blocks)
        self._shape = _genotype_shape(self._genes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of choices of every choice block."""
        return tuple(len(choice_block.choices) for choice_block in self.choice_blocks)

    @property
    def size(self) -> int:
        """Number of genotypes: the product of `sizes`."""
        return math.prod(self.sizes)

    @property
    def blocks(self) -> int:
        """Number of blocks of a genotype."""
        return len(self._shape)

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the heads to choose from; empty for a space without heads."""
        return self._heads.choices if self._heads else ()

    @property
    def genes(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The (block, position) pairs that every choice block sets; none for the one that chooses the head."""
        return tuple(self._genes)

    def with_heads(self, heads: Sequence[str]) -> SearchSpace:
        """The same space with these heads to choose from."""
        blocks = [block if block.name != HEAD else ChoiceBlock(HEAD, tuple(heads)) for block in self.choice_blocks]
        return SearchSpace(blocks, self.name)

    def decode(self, vector: Sequence[int]) -> Genotype:
        """The genotype of an integer vector (one choice a choice block). Raises ValueError when out of range."""
        vector = [int(choice) for choice in vector]
        if len(vector) != len(self.choice_blocks):
            raise ValueError(
                f"space {self.name} has {len(self.choice_blocks)} choice blocks, got {len(vector)} numbers"
            )
        codes = [[0] * positions for positions in self._shape]
        head = ""
        for choice, choice_block, genes in zip(vector, self.choice_blocks, self._genes, strict=True):
            if not 0 <= choice < len(choice_block.choices):
                raise ValueError(
                    f"choice block {choice_block.name!r} takes 0 to {len(choice_block.choices) - 1}, got {choice}"
                )
            if choice_block.name == HEAD:
                head = choice_block.choices[choice]
            for block, position in genes:
                codes[block][position] = choice_block.codes[choice]
        return Genotype(tuple(map(tuple, codes)), head)

    def encode(self, genotype: Genotype) -> np.ndarray:
        """The integer vector of a genotype, shape (choice blocks,). Raises ValueError when it lies outside."""
        self._check_shape(genotype)
        vector = np.empty(len(self.choice_blocks), dtype=np.int64)
        for place, (choice_block, genes) in enumerate(zip(self.choice_blocks, self._genes, strict=True)):
            if choice_block.name == HEAD:
                if genotype.head not in choice_block.choices:
                    seen = f"has head {genotype.head!r}" if genotype.head else "names no head"
                    raise ValueError(f"genotype '{genotype}' {seen}; allowed: {', '.join(choice_block.choices)}")
                vector[place] = choice_block.choices.index(genotype.head)
                continue
            codes = [genotype.blocks[block][position] for block, position in genes]
            for code, (block, position) in zip(codes, genes, strict=True):
                if code not in choice_block.codes:
                    allowed = ", ".join(
                        f"{c} ({n})" for c, n in zip(choice_block.codes, choice_block.choices, strict=True)
                    )
                    raise ValueError(
                        f"genotype '{genotype}': block {block + 1}, position {position + 1} has code {code}; "
                        f"allowed: {allowed}"
                    )
            if len(set(codes)) > 1:
                places = " and ".join(f"block {block + 1} position {position + 1}" for block, position in genes)
                raise ValueError(
                    f"genotype '{genotype}' is not in space {self.name}: {places} must have the same code, "
                    f"got {', '.join(map(str, codes))}"
                )
            vector[place] = choice_block.codes.index(codes[0])
        return vector

    def __contains__(self, genotype: Genotype) -> bool:
        try:
            self.encode(genotype)
        except ValueError:
            return False
        return True

    def parse(self, text: str) -> Genotype:
        """The genotype of this space that `text` names; one block stands for all (`101:cosface`).

        Raises ValueError naming the position at fault where it lies outside.
        """
        genotype = Genotype.parse(text).repeat(self.blocks)
        self.encode(genotype)
        return genotype

    def sample(self, rng: np.random.Generator) -> Genotype:
        """One genotype, uniformly at random."""
        return self.decode(rng.integers(0, self.sizes))

    def sample_distinct(self, n: int, rng: np.random.Generator) -> list[Genotype]:
        """`n` different genotypes, uniformly at random. Raises ValueError when the space holds fewer."""
        if n > self.size:
            raise ValueError(f"space {self.name} holds {self.size} genotypes, cannot draw {n} different ones")
        if n > self.size // 2:
            genotypes = list(self.enumerate())
            return [genotypes[place] for place in rng.permutation(len(genotypes))[:n]]
        drawn: dict[Genotype, None] = {}
        while len(drawn) < n:
            drawn[self.sample(rng)] = None
        return list(drawn)

    def enumerate(self) -> Iterator[Genotype]:
        """Every genotype, in lexicographic order of the integer vectors."""
        for vector in itertools.product(*(range(size) for size in self.sizes)):
            yield self.decode(vector)

    def _check_shape(self, genotype: Genotype) -> None:
        if len(genotype.blocks) != self.blocks:
            raise ValueError(
                f"genotype '{genotype}' has {len(genotype.blocks)} blocks; space {self.name} has {self.blocks}"
            )
        for number, (block, positions) in enumerate(zip(genotype.blocks, self._shape, strict=True), 1):
            if len(block) != positions:
                raise ValueError(f"genotype '{genotype}': block {number} has {len(block)} codes, expected {positions}")
        if genotype.head and not self.heads:
            raise ValueError(f"genotype '{genotype}' names a head; space {self.name} has none")


def _genes_of_choice_blocks(choice_blocks: Sequence[ChoiceBlock]) -> list[tuple[tuple[int, int], ...]]:
    """The genes each choice block sets; choice blocks without genes get a genotype block of their own."""
    operation_blocks = [choice_block for choice_block in choice_blocks if choice_block.name != HEAD]
    if all(not choice_block.genes for choice_block in operation_blocks):
        block_numbers = iter(range(len(operation_blocks)))
        return [() if choice_block.name == HEAD else ((next(block_numbers), 0),) for choice_block in choice_blocks]
    without_genes = [choice_block.name for choice_block in operation_blocks if not choice_block.genes]
    if without_genes:
        raise ValueError(f"choice block {without_genes[0]!r} has no genes although others have; give all or none")
    return [choice_block.genes if choice_block.name != HEAD else () for choice_block in choice_blocks]


def _genotype_shape(genes: Sequence[tuple[tuple[int, int], ...]]) -> tuple[int, ...]:
    """Number of positions of every genotype block; every position must be set by exactly one choice block."""
    all_genes = [gene for choice_genes in genes for gene in choice_genes]
    if not all_genes:
        raise ValueError("a search space needs a choice block besides the head")
    if len(set(all_genes)) < len(all_genes):
        twice = next(gene for gene in all_genes if all_genes.count(gene) > 1)
        raise ValueError(f"gene {twice} is set by two choice blocks; each gene belongs to one")
    shape = [0] * (max(block for block, _ in all_genes) + 1)
    for block, position in all_genes:
        shape[block] = max(shape[block], position + 1)
    missing = set(itertools.chain(*([(b, p) for p in range(max(n, 1))] for b, n in enumerate(shape)))) - set(all_genes)
    if missing:
        raise ValueError(f"gene {min(missing)} is set by no choice block")
    return tuple(shape)


# Which of a block's three searched positions move together, and under what name.
_TIES = {
    "dpn81": (("outer", (0, 2)), ("middle", (1,))),
    "dpn729": (("first", (0,)), ("middle", (1,)), ("last", (2,))),
}


def dpn_space(
    name: str,
    blocks: int = 4,
    operations: Sequence[str] = OPERATION_NAMES,
    heads: Sequence[str] = MARGIN_HEADS,
) -> SearchSpace:
    """A built-in space over blocks of three positions, for networks of `blocks` blocks in all.

    `dpn81`: the outer positions of a block share one operation, the middle has its own; `dpn729`: three free
    positions. With `-shared` all blocks are alike. Every one of them chooses among the `operations` by name, which are
    in the order of their codes, and among the `heads`.
    Raises ValueError for an unknown name or fewer than one block.
    """
    ties, _, shared = name.partition("-")
    if ties not in _TIES or shared not in ("", "shared"):
        raise ValueError(f"unknown space {name!r}; choose from {', '.join(SPACES)}")
    if blocks < 1:
        raise ValueError(f"a network needs at least one block, got {blocks}")
    choice_blocks = []
    for group in [range(blocks)] if shared else [[block] for block in range(blocks)]:
        prefix = "" if shared else f"block{group[0] + 1}."
        for role, positions in _TIES[ties]:
            genes = tuple((block, position) for block in group for position in positions)
            choice_blocks.append(ChoiceBlock(prefix + role, tuple(operations), genes))
    return SearchSpace([*choice_blocks, ChoiceBlock(HEAD, tuple(heads))], name)


LAYERS = "layers"
"""The name of the spaces that `layer_space` makes."""


def layer_space(layers: int, operations: Sequence[str], heads: Sequence[str]) -> SearchSpace:
    """The built-in space over blocks of one position: every layer chooses among the `operations` by itself."""
    choice_blocks = [ChoiceBlock(f"layer{layer}", tuple(operations)) for layer in range(1, layers + 1)]
    return SearchSpace([*choice_blocks, ChoiceBlock(HEAD, tuple(heads))], LAYERS)


SPACES: dict[str, SearchSpace] = {
    name: dpn_space(name) for name in (ties + suffix for ties in _TIES for suffix in ("", "-shared"))
}
"""Those of dual path networks at the depth the paper searched, one block a stage; `dpn_space` makes other depths."""

SPACE_NAMES = (*SPACES, LAYERS)
"""All built-in spaces."""
