import dataclasses
import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork

import dualfair.supernet.production.timm_model as timm_model
from dualfair.supernet.images.augmentation import to_input
from dualfair.supernet.images.face_set import FaceSet
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


@pytest.mark.parametrize("crop_from", range(48, 60))
def test_timm_cuts_out_the_centre_that_networks_are_judged_on(crop_from):
    pixels = np.random.default_rng(0).integers(0, 256, (1, crop_from, crop_from, 3), dtype=np.uint8)
    names = np.array(["a"])
    faces = FaceSet(pixels, np.arange(1), names, names, 48, crop_from=crop_from)
    crop_pct = timm_model.input_of(dataclasses.replace(NANO, crop_from=crop_from))["crop_pct"]
    prepare = timm.data.create_transform((3, 48, 48), **{**timm_model.INPUT, "crop_pct": crop_pct})
    assert torch.allclose(prepare(Image.fromarray(pixels[0])), to_input(faces.read(np.arange(1)))[0], atol=1e-6)


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


@pytest.mark.parametrize(
    ("name", "arguments", "channels", "reductions"),
    [
        ("dualfair_dpn", {"genotype": "101:cosface", "img_size": 64}, [28, 56, 88, 176], [4, 8, 16, 32]),
        ("dualfair_dpn", {"genotype": "101:cosface", "img_size": 64, "out_indices": (-3, 2)}, [56, 88], [8, 16]),
        (
            "dualfair_dpn",
            {"genotype": "101:cosface", "img_size": 64, "blocks": (1, 2, 1, 1)},
            [28, 64, 88, 176],
            [4, 8, 16, 32],
        ),
        ("dualfair_inverted_residual", {"genotype": "0-1-2-0-1-2-2-1:softmax"}, [64, 128, 256], [2, 4, 8]),
    ],
)
def test_features_only_gives_the_last_map_of_every_reduction(name, arguments, channels, reductions):
    model = timm.create_model(name, features_only=True, **arguments).eval()
    assert (model.feature_info.channels(), model.feature_info.reduction()) == (channels, reductions)
    size = model.pretrained_cfg["input_size"][-1]
    maps = model(torch.rand(2, 3, size, size))
    expected = [
        (2, count, size // reduction, size // reduction) for count, reduction in zip(channels, reductions, strict=True)
    ]
    assert [tuple(each.shape) for each in maps] == expected
    torch.stack([each.square().mean() for each in maps]).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_maps_are_those_of_the_whole_network():
    whole = made().eval()
    maps = timm.create_model("dualfair_dpn", genotype="101:cosface", features_only=True).eval()
    missing = maps.model.load_state_dict(whole.state_dict(), strict=False).missing_keys
    images = torch.rand(2, 3, 48, 48)
    assert not missing and torch.equal(whole.neck(whole.trunk.tail(maps(images)[-1])), whole(images))
    features, intermediates = whole.forward_intermediates(images, indices=1)
    assert torch.equal(features, whole.forward_features(images)) and len(intermediates) == 1
    with pytest.raises(ValueError, match="this network has no maps to give; ask timm for those of a backbone itself"):
        timm.create_model("dualfair_backbone", backbone="test_resnet", img_size=64).forward_intermediates(images)
    with pytest.raises(ValueError, match="dualfair_backbone has no maps to give with features_only; ask timm"):
        timm.create_model("dualfair_backbone", backbone="test_resnet", img_size=64, features_only=True)


def test_a_detector_takes_a_step_on_the_maps():
    class Pyramid(torch.nn.Module):
        out_channels = 16

        def __init__(self):
            super().__init__()
            self.maps = timm.create_model("dualfair_dpn", genotype="101:cosface", img_size=128, features_only=True)
            self.levels = FeaturePyramidNetwork(self.maps.feature_info.channels()[1:], self.out_channels)

        def forward(self, images):
            return self.levels({str(level): each for level, each in enumerate(self.maps(images)[1:])})

    torch.manual_seed(0)
    anchors = AnchorGenerator(sizes=((16,), (32,), (64,)), aspect_ratios=((1.0,),) * 3)
    detector = RetinaNet(Pyramid(), num_classes=3, anchor_generator=anchors, min_size=128, max_size=128)
    boxes = torch.tensor([[8.0, 8.0, 40.0, 48.0], [60.0, 60.0, 120.0, 100.0]])
    targets = [{"boxes": boxes, "labels": torch.tensor([1, 2])}] * 2
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.01)
    maps = detector.backbone.maps
    first = next(maps.parameters())
    before = first.clone()
    losses = detector([torch.rand(3, 128, 128)] * 2, targets)
    sum(losses.values()).backward()
    optimizer.step()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in maps.parameters())
    assert not torch.equal(first, before)


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
        ({"genotype": None}, "a genotype is needed, such as"),
        ({"genotype": "101"}, "genotype '101' needs a head: one of arcface"),
        ({"genotype": "109:cosface"}, "position 3 has code 9"),
        ({"skeleton": "huge"}, "unknown skeleton 'huge'"),
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
