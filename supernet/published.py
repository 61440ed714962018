"""Networks of published studies, to start a search from or to train beside its own."""

# Dooley et al., Rethinking Bias Mitigation: Fairer Architectures Make for Fairer Face Recognition (NeurIPS 2023): the
# networks that their search on CelebA and VGGFace2 put forward, by the codes of its program, and 101, the block of the
# dual path network that they began with. 680 and 301 choose the outer positions of a block apart: spaces of dpn729.
PUBLISHED: dict[str, tuple[str, ...]] = {
    "paper": ("000:cosface", "010:cosface", "101:cosface", "680:cosface", "301:cosface"),
}
"""Genotypes by the name of the study; one triple stands for all blocks."""
