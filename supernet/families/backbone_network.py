"""The network of a `Backbone`: timm's layers between the same images and the same neck and head as a searched network.

Shape legend: B batch, S side of the images in pixels, F features of the backbone, D embedding.
"""

import difflib
from collections.abc import Sequence
from dataclasses import replace

import timm
import torch
from torch import Tensor, nn

from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.heads import make_head
from dualfair.supernet.skeleton import Skeleton, skeleton_of

_REFUSALS = (ValueError, TypeError, RuntimeError, AssertionError, AttributeError, LookupError, ArithmeticError)
"""What timm's models raise where they are built for, or run on, images that they cannot take."""


class PooledBackbone(nn.Module):
    """A backbone of timm up to its own pooling, as the features that a neck reads."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, F, 1, 1)."""
        return self.model(images)[:, :, None, None]


class BackboneTrunk(nn.Module):
    """What stands for `trunk.Trunk` in a network that is all stem: it has no blocks to choose operations for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.stem = PooledBackbone(model)
        self.blocks = nn.ModuleList()
        self.tail = nn.Identity()

    def begin(self, images: Tensor) -> tuple[Tensor]:
        """The images (B, 3, S, S): there is no beginning that several paths could share."""
        return (images,)

    def finish(self, begun: tuple[Tensor], blocks: Sequence[Sequence[int]]) -> Tensor:
        """From where `begin` left off to the features (B, F, 1, 1)."""
        return self.tail(self.stem(*begun))

    def stages(self, blocks: Sequence[Sequence[int]] | None) -> list[nn.Module]:
        """As `trunk.Trunk.stages`."""
        return [] if blocks is None else [self.stem]

    def forward(self, images: Tensor, blocks: Sequence[Sequence[int]]) -> Tensor:
        """(B, 3, S, S) -> features (B, F, 1, 1); `blocks` is empty."""
        return self.finish(self.begin(images), blocks)


class BackboneNetwork(nn.Module):
    """A backbone of timm with a neck and a margin head, as a `network.Network`.

    `spec` names it. `skeleton` gives the size of its images, its neck and its embedding, and heads of one's own. In the
    published study, which "linear1000" is of, the features of backbones are the embedding: they have no neck then.
    """

    def __init__(self, backbone: Backbone, skeleton: Skeleton, identities: int) -> None:
        super().__init__()
        self.spec = backbone
        self.skeleton = replace(skeleton, neck="none") if skeleton.neck == "linear1000" else skeleton
        model, features = _model(backbone.name, skeleton.image_size)
        self.trunk = BackboneTrunk(model)
        self.heads = nn.ModuleDict({backbone.head: make_head(backbone.head, self.skeleton, identities, features)})

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [-1, 1] -> embeddings (B, D), not normalised."""
        return self.heads[self.spec.head].neck(self.trunk(images, self.spec.blocks))


def build_backbone(backbone: Backbone | str, skeleton: Skeleton | str, identities: int = 0) -> BackboneNetwork:
    """The network of a backbone, freshly initialised from torch's global generator; nothing is downloaded.

    `identities` as in `network.build`. Raises ValueError for a name that timm does not have, with the closest ones, and
    for a backbone that does not take images of the skeleton's size.
    """
    backbone = Backbone.parse(backbone) if isinstance(backbone, str) else backbone
    check_name(backbone.name)
    return BackboneNetwork(backbone, skeleton_of(skeleton), identities)


def check_name(name: str) -> None:
    """Raise ValueError, with timm's closest names, for a backbone that timm does not have."""
    names = timm.list_models()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
        hint = f"; close to it: {', '.join(close)}" if close else ""
        raise ValueError(f"timm {timm.__version__} has no backbone {name!r}{hint}")


def _model(name: str, size: int) -> tuple[nn.Module, int]:
    """timm's model without a classifier for images of a size, and how many features it gives.

    Models with positions to learn have to be told the size; others do not know that argument, or do without.
    """
    rng_state, reasons = torch.get_rng_state(), []
    for options in ({"img_size": size}, {}):
        torch.set_rng_state(rng_state)
        try:
            model = timm.create_model(name, pretrained=False, num_classes=0, **options)
            features = _features(model.eval(), size)
            return model.train(), features
        except _REFUSALS as error:
            if not (options and isinstance(error, TypeError) and "img_size" in str(error)):
                reasons.append(f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")
    raise ValueError(
        f"backbone {name!r} cannot be built for images of {size} px ({reasons[0]}); leave it out, or train the "
        "supernet at another --size"
    )


def _features(model: nn.Module, size: int) -> int:
    """Length of the vector that a model makes of one image, found by asking it."""
    with torch.no_grad():
        features = model(torch.zeros(1, 3, size, size))
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(f"it gives features of shape {tuple(features.shape)} instead of a vector an image")
    return features.shape[1]
