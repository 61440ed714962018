import hashlib
import itertools
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from dualfair.evaluation.cost import expected_macs, macs, measured_cost, parameters
from dualfair.evaluation.scoring.sharing import work
from dualfair.runs.architectures import open_space
from dualfair.supernet.families.inverted_residual import MACRO_OPERATIONS, InvertedResidual
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import build
from dualfair.supernet.operations import Place
from dualfair.supernet.skeleton import SKELETONS, skeleton_of

MACRO, FAIRNAS = SKELETONS["nas-bench-macro"], SKELETONS["fairnas"]
CLASSIFIER = 1280 * 10 + 10, 1280 * 10
"""(parameters, multiply-accumulates) of the linear layer to ten classes, which the benchmark counts and we do not."""
TABLE = """\
00000000 387882 7713280
00020020 1438506 34722304
00110110 1045994 29182464
00200200 748970 26460672
00220220 1799594 53469696
01011010 1025898 33874432
01101100 669482 29514240
01121120 1720106 56523264
01211210 1386986 52621824
02002000 667434 36565504
02022020 1718058 63574528
02112110 1325546 58034688
02202200 1028522 55312896
02222220 2079146 82321920
10020010 1019146 32342528
10110100 650698 27195904
10200120 1424138 39102976
10220210 1380234 51089920
11011000 630602 31887872
11101020 1389706 42877440
11121110 1300746 54143488
11211200 991690 50635264
12001220 1676170 56099328
12022010 1298698 61194752
12112100 930250 56048128
12202120 1703690 67955200
12222210 1659786 79942144
20020000 628970 31666688
20110020 1376042 41869824
20200110 1009898 38033920
20220200 990058 50414080
21010220 1656490 53518848
21101010 975466 41808384
21121100 910570 53467648
21211120 1671978 64588288
22001210 1261930 55030272
22022000 908522 60518912
22112020 1655594 70722048
22202110 1289450 66886144
22222222 2932586 105660928
"""
"""Forty rows of NAS-Bench-Macro (Su et al., CVPR 2021): code, parameters, multiply-accumulates."""
ALL_ROWS = "6b08eb4002906d4ca44270c49e8b37a6d701c6ba7a9ca2018cfdc939cb0f9f41"
"""SHA-256 of the lines "code parameters multiply-accumulates" of all 6,561 rows, in order and less the classifier's."""
FAIRNAS_A = """
    3 32 7 2 · 3 32 3 1 · 3 40 7 2 · 6 40 3 1 · 6 40 7 1 · 3 40 3 1 · 3 80 3 2 · 6 80 7 1 · 6 80 7 1 · 3 80 5 1 ·
    6 96 3 1 · 3 96 5 1 · 3 96 5 1 · 6 96 3 1 · 6 192 3 2 · 6 192 7 1 · 6 192 3 1 · 6 192 7 1 · 6 320 5 1
"""
"""Expansion, channels, kernel and stride of every layer of FairNAS-A, as its authors' program has it."""
FAIRNAS_A_GENOTYPE = "2-0-2-3-5-0-0-5-5-1-3-1-1-3-3-5-3-5-4:softmax"


def genotype_of(code):
    return f"{'-'.join(code)}:softmax"


@pytest.mark.parametrize("row", TABLE.splitlines())
def test_costs_are_those_of_the_published_table_but_for_the_classifier(row):
    code, *published = row.split()
    costs = parameters(genotype_of(code), MACRO.name), macs(genotype_of(code), MACRO.name)
    assert [cost + more for cost, more in zip(costs, CLASSIFIER, strict=True)] == list(map(int, published))


def test_the_costs_of_all_networks_are_those_of_the_published_table():
    digest = hashlib.sha256()
    for code in map("".join, itertools.product("012", repeat=8)):
        digest.update(f"{code} {parameters(genotype_of(code), MACRO)} {macs(genotype_of(code), MACRO)}\n".encode())
    assert digest.hexdigest() == ALL_ROWS


@pytest.mark.parametrize("head", ["softmax", "cosface"])
@pytest.mark.parametrize("code", ["00000000", "12021022", "22222222"])
def test_networks_hold_and_do_what_the_formulas_say(code, head):
    genotype = f"{'-'.join(code)}:{head}"
    network = build(genotype, MACRO, 10).eval()
    assert measured_cost(network, 32) == (parameters(genotype, MACRO), macs(genotype, MACRO))
    if head == "softmax":
        learnt = sum(weight.numel() for weight in network.parameters())
        assert learnt == parameters(genotype, MACRO) + CLASSIFIER[0]
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 1280)


def test_expected_macs_are_the_mean_over_the_space_and_its_heads():
    small = MACRO.resized(blocks=(1, 2, 1))
    space = open_space("", small, "cosface,softmax")
    every = [macs(genotype, small) for genotype in space.enumerate()]
    assert expected_macs(space, small) == pytest.approx(sum(every) / len(every))


def test_the_work_of_scoring_one_network_is_its_own():
    genotype = genotype_of("12021022")
    assert work([Genotype.parse(genotype)], MACRO).shared == macs(genotype, MACRO)


def fairnas_a():
    """FairNAS-A layer by layer in plain torch, with a classifier of 1,000 classes."""

    def layer(before, after, kernel=1, stride=1, groups=1, act=True):
        convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(after), *([nn.ReLU6()] if act else []))

    layers = [layer(3, 32, 3, 2), layer(32, 32, 3, groups=32), layer(32, 16, act=False)]
    before = 16
    for row in FAIRNAS_A.split("·"):
        expansion, after, kernel, stride = map(int, row.split())
        wide = before * expansion
        layers += [layer(before, wide), layer(wide, wide, kernel, stride, wide), layer(wide, after, act=False)]
        before = after
    return nn.Sequential(*layers, layer(before, 1280), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


def test_fairnas_a_is_a_genotype_of_the_published_size():
    """Published for ImageNet, without squeeze-and-excitation: 388 M multiply-accumulates, 4.6 M parameters."""
    with torch.device("meta"):
        defined = sum(weight.numel() for weight in fairnas_a().parameters())
        network = build(FAIRNAS_A_GENOTYPE, FAIRNAS, 1000)
        assert network.trunk(torch.empty(1, 3, 224, 224), network.spec.blocks).shape == (1, 1280, 7, 7)
    learnt = parameters(FAIRNAS_A_GENOTYPE, "fairnas") + 1280 * 1000 + 1000
    assert learnt == defined == sum(weight.numel() for weight in network.parameters()) == 4_651_352
    assert macs(FAIRNAS_A_GENOTYPE, "fairnas") + 1280 * 1000 == 388_122_848
    operations = [FAIRNAS.operations[code] for (code,) in network.spec.blocks]
    places = [place for (place,) in FAIRNAS.block_places()]
    searched = [
        (operation.expansion, place.out_channels, operation.kernel, place.stride)
        for operation, place in zip(operations, places, strict=True)
    ]
    assert searched == [tuple(map(int, row.split())) for row in FAIRNAS_A.split("·")]


def test_an_inverted_residual_adds_its_input_where_the_shape_stays():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 6)
    for place, added in ((Place(8, 8, 1, 1, 6), True), (Place(8, 8, 1, 2, 6), False), (Place(8, 12, 1, 1, 6), False)):
        module = InvertedResidual(3, 2, "relu6").build(place).eval()
        with torch.no_grad():
            y = x
            for number, layer in enumerate(module):
                y = functional.conv2d(y, layer.conv.weight, None, layer.conv.stride, layer.conv.padding, 1,
                                      layer.conv.groups) / (1 + 1e-5) ** 0.5  # fmt: skip
                y = y.clamp(0, 6) if number < 2 else y
            torch.testing.assert_close(module(x), x + y if added else y)


def test_weights_begin_as_large_as_their_inputs_and_activation_ask_for():
    torch.manual_seed(0)
    widen, each, narrow = InvertedResidual(5, 6).build(Place(64, 64, 1, 1, 8))
    for layer, gain, inputs in ((widen, 2, 64), (each, 2, 25), (narrow, 1, 384)):
        assert layer.conv.weight.var().item() == pytest.approx(gain / inputs, rel=0.1)


def test_an_identity_has_a_convolution_only_where_the_shape_changes():
    identity = MACRO_OPERATIONS[0]
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(identity.build(Place(8, 8, 1, 1, 6))(x), x)
    assert identity.parameters(Place(8, 8, 1, 1, 6)) == 0
    narrowed = identity.build(Place(8, 12, 1, 2, 6)).eval()
    assert narrowed(x).shape == (2, 12, 3, 3) and (narrowed(x) < 0).any()
    assert identity.parameters(Place(8, 12, 1, 2, 6)) == 8 * 12 + 2 * 12


def test_the_activations_are_those_of_the_studies():
    for skeleton, kind in ((MACRO, nn.ReLU), (FAIRNAS, nn.ReLU6)):
        with torch.device("meta"):
            network = build("1:softmax", skeleton)
        kinds = {type(module) for module in network.modules() if isinstance(module, (nn.ReLU, nn.ReLU6))}
        assert kinds == {kind}


def test_shapes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="images of 7 px are too small; it needs 8 px"):
        MACRO.resized(7)
    with pytest.raises(ValueError, match="blocks has 2 entries; expected 3, one a stage"):
        MACRO.resized(blocks=(1, 1))


def test_the_data_of_a_family_need_no_torch():
    code = (
        "import sys\nfrom dualfair.evaluation.cost import parameters\n"
        "parameters('0:softmax', 'fairnas')\nassert not {'torch', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_space_of_layers_is_what_these_skeletons_are_searched_in():
    space = open_space("", MACRO)
    assert (space.name, space.size, space.heads) == ("layers", 6561, ("softmax",))
    assert str(next(space.enumerate())) == "0-0-0-0-0-0-0-0:softmax"
    assert open_space("", FAIRNAS).size == 6**19
    assert open_space("", skeleton_of("nano")).name == "dpn81"
    assert open_space("layers", MACRO, "cosface,arcface").heads == ("cosface", "arcface")
    with pytest.raises(ValueError, match="space dpn81 is of blocks of 3 positions, those of skeleton nas-bench-macro"):
        open_space("dpn81", MACRO)
