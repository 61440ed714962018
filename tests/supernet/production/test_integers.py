"""Integer networks: the ranges of the simulation, all convolutions in integers, and embeddings near those simulated."""

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.network import build
from dualfair.supernet.production import onnx_model
from dualfair.supernet.production.integers import made_of_what, to_integers
from dualfair.supernet.production.quantisation import quantised, quantisers
from dualfair.supernet.skeleton import SKELETONS
from tests.supernet.production.test_quantisation import seeing


def simulated(tiny, images, backbone=None, bits=8):
    """A quantised network with statistics and ranges of its own."""
    torch.manual_seed(0)
    network = build_backbone(backbone, tiny, 5) if backbone else build("101-680-353:cosface", tiny, 5)
    network.train()(images)
    return seeing(quantised(network.eval(), bits), images)


IMAGES = torch.rand(8, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def network(tiny):
    return simulated(tiny, IMAGES)


@pytest.fixture(scope="module")
def file(network):
    """What is made of the network."""
    return to_integers(network, [IMAGES])


@pytest.fixture(scope="module")
def other_file(network):
    """What is made of it by darker images, and said to be made of these."""
    return to_integers(network, [IMAGES / 2], "these")


def initialisers(data):
    graph = onnx.load_from_string(data).graph
    return graph, {each.name: numpy_helper.to_array(each) for each in graph.initializer}


def near(file, network, images=IMAGES):
    """The smallest cosine of a file's embeddings to those of a network."""
    found = onnx_model.open_session(file).run(None, {"images": images.numpy()})[0]
    with torch.no_grad():
        return functional.cosine_similarity(torch.from_numpy(found), network(images)).min()


def test_integers_embed_nearly_as_their_simulation_does(network, file):
    for some in (IMAGES, IMAGES[:1]):
        assert 0.99 < near(file, network, some) < 1


def test_a_file_is_the_same_each_time_and_names_no_folder(network, file, tmp_path, monkeypatch):
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        expected = network(IMAGES)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert to_integers(network, [IMAGES]) == file
    assert b"/tmp" not in file and str(tmp_path).encode() not in file
    assert [each.domain for each in onnx.load_from_string(file).opset_import] == [""]
    # What was given is as it was, and works.
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.no_grad():
        assert torch.equal(network(IMAGES), expected)


@pytest.mark.slow
def test_a_backbone_becomes_integers_likewise(tiny):
    network = simulated(tiny, IMAGES, "timm.test_resnet:cosface")
    file = to_integers(network, [IMAGES])
    assert 0.99 < near(file, network) < 1
    graph, _ = initialisers(file)
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == sum(isinstance(module, nn.Conv2d) for module in network.modules())
    assert {made_by[name] for node in convolutions for name in node.input} == {"DequantizeLinear"}


def test_ranges_of_the_simulation_are_taken_over(network, file):
    graph, values = initialisers(file)
    nodes = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    found = [tuple(values[name].item() for name in node.input[1:]) for node in nodes]
    standing = quantisers(network)
    # Behind the last activation is the mean over the map, which is none of integers.
    standing.pop("trunk.tail.act.quantiser", None)
    for name, quantiser in standing.items():
        scale = ((quantiser.highest - quantiser.lowest) / 255).item()
        zero_point = round(-quantiser.lowest.item() / scale)
        assert any(by == (pytest.approx(scale, rel=1e-6), zero_point) for by in found), name


def test_every_convolution_reads_and_writes_integers(network, file):
    graph, values = initialisers(file)
    made_by = {name: node for node in graph.node for name in node.output}
    read_by = {name: node.op_type for node in graph.node for name in node.input}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == sum(isinstance(module, nn.Conv2d) for module in network.modules())
    for node in convolutions:
        assert {made_by[name].op_type for name in node.input} == {"DequantizeLinear"}
        assert read_by[node.output[0]] == "QuantizeLinear"
        weights, scale, zero_point = (values[name] for name in made_by[node.input[1]].input)
        assert weights.dtype == np.int8 and scale.shape == (len(weights),) and not zero_point.any()
        # A channel takes the whole range, or is 0 throughout.
        assert {*np.abs(weights.reshape(len(weights), -1).astype(int)).max(axis=1).tolist()} <= {0, 127}


def test_what_is_between_quantisers_gets_the_range_of_the_images_that_are_given(file, other_file):
    scales = []
    for data in (other_file, file):
        graph, values = initialisers(data)
        image = next(node for node in graph.node if node.input[0] == onnx_model.INPUT)
        scales.append(values[image.input[1]])
    assert scales[0] == pytest.approx(scales[1] / 2, rel=1e-5)


SLOW_PLACES = [pytest.param(place, marks=pytest.mark.slow) for place in ("trunk.stem", "positions.1")]


@pytest.mark.parametrize("place", ["trunk.blocks.1.quantiser", *SLOW_PLACES])
def test_a_range_stands_where_its_quantiser_does(tiny, place):
    """One that is far too narrow changes integers as it changes the simulation."""
    network = simulated(tiny, IMAGES)
    narrow = next(each for name, each in quantisers(network).items() if place in name)
    with torch.no_grad():
        before = network(IMAGES)
        narrow.highest.mul_(0.2)
        expected = network(IMAGES)
    session = onnx_model.open_session(to_integers(network, [IMAGES]))
    found = torch.from_numpy(session.run(None, {"images": IMAGES.numpy()})[0])
    assert functional.cosine_similarity(found, expected).min() > 0.98
    assert (
        functional.cosine_similarity(found, before).min() < functional.cosine_similarity(found, expected).min() - 0.01
    )


def test_quantisers_in_a_row_are_one(tiny):
    """An identity hands a block what another block has rounded already."""
    torch.manual_seed(0)
    network = build("1-0-0-1-0-0-1-0:cosface", SKELETONS["nas-bench-macro"].resized(24, None), 5)
    network.train()(IMAGES)
    network = seeing(quantised(network.eval(), 8), IMAGES)
    session = onnx_model.open_session(to_integers(network, [IMAGES]))
    with torch.no_grad():
        expected = network(IMAGES)
    found = torch.from_numpy(session.run(None, {"images": IMAGES.numpy()})[0])
    assert functional.cosine_similarity(found, expected).min() > 0.97


def test_the_embedding_is_no_integer_and_a_file_says_what_it_is_made_of(file, other_file):
    graph, _ = initialisers(file)
    assert next(node for node in graph.node if node.output[0] == "embeddings").op_type in ("Gemm", "MatMul", "Add")
    assert {each.name for each in graph.initializer} <= {name for node in graph.node for name in node.input}
    assert made_of_what(file) == "" and made_of_what(other_file) == "these"
    assert made_of_what(b"") is None and made_of_what(b"no file of ONNX") is None


@pytest.mark.parametrize("bits", [6, None])
def test_only_networks_of_eight_bits_have_integers(tiny, bits):
    network = simulated(tiny, IMAGES, bits=bits) if bits else build("101-680-353:cosface", tiny, 5).eval()
    with pytest.raises(ValueError, match="quantised to 8 bits throughout"):
        to_integers(network, [IMAGES])
