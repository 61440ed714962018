"""Embedding networks of other makers answer to our network input as to their own."""

import json

import numpy as np
import pytest
import timm
import torch

from dualfair.supernet.production.foreign_network import open_foreign

SIZE = 32


@pytest.fixture
def pixels():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, SIZE, SIZE), dtype=np.uint8))


def network_input(pixels):
    return pixels.float() / 127.5 - 1


def test_timms_model_of_a_folder_is_normalised_as_it_says(tmp_path, pixels):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=7).eval()
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["pretrained_cfg"] |= {"input_size": [3, SIZE, SIZE], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.1]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    network = open_foreign(tmp_path, 99)
    assert network.size == SIZE and not network.training
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.1)))
    expected = model.forward_head(model.forward_features((pixels / 255 - mean) / std), pre_logits=True)
    with torch.no_grad():
        assert torch.allclose(network(network_input(pixels)), expected, atol=1e-4)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"timm makes no model of .* \("):
        open_foreign(tmp_path, 99)


def write_onnx(path, shape, *more, pooled=(2, 3)):
    """A file with a network that takes images and gives their mean colours."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, of_float = onnx.helper, onnx.TensorProto.FLOAT
    axes = helper.make_tensor("axes", onnx.TensorProto.INT64, (len(pooled),), pooled)
    node = helper.make_node("ReduceMean", ["images", "axes"], ["colours"], keepdims=0)
    inputs = [helper.make_tensor_value_info(name, of_float, shape) for name in ("images", *more)]
    output = helper.make_tensor_value_info("colours", of_float, None)
    graph = helper.make_graph([node], "means", inputs, [output], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize(("side", "size"), [(SIZE, SIZE), ("side", 99)])
def test_an_onnx_file_takes_batches_whatever_it_states(tmp_path, pixels, batch, side, size):
    network = open_foreign(write_onnx(tmp_path / "means.onnx", (batch, 3, side, side)), 99)
    assert network.size == size
    images = network_input(pixels).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(images), images.mean(dim=(2, 3)), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "more", "message"),
    [
        (("batch", SIZE, SIZE, 3), (), r"must take images of float32 \(batch, 3, S, S\) alone, got tensor\(float\) "),
        (("batch", 3, SIZE, SIZE), ("mask",), "alone, got .* and more inputs"),
    ],
)
def test_onnx_files_of_other_inputs_are_refused(tmp_path, shape, more, message):
    with pytest.raises(ValueError, match=message):
        open_foreign(write_onnx(tmp_path / "other.onnx", shape, *more), SIZE)


def test_what_holds_no_network_is_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ValueError, match=r"text\.onnx is no ONNX network"):
        open_foreign(tmp_path / "text.onnx", SIZE)
    for place in (tmp_path, tmp_path / "gone.onnx"):
        with pytest.raises(ValueError, match="holds no embedding network; name a training's folder, an export, an "):
            open_foreign(place, SIZE)
