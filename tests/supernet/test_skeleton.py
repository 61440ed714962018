import pytest
import torch

from dualfair.supernet.network import build
from dualfair.supernet.skeleton import SKELETONS

VANILLA = (1, 0, 1)


@pytest.mark.parametrize(("skeleton", "features"), [("nano", 128 + 3 * 16), ("small", 512 + 3 * 64), ("paper", 2432)])
def test_the_built_in_skeletons_have_the_documented_widths(skeleton, features):
    assert SKELETONS[skeleton].features == features
    size = SKELETONS[skeleton].image_size
    with torch.device("meta"):
        network = build("101:cosface", skeleton, identities=3)
        assert network(torch.empty(2, 3, size, size)).shape == (2, SKELETONS[skeleton].embedding)


def test_the_widths_of_dpn107_itself_follow_from_the_same_skeleton():
    shapes = list(SKELETONS["paper"].resized(blocks=(4, 8, 20, 3)).block_shapes())
    assert len(shapes) == 35
    assert shapes[3].out_channels == 256 + 2 * 20 + 4 * 20
    assert shapes[-1].out_channels == 2048 + 2 * 128 + 3 * 128 == 2688


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        ("101-101:cosface", "has 2 blocks; expected 4"),
        ("10:cosface", "block 1 has 2 codes; expected 3"),
        ("101-191-101-101:cosface", "block 2, position 2 has code 9; allowed: 0 to 8"),
        ("101:normface", "unknown head 'normface'; choose from arcface, cosface, magface"),
        ("101", "no head; choose from arcface"),
    ],
)
def test_a_genotype_that_does_not_fit_gets_one_clear_line(genotype, message):
    with pytest.raises(ValueError) as error:
        build(genotype, "nano")
    assert message in str(error.value)


def test_unknown_skeletons_and_bad_sizes_are_refused(tiny):
    with pytest.raises(ValueError, match="unknown skeleton 'huge'; choose from nano, small, paper"):
        build("101:cosface", "huge")
    with pytest.raises(ValueError, match="images of 2 px are too small; it needs 4 px"):
        tiny.resized(2)
    with pytest.raises(ValueError, match="blocks has 3 entries; expected 2, one a stage"):
        tiny.resized(blocks=(1, 1, 1))


@pytest.mark.parametrize(("skeleton", "sides"), [("nano", [12, 12, 6, 3, 2]), ("paper", [28, 28, 14, 7, 4])])
def test_the_first_stage_keeps_the_resolution_and_later_ones_halve_it(skeleton, sides):
    size = SKELETONS[skeleton].image_size
    with torch.device("meta"):
        trunk = build("101:cosface", skeleton).trunk
        x = trunk.stem(torch.empty(2, 3, size, size))
        seen = [x.shape[-1]]
        for block in trunk.blocks:
            x = block(x, VANILLA)
            seen.append(x.shape[-1])
    assert seen == sides
