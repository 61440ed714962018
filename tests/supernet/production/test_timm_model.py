import dataclasses
import json

import pytest
import timm
import torch

import dualfair.supernet.production.timm_model as timm_model
from dualfair.supernet.network import build
from dualfair.supernet.operations import OPERATIONS
from dualfair.supernet.production import skeleton_data
from dualfair.supernet.skeleton import SKELETONS, OwnHead, skeleton_of

NANO = SKELETONS["nano"]


def made(**arguments):
    return timm.create_model("dualfair_dpn", **{"genotype": "101:cosface", "skeleton": "nano", **arguments})


def test_a_network_has_timms_interface():
    model = made(img_size=64).eval()
    images = torch.rand(2, 3, 64, 64)
    features = model.forward_features(images)
    embeddings = model(images)
    assert (model.num_classes, features.shape[1], embeddings.shape[1]) == (0, model.num_features, 64)
    assert model.head_hidden_size == 64
    assert torch.equal(model.forward_head(features), embeddings)
    assert isinstance(model.get_classifier(), torch.nn.Identity)
    model.reset_classifier(5)
    assert model.num_classes == 5
    assert model(images).shape == (2, 5)
    assert torch.equal(model.forward_head(features, pre_logits=True), embeddings)
    assert torch.equal(model(images), model.get_classifier()(embeddings))
    with pytest.raises(ValueError, match="global_pool must be 'avg', got 'max'"):
        model.reset_classifier(5, "max")


def test_classes_come_on_top_of_the_embedding():
    assert made(num_classes=7)(torch.rand(2, 3, 48, 48)).shape == (2, 7)


def test_timms_data_pipeline_is_told_the_size_and_the_normalisation():
    for model, size in ((made(), 48), (made(img_size=80), 80), (made(skeleton="small"), 112)):
        result = timm.data.resolve_data_config(model=model)
        assert result["input_size"] == (3, size, size)
        assert model.default_cfg is model.pretrained_cfg
    assert (result["mean"], result["std"], result["crop_pct"]) == ([0.5] * 3, [0.5] * 3, 1.0)
    transform = timm.data.create_transform(**result)
    from PIL import Image

    white, black = (transform(Image.new("RGB", (150, 112), colour)) for colour in ("white", "black"))
    assert white.shape == (3, 112, 112)
    assert torch.equal(white, torch.ones(3, 112, 112))
    assert torch.equal(black, -torch.ones(3, 112, 112))


@pytest.mark.parametrize("size", range(33, 130, 8))
def test_timm_resizes_to_the_side_that_images_are_cropped_from(size):
    for crop_from in range(size, size + 40):
        crop_pct = timm_model.input_of(dataclasses.replace(NANO, image_size=size, crop_from=crop_from))["crop_pct"]
        resized = timm.data.create_transform((3, size, size), crop_pct=crop_pct).transforms[0]
        assert resized.size in (crop_from, (crop_from, crop_from))


def test_a_skeleton_as_numbers_makes_the_same_network_as_its_name():
    shape = SKELETONS["nano"].resized(64, (1, 2, 1, 1))
    numbers = json.loads(json.dumps(skeleton_data.numbers_of(shape)))
    assert skeleton_data.skeleton_from(numbers) == shape
    torch.manual_seed(0)
    by_name = made(blocks=(1, 2, 1, 1), img_size=64)
    torch.manual_seed(0)
    by_numbers = made(skeleton=numbers)
    assert by_name.state_dict().keys() == by_numbers.state_dict().keys()
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(by_name.eval()(images), by_numbers.eval()(images))


def test_a_network_of_timms_equals_the_standalone_network():
    network = build("101-680-345-272:magface", "nano", 3).eval()
    model = made(genotype="101-680-345-272:magface").eval()
    model.load_state_dict(timm_model.embedder_of(network).state_dict())
    images = torch.rand(3, 3, 48, 48)
    assert torch.equal(model(images), network(images))


def test_what_is_no_data_has_no_numbers(tiny):
    own = dataclasses.replace(OPERATIONS["pre3"], name="mine")
    assert skeleton_data.numbers_of(dataclasses.replace(tiny, operations=(own,))) is None
    assert skeleton_data.numbers_of(tiny) is not None
    with_head = dataclasses.replace(tiny, own_heads=(OwnHead("mine", print),))
    assert skeleton_data.numbers_of(with_head) == skeleton_data.numbers_of(tiny)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": "8"}, "groups must be like 8, got '8'"),
        ({"groups": 0}, "groups must be like 8, got '0'"),
        ({"blocks": [1, 1, True, 1]}, "blocks must be like"),
        ({"blocks": [1]}, "blocks has 1 entries; expected 4"),
        ({"colour": 1}, "unknown or missing: 'colour'"),
        ({"stem_pool": 1}, "stem_pool must be like True"),
    ],
)
def test_wrong_numbers_are_named(change, message):
    numbers = {**skeleton_data.numbers_of(skeleton_of("nano")), **change}
    with pytest.raises(ValueError, match=message):
        skeleton_data.skeleton_from(numbers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"genotype": None}, "dualfair_dpn needs a genotype"),
        ({"genotype": "101"}, "genotype '101' needs a head: one of arcface"),
        ({"genotype": "109:cosface"}, "position 3 has code 9"),
        ({"skeleton": "huge"}, "unknown skeleton 'huge'"),
        ({"features_only": True}, r"leave it out and call forward_features\(images\) of the model"),
        ({"in_chans": 1}, r"in_chans must be 3 \(RGB\), got 1"),
        ({"img_size": (48, 64)}, "img_size must be a side or two equal ones"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(**arguments)


def test_a_backbone_has_the_same_interface():
    model = timm.create_model("dualfair_backbone", backbone="test_resnet", embedding=32, img_size=(64, 64)).eval()
    embeddings = model(torch.rand(2, 3, 64, 64))
    assert embeddings.shape == (2, 32)
    assert timm.data.resolve_data_config(model=model)["input_size"] == (3, 64, 64)
    with pytest.raises(ValueError, match="no backbone 'test_resmet'"):
        timm.create_model("dualfair_backbone", backbone="test_resmet")
    with pytest.raises(ValueError, match="needs the name of a backbone"):
        timm.create_model("dualfair_backbone")
