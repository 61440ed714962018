"""`dualfair show`: sizes and costs as text and as a drawing, of networks of any family."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from dualfair.evaluation.cost import macs, parameters
from dualfair.presentation.figures import svg
from dualfair.presentation.network import amount, network_figure, network_title
from dualfair.reporting.architecture import architecture
from dualfair.supernet.operations import OPERATIONS, Place
from dualfair.supernet.skeleton import SKELETONS, Skeleton

NANO = SKELETONS["nano"]
SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Named:
    """An operation of one's own that has nothing but what is asked of it."""

    name: str

    def parameters(self, place):
        return place.in_channels

    def macs(self, place):
        return place.out_side**2

    def build(self, place):
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Plain(Skeleton):
    """A family of its own: two positions a block, every block halves the side and doubles the channels."""

    features = property(lambda self: 8 * 2 ** len(self.blocks))

    def block_places(self):
        side, width, rows = self.image_size, 8, []
        for _ in self.blocks:
            rows.append((Place(width, width, 1, 1, side), Place(width, 2 * width, 1, 2, side)))
            side, width = -(-side // 2), 2 * width
        return tuple(rows)

    def stem_cost(self):
        return 60, 1000

    def tail_cost(self):
        return 40, 0

    def make_trunk(self, candidates):
        raise NotImplementedError


OWN = Plain(
    name="plain",
    image_size=20,
    blocks=(1, 1),
    embedding=16,
    operations=(Named("identity"), OPERATIONS["pre3"], Named("an_operation_with_a_name")),
)


def drawn(architecture):
    return svg(network_figure(architecture), network_title(architecture))


def words(picture):
    return " ".join(ElementTree.fromstring(picture).itertext())


def test_parts_sum_to_the_total_and_sides_follow_the_strides():
    found = architecture("101-280-303-747:magface", NANO)
    costs = found["costs"]
    assert costs["total"] == {
        "parameters": parameters("101-280-303-747:magface", NANO),
        "macs": macs("101-280-303-747:magface", NANO),
    }
    for name in ("parameters", "macs"):
        parts = [costs[part][name] for part in ("stem and tail", "blocks", "neck")]
        assert sum(parts) == costs["total"][name]
        assert costs["blocks"][name] == sum(block[name] for block in found["blocks"])
    # The neck is a linear layer with the shift of a BN: 176 features to 64.
    assert costs["neck"] == {"parameters": 176 * 64 + 64, "macs": 176 * 64}
    assert [block["stride"] for block in found["blocks"]] == [1, 2, 2, 2]
    assert found["stem"] == {"what": "stem 3x3, stride 2, 3x3 max pool", "width": 16, "side": 12}


def test_what_a_block_gives_is_what_the_next_one_reads():
    for name, blocks in (("nano", None), ("paper", (3, 4, 20, 3))):
        skeleton = SKELETONS[name].resized(blocks=blocks)
        shapes = list(skeleton.block_shapes())
        found = architecture("160:cosface", skeleton)["blocks"]
        assert [block["out"] for block in found] == [shape.out_channels for shape in shapes]
        assert [block["side"] for block in found] == [shape.places[-1].out_side for shape in shapes]
        assert [block["shortcut"] for block in found] == [shape.shortcut for shape in shapes]


def test_a_family_of_ones_own_is_described_and_drawn_by_what_it_has():
    found = architecture("01-21:cosface", OWN)
    assert found["stem"] == {"what": "stem", "width": 8, "side": 20} and found["tail"] == "tail"
    assert [(block["in"], block["out"], block["side"], block["stride"]) for block in found["blocks"]] == [
        (8, 16, 10, 2),
        (16, 32, 5, 2),
    ]
    norms = [[operation["norm"] for operation in block["operations"]] for block in found["blocks"]]
    assert norms == [[None, "pre"], [None, "pre"]]
    assert found["blocks"][0]["parameters"] == 8 + (9 * 8 * 16 + 2 * 8)
    text = words(drawn(found))
    assert "identity" in text and "an_operation_with_a_name" in text and "BN, ELU" not in text
    assert "32 features to an embedding of 16" in text and "BN and ReLU before" in text


def test_a_legend_of_norms_stands_only_where_an_operation_has_one():
    assert "BN and ReLU before" not in words(drawn(architecture("02-20:cosface", OWN)))


@pytest.mark.parametrize(("skeleton", "blocks"), [("nano", None), ("paper", (3, 4, 20, 3))])
def test_the_picture_stands_alone_and_nothing_leaves_it(skeleton, blocks):
    picture = drawn(architecture("160:cosface", SKELETONS[skeleton].resized(blocks=blocks)))
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{SVG}svg" and root.find(f"{SVG}title").text.startswith("Drawing of network 160-160")
    _, _, wide, high = map(float, root.get("viewBox").split())
    assert not re.search(r"<script|<image|@import|url\((?!#)|href=\"(?!#)", picture), "nothing is fetched"
    for text in root.iter(f"{SVG}text"):
        x, y = (
            (float(of) for of in re.search(r"translate\(([\d.]+) ([\d.]+)\)", text.get("transform", "")).groups())
            if ("translate" in text.get("transform", ""))
            else (float(text.get("x")), float(text.get("y")))
        )
        assert 0 <= x <= wide and 0 <= y <= high
    text = words(picture)
    assert f"block {sum(blocks or (1, 1, 1, 1))}" in text and "total" in text
    # The genotype is there in full, however it is broken into lines.
    assert "-".join(["160"] * sum(blocks or (1, 1, 1, 1))) in "".join(text.split())


def test_a_drawing_has_the_costs_of_blocks_too():
    text = words(drawn(architecture("101-280-303-747:magface", NANO)))
    assert "38.7 k params" in text and "3.80 M MACs" in text and "173,440 parameters" in text


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (9994, "9.99 k"),
        (9995, "10.0 k"),
        (99_949, "99.9 k"),
        (99_950, "100 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (14_572_492_288, "14.6 G"),
        (1_234_567_000_000, "1,235 G"),
    ],
)
def test_amounts_have_three_digits(number, said):
    assert amount(number) == said


def test_show_says_sides_and_the_cost_of_every_part_and_draws(dualfair, tmp_path):
    shown = dualfair("show", "101-280-303-747:magface", "--svg", tmp_path / "net.svg")
    assert shown.status == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[1] == "stem 3x3, stride 2, 3x3 max pool: 16 channels of 12 x 12"
    assert lines[4].split() == ["2", "28", "56", "2", "6", "pre5", "post5", "pre3", "38,704", "3,803,904"]
    assert "stem and tail: 816 parameters, 248,832 MACs" in lines and "neck: 11,328 parameters, 11,264 MACs" in lines
    assert lines[-1] == f"drawn: {tmp_path / 'net.svg'}"
    assert ElementTree.parse(tmp_path / "net.svg").getroot().tag == f"{SVG}svg"


def test_a_file_of_another_kind_is_not_overwritten(dualfair, tmp_path):
    (tmp_path / "run.json").write_text("kept")
    refused = dualfair("show", "101:cosface", "--svg", tmp_path / "run.json")
    assert refused.status == 2 and "svg must name a file that ends in .svg" in refused.err
    assert (tmp_path / "run.json").read_text() == "kept"


def test_a_backbone_is_measured_while_it_runs(dualfair, tmp_path):
    import timm

    shown = dualfair("show", "timm.resnet18:cosface", "--size", 32, "--svg", tmp_path / "net.svg")
    assert shown.status == 0, shown.err
    weights = sum(p.numel() for p in timm.create_model("resnet18", num_classes=0).parameters())
    lines = shown.out.splitlines()
    assert lines[0] == "timm.resnet18:cosface  32 px, head cosface, embedding 64"
    assert lines[2].startswith(f"backbone: {weights:,} parameters")
    assert lines[4].startswith(f"total: {weights + 512 * 64 + 64:,} parameters")
    assert "timm.resnet18 to 512 channels" in words((tmp_path / "net.svg").read_text())
    unknown = dualfair("show", "timm.resnet81:cosface")
    assert unknown.status == 2 and "has no backbone 'resnet81'; close to it" in unknown.err


def test_a_trained_networks_folder_is_described_as_it_was_trained(dualfair, tmp_path, about, tiny):
    import torch

    from dualfair.runs.layout import TrainingLayout
    from dualfair.runs.records.training import TrainedOn
    from dualfair.runs.standalone import build_network, describe_network
    from dualfair.runs.training_spec import TrainingSpec
    from dualfair.supernet.training.checkpoint import save_checkpoint

    torch.manual_seed(0)
    for label in ("161:cosface", "161:softmax", "timm.resnet18:arcface", "timm.resnet18:softmax"):
        folder = tmp_path / label.replace(":", "_")
        folder.mkdir()
        small = NANO.resized(32)
        training = TrainingSpec.of_label(str(small.fit(label)) if label[0] == "1" else label, 7)
        network = build_network(training.network, small, 5)
        save_checkpoint(folder, {"network": network.state_dict()}, **about(3, 3))
        classes = tuple("abcde") if label == "161:softmax" else ()
        description = describe_network(training, small, 5, TrainedOn("x", "group", "0.6,0.2,0.2", 0), classes)
        description.write(TrainingLayout(folder).description)
        shown = dualfair("show", folder, "--skeleton", "paper")
        assert shown.status == 0, shown.err
        assert (
            f"trained as {training.label} with seed 7 on 5 {'classes' if classes else 'people'}" in shown.out
            and "32 px" in shown.out
        )
        length = network.heads["softmax"].neck.features if label.endswith("softmax") else small.embedding
        assert f"embedding {length:,}\n" in shown.out
        if label[0] == "1":
            formula = next(line for line in shown.out.splitlines() if line.startswith("total"))
            assert f"measured while it runs: {formula.partition(': ')[2]}" in shown.out


def test_a_network_that_was_grown_names_its_skeleton(dualfair):
    shown = dualfair("show", "ir-d8-w64/1:adaface")
    assert shown.status == 0 and "1-1-1-1-1-1-1-1:adaface  on skeleton ir-d8-w64, 112 px" in shown.out
    assert "total with stem, tail and neck: 24,020,352 parameters" in shown.out
    assert dualfair("show", "1:adaface", "--skeleton", "ir-d8-w64").out == shown.out
    other = dualfair("show", "ir-d8-w64/1:adaface", "--skeleton", "paper")
    assert other.status == 2 and "is on skeleton ir-d8-w64, not on paper; leave --skeleton out" in other.err
    refused = dualfair("show", "foo-d8-w64/1:adaface")
    assert refused.status == 2 and "expected such as mix-d21-w56/0:softmax, of mix, ir" in refused.err
    refused = dualfair("show", "mix-d2-w64/1:softmax")
    assert refused.status == 2 and "a network of this family has 3 layers or more, got 2" in refused.err
