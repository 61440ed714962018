"""Found networks and trained backbones as models of timm's: importing this module registers `dualfair_dpn`,
`dualfair_inverted_residual`, `dualfair_mix`, `dualfair_residual` and `dualfair_backbone` with `timm.create_model`, also
for folders that `dualfair export` made (`local-dir:FOLDER`).

Shape legend: B batch, S side of the images in pixels, C channels, D embedding, K classes.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models._features import FeatureGetterNet, feature_take_indices
from torch import Tensor, nn
from torch.nn import functional

from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.genotype import HEAD_NAMES, Genotype
from dualfair.supernet.heads import MarginHead
from dualfair.supernet.network import Network, build
from dualfair.supernet.production.folding import fold
from dualfair.supernet.production.skeleton_data import skeleton_from
from dualfair.supernet.skeleton import NECKS, SKELETONS, Skeleton

NORMALISATION = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
"""Of RGB in [0, 1]; the same as v / 127.5 - 1 of values v in [0, 255]."""
INPUT = {"interpolation": "lanczos", "crop_pct": 1.0, "crop_mode": "center", **NORMALISATION}
"""What timm's data pipeline makes of an image, as a faces folder does: the central square, resized."""


def input_of(skeleton: Skeleton) -> dict[str, object]:
    """INPUT for networks of a skeleton, which may see the centre of larger images: timm resizes to S / crop_pct."""
    share = skeleton.image_size / (skeleton.crop_from or skeleton.image_size)
    # timm rounds down, so a share that was rounded up would lose a pixel.
    exact = not skeleton.crop_from or math.floor(skeleton.image_size / share) == skeleton.crop_from
    return {**INPUT, "crop_pct": share if exact else math.nextafter(share, 0)}


_SEARCHED = ("dpn", "inverted_residual", "mix", "residual")

default_cfgs = generate_default_cfgs(
    {
        f"{name}.untrained": {"num_classes": 0, "input_size": (3, 112, 112), "classifier": "classifier", **INPUT}
        for name in (*(f"dualfair_{family}" for family in _SEARCHED), "dualfair_backbone")
    }
)


class CosineClassifier(nn.Module):
    """The class scores of a margin head: embeddings (B, D) -> cosines with the class weights (B, K), no margin."""

    def __init__(self, embedding: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, embedding) * embedding**-0.5)

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, D) -> (B, K)."""
        return functional.linear(functional.normalize(embedding), functional.normalize(self.weight))


class FaceEmbedder(nn.Module):
    """A trunk and a neck with timm's interface: images (B, 3, S, S) in [-1, 1] -> embeddings (B, D), not normalised.

    With `num_classes` a classifier on the embedding follows, linear or, where it is `cosine`, a `CosineClassifier`; 0
    means none. `num_features` counts the channels of `forward_features`, `head_hidden_size` is D.
    """

    def __init__(
        self,
        trunk: nn.Module,
        blocks: Sequence[Sequence[int]],
        neck: nn.Module,
        num_classes: int = 0,
        cosine: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.blocks = tuple(blocks)
        self.neck = neck
        self.num_features = neck.features
        self.head_hidden_size = neck.embedding
        self.cosine = cosine
        self.feature_info: list[dict[str, object]] = []
        self.reset_classifier(num_classes)

    def forward_features(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) -> features (B, C, h, w), in front of pooling."""
        return self.trunk(images, self.blocks)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Features (B, C, h, w) -> logits (B, num_classes); embeddings (B, D) with `pre_logits` or no classes."""
        x = self.neck(x)
        return x if pre_logits else self.classifier(x)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [-1, 1] -> embeddings (B, D), or logits (B, num_classes)."""
        return self.forward_head(self.forward_features(images))

    def forward_intermediates(
        self, x: Tensor, indices: int | Sequence[int] | None = None, intermediates_only: bool = False, **_: object
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Images (B, 3, S, S) -> the last maps (B, C, h, w) of some reductions, as `feature_info` lists them, and
        the features where not they only. ValueError where there are none."""
        if not self.feature_info:
            raise ValueError("this network has no maps to give; ask timm for those of a backbone itself")
        taken, _ = feature_take_indices(len(self.feature_info), indices)
        blocks = [self.feature_info[level]["block"] for level in taken]
        maps = list(self.trunk.maps(self.trunk.begin(x), self.blocks))
        intermediates = [maps[block] for block in blocks]
        return intermediates if intermediates_only else (self.trunk.tail(maps[-1]), intermediates)

    def prune_intermediate_layers(self, indices: int | Sequence[int] | None = None, **_: object) -> list[int]:
        """Leave out what the last of these maps does not need."""
        taken, last = feature_take_indices(len(self.feature_info), indices)
        kept = self.feature_info[last]["block"] + 1
        self.trunk.blocks, self.blocks = self.trunk.blocks[:kept], self.blocks[:kept]
        self.trunk.tail = self.neck = self.classifier = nn.Identity()
        return taken

    def get_classifier(self) -> nn.Module:
        """The layer behind the embedding: an identity without classes."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh classifier on the embedding, for 0 classes none. Pooling is always the mean ("avg")."""
        if global_pool not in (None, "avg"):
            raise ValueError(f"global_pool must be 'avg', got {global_pool!r}")
        self.num_classes = num_classes
        kind = CosineClassifier if self.cosine else nn.Linear
        self.classifier = kind(self.head_hidden_size, num_classes) if num_classes else nn.Identity()


def embedder_of(network: Network, num_classes: int = 0, cosine: bool = False) -> FaceEmbedder:
    """The embedding part of a standalone network of a genotype or a backbone, sharing its weights."""
    head = network.heads[network.spec.head]
    return FaceEmbedder(network.trunk, network.spec.blocks, head.neck, num_classes, cosine).train(network.training)


def classifier_of(network: Network) -> FaceEmbedder:
    """A standalone network with the class scores of its head as the classifier, sharing its weights."""
    head = network.heads[network.spec.head]
    model = embedder_of(network, len(head.weight), cosine=isinstance(head, MarginHead))
    for name, parameter in head.named_parameters(recurse=False):
        setattr(model.classifier, name, parameter)
    return model


def _searched(
    genotype: str | Genotype | None = None,
    skeleton: str | Mapping[str, object] | Skeleton = "nano",
    blocks: Sequence[int] | None = None,
    img_size: int | Sequence[int] | None = None,
    num_classes: int = 0,
    in_chans: int = 3,
    folded: bool = False,
    cosine: bool = False,
) -> FaceEmbedder:
    if genotype is None:
        raise ValueError(
            "a genotype is needed, such as genotype='101:cosface' on nano, genotype='1:cosface' on ir-d8-w64"
        )
    _check_channels(in_chans)
    shape = skeleton_from(skeleton).resized(_side(img_size), blocks)
    return _embedder(build(_with_head(genotype), shape), num_classes, folded, cosine)


def _backbone(
    backbone: str | None = None,
    head: str = "cosface",
    embedding: int = 512,
    neck: str = NECKS[0],
    img_size: int | Sequence[int] = 112,
    num_classes: int = 0,
    in_chans: int = 3,
    folded: bool = False,
    cosine: bool = False,
) -> FaceEmbedder:
    if backbone is None:
        raise ValueError("dualfair_backbone needs the name of a backbone of timm's, such as backbone='resnet18'")
    _check_channels(in_chans)
    network = build_backbone(Backbone(backbone, head), backbone_skeleton(_side(img_size), embedding, neck))
    return _embedder(network, num_classes, folded, cosine)


def _embedder(network: Network, num_classes: int, folded: bool, cosine: bool) -> FaceEmbedder:
    if folded:
        fold(network)
    model = embedder_of(network, num_classes, cosine)
    model.image_size = network.skeleton.image_size
    model.feature_info = [] if isinstance(network.spec, Backbone) else _feature_info(network.skeleton)
    return model


def _feature_info(skeleton: Skeleton) -> list[dict[str, object]]:
    """The last block of every reduction, as timm lists where features may be taken."""
    channels, reductions = skeleton.block_channels(), skeleton.block_reductions()
    last = {reduction: block for block, reduction in enumerate(reductions)}
    return [
        {"num_chs": channels[block], "reduction": reduction, "module": f"trunk.blocks.{block}", "block": block}
        for reduction, block in last.items()
    ]


class FeatureMaps(FeatureGetterNet):
    """The maps of a searched network, by default one for each of its reductions, smallest first."""

    def __init__(self, model: FaceEmbedder, out_indices: Sequence[int] | None = None, **options: object) -> None:
        if not model.feature_info:
            raise ValueError(
                "dualfair_backbone has no maps to give with features_only; ask timm for those of the backbone itself"
            )
        super().__init__(model, range(len(model.feature_info)) if out_indices is None else out_indices, **options)


def backbone_skeleton(image_size: int, embedding: int, neck: str = NECKS[0]) -> Skeleton:
    """A skeleton that says to `build_backbone` all it asks: the size of images and of embeddings, and the neck."""
    return dataclasses.replace(SKELETONS["nas-bench-macro"], image_size=image_size, embedding=embedding, neck=neck)


def _with_head(genotype: str | Genotype) -> Genotype:
    """A genotype with a built-in head, which says what neck there is."""
    parsed = Genotype.parse(genotype) if isinstance(genotype, str) else genotype
    if parsed.head not in HEAD_NAMES:
        raise ValueError(f"genotype '{parsed}' needs a head: one of {', '.join(HEAD_NAMES)}, as in '101:cosface'")
    return parsed


def _check_channels(in_chans: int) -> None:
    if in_chans != 3:
        raise ValueError(f"in_chans must be 3 (RGB), got {in_chans}")


def _side(img_size: int | Sequence[int] | None) -> int | None:
    """The side of square images: timm also writes a pair."""
    if img_size is None or isinstance(img_size, int):
        return img_size
    if len(set(img_size)) != 1:
        raise ValueError(f"img_size must be a side or two equal ones, got {tuple(img_size)}")
    return img_size[0]


def _registered(maker, variant: str, pretrained: bool, kwargs: dict) -> FaceEmbedder | FeatureMaps:
    """timm's way of building: with its configuration, and weights where a folder is named."""
    features = {"feature_cls": FeatureMaps, "out_indices": None}
    built = build_model_with_cfg(
        maker, variant, pretrained, feature_cfg=features, kwargs_filter=("global_pool",), **kwargs
    )
    model = built.model if isinstance(built, FeatureMaps) else built
    built.pretrained_cfg["input_size"] = (3, model.image_size, model.image_size)
    return built


@register_model
def dualfair_dpn(pretrained: bool = False, **kwargs: object) -> FaceEmbedder | FeatureMaps:
    """The network of a `genotype` on a `skeleton` (a name, or all its numbers), for images of `img_size` px.

    `blocks` are blocks a stage, `folded` builds the structure with BN folded (`folding`), `cosine` makes classes be
    told by cosines. Raises ValueError where these do not fit together.
    """
    return _registered(_searched, "dualfair_dpn", pretrained, kwargs)


@register_model
def dualfair_inverted_residual(pretrained: bool = False, **kwargs: object) -> FaceEmbedder | FeatureMaps:
    """As `dualfair_dpn`, on a skeleton of inverted residuals, by default that of NAS-Bench-Macro."""
    of_family = {"skeleton": "nas-bench-macro", **kwargs}
    return _registered(_searched, "dualfair_inverted_residual", pretrained, of_family)


@register_model
def dualfair_mix(pretrained: bool = False, **kwargs: object) -> FaceEmbedder | FeatureMaps:
    """As `dualfair_dpn`, on a skeleton whose name says its depth and width, by default `mix-d21-w56`."""
    return _registered(_searched, "dualfair_mix", pretrained, {"skeleton": "mix-d21-w56", **kwargs})


@register_model
def dualfair_residual(pretrained: bool = False, **kwargs: object) -> FaceEmbedder | FeatureMaps:
    """As `dualfair_dpn`, on a skeleton of residual blocks, by default `ir-d8-w64`, IR-18."""
    return _registered(_searched, "dualfair_residual", pretrained, {"skeleton": "ir-d8-w64", **kwargs})


@register_model
def dualfair_backbone(pretrained: bool = False, **kwargs: object) -> FaceEmbedder:
    """A `backbone` by its name in timm with the neck of a `head`.

    Embeddings are of length `embedding` where the `neck` is "bn" and the head no softmax, and as long as the features
    otherwise.
    `img_size`, `folded` and `cosine` as in `dualfair_dpn`. Raises ValueError for a name that timm does not have.
    """
    return _registered(_backbone, "dualfair_backbone", pretrained, kwargs)
