"""Networks of published studies, to start a search from or to train beside its own."""

from collections.abc import Sequence

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

# Dooley et al., Rethinking Bias Mitigation: Fairer Architectures Make for Fairer Face Recognition (NeurIPS 2023): the
# networks that their search on CelebA and VGGFace2 put forward, by the codes of its program, and 101, the block of the
# dual path network that they began with. 680 and 301 choose the outer positions of a block apart: spaces of dpn729.
PUBLISHED: dict[str, tuple[str, ...]] = {
    "paper": ("000:cosface", "010:cosface", "101:cosface", "680:cosface", "301:cosface"),
}
"""Genotypes by the name of the study; one triple stands for all blocks."""


def starts_of(words: Sequence[str], space: SearchSpace) -> tuple[list[Genotype], list[str]]:
    """The genotypes to begin with that `words` name, each of them once, and sentences on what was left out.

    A word is a genotype of the space, or the name of a study: those of its networks that lie in the space. Raises
    ValueError for a genotype outside of it, and for a study of which no network lies in it.
    """
    genotypes: list[Genotype] = []
    left_out: list[str] = []
    for word in words:
        within, outside = [], []
        for text in PUBLISHED.get(word, (word,)):
            try:
                within.append(space.parse(text))
            except ValueError as error:
                if word not in PUBLISHED:
                    studies = ", ".join(PUBLISHED)
                    raise ValueError(f"--start {word[:60]}: {error}; or name a study: {studies}") from None
                outside.append(text)
        if not within:
            raise ValueError(f"no network of --start {word} lies in space {space.name}; name genotypes of that space")
        if outside:
            left_out.append(f"Of --start {word}, {', '.join(outside)} lie outside of space {space.name}: left out")
        genotypes += within
    return list(dict.fromkeys(genotypes)), left_out
