"""Heads, each with the neck that makes its embedding: margins (ArcFace, CosFace, MagFace, AdaFace), and plain softmax.

Shape legend: B batch, C channels, h, w sides of the feature map, D embedding, K classes: of faces the training
identities. c is the cosine between a unit embedding and a unit class weight, y the true class, s the scale, m the
margin.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from dualfair.supernet.skeleton import LINEAR, Skeleton


@dataclass(frozen=True)
class Classification:
    """What a head says of a batch.

    `scores` (B, K), float32, are cosines with the margin in them, to be multiplied by the scale s, or, where they are
    not `scaled`, logits. `penalty` is a scalar to add to the loss. `embedding` is (B, D).
    """

    scores: Tensor
    penalty: Tensor
    embedding: Tensor
    scaled: bool = True

    def logits(self, scale: float) -> Tensor:
        """What the softmax is taken of, (B, K), for a scale s."""
        return scale * self.scores if self.scaled else self.scores


class NormalisingNeck(nn.Module):
    """Global average pool, linear layer, and BN whose scale stays 1: features (B, C, h, w) -> embedding (B, D)."""

    def __init__(self, features: int, embedding: int) -> None:
        super().__init__()
        self.features, self.embedding = features, embedding
        self.linear = nn.Linear(features, embedding, bias=False)
        self.bn = nn.BatchNorm1d(embedding, eps=1e-5)
        self.bn.weight.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, D)."""
        return self.bn(self.linear(features.mean(dim=(2, 3))))


class LinearNeck(nn.Module):
    """Global average pool and a linear layer with bias, as timm's classifiers: features (B, C, h, w) -> (B, D)."""

    def __init__(self, features: int, embedding: int) -> None:
        super().__init__()
        self.features, self.embedding = features, embedding
        self.linear = nn.Linear(features, embedding)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, D)."""
        return self.linear(features.mean(dim=(2, 3)))


class FlattenNeck(nn.Module):
    """BN, all pixels of the map, a linear layer with bias, and BN without learnt weights: features (B, C, h, w) ->
    embedding (B, D). As AdaFace's public program has it, without its dropout."""

    def __init__(self, features: int, side: int, embedding: int) -> None:
        super().__init__()
        self.features, self.embedding = features, embedding
        self.begun = nn.BatchNorm2d(features, eps=1e-5)
        self.linear = nn.Linear(features * side**2, embedding)
        self.bn = nn.BatchNorm1d(embedding, eps=1e-5, affine=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, side, side) -> (B, D)."""
        return self.bn(self.linear(self.begun(features).flatten(1)))


NORMALISING = (NormalisingNeck, FlattenNeck)
"""Necks that end in BN."""


class Pool(nn.Module):
    """The neck without weights, global average pool: features (B, C, h, w) -> embedding (B, C)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = self.embedding = features

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C)."""
        return features.mean(dim=(2, 3))


def cosface_margin(cosine: Tensor, norm: Tensor, strength: float | Tensor) -> tuple[Tensor, Tensor]:
    """CosFace, equation 4: c_y - m with m = 0.35. Returns target cosines (B,) and the penalty 0."""
    return cosine - 0.35 * strength, cosine.new_zeros(())


def arcface_margin(cosine: Tensor, norm: Tensor, strength: float | Tensor) -> tuple[Tensor, Tensor]:
    """ArcFace, equation 3: cos(theta_y + m) with m = 0.5, continued monotonically. Penalty 0."""
    margin = 0.5 * strength * torch.ones_like(cosine)
    return _add_angle(cosine, margin), cosine.new_zeros(())


def magface_margin(cosine: Tensor, norm: Tensor, strength: float | Tensor) -> tuple[Tensor, Tensor]:
    """MagFace, equations 3 and 4: cos(theta_y + m(a)), the margin m(a) growing with the embedding norm a.

    `norm` is the embedding norm scaled as for 512 dimensions, where the published constants belong:
    a in [10, 110], m(a) in [0.45, 0.8], regulariser lambda_g * (a / u_a^2 + 1 / a) with lambda_g = 35.
    """
    lowest, highest = 10.0, 110.0
    a = norm.clamp(lowest, highest)
    margin = 0.45 + (0.8 - 0.45) / (highest - lowest) * (a - lowest)
    penalty = 35.0 * (a / highest**2 + 1 / a).mean()
    return _add_angle(cosine, strength * margin), penalty


class AdaFaceMargin(nn.Module):
    """AdaFace (Kim et al., CVPR 2022), section 3.2: cos(theta_y + g_angle) - g_add, by how large the embedding norm is
    among those of training, a hint at how good an image is.

    g_angle = -m z and g_add = m + m z with m = 0.4, where z is the norm less the running `mean`, over the running
    `deviation`, times h = 0.333, cut to [-1, 1]. Both follow the batches of training by a hundredth each; they are
    state of the head. Of several ranks each follows its own part of the batches.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("deviation", torch.tensor(100.0))

    def forward(self, cosine: Tensor, norm: Tensor, strength: float | Tensor) -> tuple[Tensor, Tensor]:
        """True cosines (B,), embedding norms (B,), strength -> target cosines (B,), penalty 0. Gradients do not pass
        through norms."""
        norm = norm.detach().clamp(0.001, 100.0)
        if self.training and len(norm) > 1:
            self.mean.lerp_(norm.mean().to(self.mean), 0.01)
            self.deviation.lerp_(norm.std().to(self.deviation), 0.01)
        quality = (0.333 * (norm - self.mean) / (self.deviation + 1e-3)).clamp(-1, 1)
        margin = 0.4 * strength
        angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos() - margin * quality
        # A larger angle than pi, or one below 0, would turn the cosine around.
        target = angle.clamp(1e-3, math.pi - 1e-3).cos() - margin * (1 + quality)
        return target, cosine.new_zeros(())


def _add_angle(cosine: Tensor, margin: Tensor) -> Tensor:
    """cos(theta + m); where theta + m would pass pi, the line c - m sin(m), so that it falls all the way."""
    # The clamp keeps the root's derivative finite at |c| = 1.
    inner = cosine.clamp(-1 + 1e-6, 1 - 1e-6)
    turned = inner * margin.cos() - (1 - inner.square()).sqrt() * margin.sin()
    return torch.where(cosine > -margin.cos(), turned, cosine - margin * margin.sin())


class MarginHead(nn.Module):
    """A neck, the class weights, and the margin that tells the head from the others.

    `margin` maps (cosines of the true classes (B,), embedding norms (B,), where the neck normalises as for 512
    dimensions, strength in [0, 1], a number or a scalar tensor) to (target cosines (B,), penalty). With 0 classes the
    head only embeds.
    """

    def __init__(self, neck: nn.Module, classes: int, margin: Callable) -> None:
        super().__init__()
        self.neck = neck
        self.margin = margin
        self.weight = nn.Parameter(torch.randn(classes, neck.embedding) * neck.embedding**-0.5)
        # BN leaves embeddings of norm near sqrt(D); MagFace's constants assume D = 512.
        self.norm_unit = math.sqrt(neck.embedding / 512) if isinstance(neck, NORMALISING) else 1.0

    def forward(self, features: Tensor, labels: Tensor, strength: float | Tensor = 1.0) -> Classification:
        """Features (B, C, h, w), labels (B,) and the margin's strength (1 = published, 0 = none) -> cosines."""
        embedding = self.neck(features)
        with torch.autocast(embedding.device.type, enabled=False):
            vectors = embedding if embedding.dtype == torch.float64 else embedding.float()
            return self.with_margin(self.class_scores(vectors), vectors, labels, strength)

    def with_margin(
        self, cosines: Tensor, embedding: Tensor, labels: Tensor, strength: float | Tensor = 1.0
    ) -> Classification:
        """Cosines (B, K) of embeddings (B, D) with any class weights -> these with the margin of the labels (B,)."""
        true_cosines = cosines.gather(1, labels[:, None]).squeeze(1)
        target, penalty = self.margin(true_cosines, embedding.norm(dim=1) / self.norm_unit, strength)
        return Classification(cosines.scatter(1, labels[:, None], target[:, None]), penalty, embedding)

    def class_scores(self, embedding: Tensor) -> Tensor:
        """What classes are told by: embeddings (B, D) -> their cosines with the class weights (B, K), no margin."""
        return functional.linear(functional.normalize(embedding), functional.normalize(self.weight))


class SoftmaxHead(nn.Module):
    """Global average pool and a linear layer with bias; the embedding is what is pooled, D = C."""

    def __init__(self, neck: Pool, classes: int) -> None:
        super().__init__()
        self.neck = neck
        # As torch begins its linear layers, which warn where there are no classes.
        bound = neck.features**-0.5
        self.weight = nn.Parameter(torch.empty(classes, neck.features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(classes).uniform_(-bound, bound))

    def forward(self, features: Tensor, labels: Tensor, strength: float | Tensor = 1.0) -> Classification:
        """Features (B, C, h, w) -> logits; labels and strength, which margins need, change nothing."""
        embedding = self.neck(features)
        with torch.autocast(embedding.device.type, enabled=False):
            vectors = embedding if embedding.dtype == torch.float64 else embedding.float()
            logits = self.class_scores(vectors)
        return Classification(logits, logits.new_zeros(()), vectors, scaled=False)

    def class_scores(self, embedding: Tensor) -> Tensor:
        """What classes are told by: embeddings (B, C) -> logits (B, K)."""
        return functional.linear(embedding, self.weight, self.bias)


def check_margin(margin: Callable) -> None:
    """Try a margin function out as `MarginHead` calls it. Raises ValueError with what training would stumble over."""
    cosines = torch.linspace(-1, 1, 41)
    for strength in (0.0, 1.0):
        try:
            returned = margin(cosines, torch.full((41,), 22.0), strength)
        except Exception as error:
            raise ValueError(
                f"called as margin(cosines, norms, strength) it raises {type(error).__name__}: {error}"
            ) from error
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ValueError(f"it returns {_shape(returned)}; return two things: (cosines with margin, penalty)")
        target, penalty = returned
        if not isinstance(target, Tensor) or target.shape != cosines.shape:
            raise ValueError(
                f"it returns {_shape(target)} for cosines of shape (41,); return (cosines with margin (41,), penalty)"
            )
        if not isinstance(penalty, Tensor) or penalty.ndim:
            raise ValueError(
                f"its penalty is {_shape(penalty)}; return a tensor without dimensions, torch.zeros(()) for none"
            )


def _shape(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


MARGINS: dict[str, Callable] = {
    "arcface": arcface_margin,
    "cosface": cosface_margin,
    "magface": magface_margin,
}
"""The margin of every built-in margin head."""

HEADS: dict[str, Callable[[nn.Module, int], MarginHead | SoftmaxHead]] = {
    **{name: partial(MarginHead, margin=margin) for name, margin in MARGINS.items()},
    "softmax": SoftmaxHead,
    "adaface": lambda neck, classes: MarginHead(neck, classes, AdaFaceMargin()),
}
"""What makes every built-in head from its neck and the number of classes; `genotype.HEAD_NAMES` gives the same names in
the same order without torch."""


def margin_heads(skeleton: Skeleton) -> tuple[str, ...]:
    """The names of the heads with a scale and a margin: the built-in ones and the skeleton's own."""
    return (*MARGINS, "adaface", *(head.name for head in skeleton.own_heads))


def make_head(name: str, skeleton: Skeleton, classes: int, features: int | None = None) -> MarginHead | SoftmaxHead:
    """A freshly initialised head, of `HEADS` or of the skeleton's `own_heads`. ValueError for an unknown name.

    It reads so many `features`, one pixel each, by default the map of the skeleton's trunk, by the skeleton's neck;
    that of softmax is always none.
    """
    read = (features, 1) if features else (skeleton.features, skeleton.last_side)
    heads = HEADS | {head.name: partial(MarginHead, margin=head.margin) for head in skeleton.own_heads}
    if name not in heads:
        problem = f"unknown head {name!r}" if name else "no head"
        raise ValueError(f"{problem}; choose from {', '.join(heads)}, as in '101:cosface'")
    return heads[name](make_neck("none" if name == "softmax" else skeleton.neck, *read, skeleton.embedding), classes)


def make_neck(name: str, features: int, side: int, embedding: int) -> NormalisingNeck | LinearNeck | FlattenNeck | Pool:
    """One of `skeleton.NECKS` for maps (B, features, side, side), freshly initialised; "bn" and "flatten" make
    embeddings of the length `embedding`."""
    if name == "none":
        return Pool(features)
    if name == "flatten":
        return FlattenNeck(features, side, embedding)
    return LinearNeck(features, LINEAR) if name == "linear1000" else NormalisingNeck(features, embedding)
