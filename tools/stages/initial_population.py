"""Networks that a search begins with, as they are named on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.published import PUBLISHED
from dualfair.supernet.space import SearchSpace


def read_starts(words: Sequence[str], space: SearchSpace) -> tuple[list[Genotype], list[str]]:
    """The genotypes that `words` name, each of them once, and sentences on what was left out.

    A word is a genotype of the space, or the name of a study: those of its networks that lie in the space. Raises
    ValueError for a genotype outside of it, and for a study of which no network lies in it.
    """
    genotypes: list[Genotype] = []
    left_out: list[str] = []
    for word in words:
        if word not in PUBLISHED:
            genotypes.append(_read(word, space))
            continue
        within, outside = _divide(PUBLISHED[word], space)
        if not within:
            raise ValueError(f"no network of --start {word} lies in space {space.name}; name genotypes of that space")
        if outside:
            left_out.append(f"Of --start {word}, {', '.join(outside)} lie outside of space {space.name}: left out")
        genotypes += within
    return list(dict.fromkeys(genotypes)), left_out


def _read(word: str, space: SearchSpace) -> Genotype:
    try:
        return space.parse(word)
    except ValueError as error:
        raise ValueError(f"--start {word[:60]}: {error}; or name a study: {', '.join(PUBLISHED)}") from None


def _divide(texts: Sequence[str], space: SearchSpace) -> tuple[list[Genotype], list[str]]:
    """The genotypes that lie in a space, and the texts of the others."""
    within, outside = [], []
    for text in texts:
        try:
            within.append(space.parse(text))
        except ValueError:
            outside.append(text)
    return within, outside
