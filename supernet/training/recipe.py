"""What the training loop is told: one frozen configuration for supernets and standalone networks. Needs no torch."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

BF16, FP16, TF32, FLOAT32 = "bf16", "fp16", "tf32", "float32"
PRECISIONS = (BF16, FP16, TF32, FLOAT32)
"""How precisely a training may compute on CUDA."""
PATHS, GRAPH, AUTO = "paths", "graph", "auto"
STEPS = (AUTO, PATHS, GRAPH)
"""How a training step may go (`step_engine`): it changes rounding only, and is no part of a recipe."""

_BY_HEAD = ("head_scales", "head_margins", "head_penalties")
"""Fields with a number a head."""


def _option(default: object, text: str, *, omitted: bool = False) -> object:
    """A field with its help text; an `omitted` one is recorded only where it is not the default."""
    return field(default=default, metadata={"help": text, "omitted": omitted})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained. Learning rates are peaks; epochs may be fractions of a pass over the faces."""

    epochs: float = _option(
        30.0, "Passes of the training faces through every candidate operation, whatever the sampler; a network has one."
    )
    batch: int = _option(16, "Images a step.")
    accumulate: int = _option(
        1,
        "Parts of a batch that go one after the other, so that only one takes memory; BN sees one part at a time.",
        omitted=True,
    )
    recompute: bool = _option(
        False,
        "Compute a block's activations again in the backward pass instead of keeping them: a third more time, less "
        "memory.",
        omitted=True,
    )
    optimizer: str = _option("sgd", "Any timm optimizer name: sgd is Nesterov, momentum is plain, adamw, ...")
    lr: float = _option(0.1, "Peak learning rate.")
    lr_trunk: float = _option(1.0, "Factor on lr for stem, shortcuts and tail.")
    lr_operations: float = _option(1.0, "Factor on lr for the candidate operations.")
    lr_heads: float = _option(1.0, "Factor on lr for necks and class weights.")
    weight_decay: float = _option(1e-4, "Weight decay; normalisation and other one-dimensional weights are spared.")
    momentum: float = _option(0.9, "Momentum of optimizers that have one.")
    schedule: str = _option(
        "cosine", "timm schedule of the learning rate, stepped every update: cosine, step, multistep, none."
    )
    milestones: str = _option(
        "",
        "Shares of all updates behind which the multistep schedule takes a tenth of the learning rate: 0.5,0.8.",
        omitted=True,
    )
    warmup: float = _option(0.1, "Share of all updates over which the learning rate rises from 0 to its peak.")
    warmup_lr: float = _option(0.0, "Learning rate that this rise begins with, in place of 0.", omitted=True)
    lr_floor: float = _option(0.0, "Learning rate that the cosine schedule falls to.", omitted=True)
    margin_warmup: float = _option(
        0.15, "Share of all updates over which the head's margin rises from 0 to its full size."
    )
    clip: float = _option(
        10.0, "Largest gradient norm of trunk, operations and heads, each by itself; 0 = no clipping."
    )
    shared_gradients: str = _option(
        "mean", "Gradients of weights that several paths of a step used: mean or sum over those paths."
    )
    ema: float = _option(
        0.0, "Decay of the moving average of the weights that is kept in their place at the end; 0 = none."
    )
    scale: float = _option(16.0, "Scale s of the margin logits; 64 is usual for thousands of identities.")
    head_scales: str = _option("", "Scales of single heads in place of --scale, such as magface=32.", omitted=True)
    head_margins: str = _option(
        "", "Margins of single heads at full size, as shares of the published ones: arcface=0.6,...", omitted=True
    )
    head_penalties: str = _option(
        "",
        "Weights of single heads' penalties, as shares of the published ones: magface=0.5714 makes its 35 a 20.",
        omitted=True,
    )
    loss: str = _option("ce", "ce (cross-entropy) or focal.")
    teacher_share: float = _option(
        0.5,
        "With --teacher: the share of the loss that is disagreement with it; 1 = all of it, so that no label counts.",
        omitted=True,
    )
    focal_gamma: float = _option(2.0, "Exponent of the focal loss.")
    flip: bool = _option(True, "Mirror every other training image.")
    shift: float = _option(0.06, "Largest random shift of a training image, as a share of its side.")
    brightness: float = _option(0.2, "Largest random change of brightness and contrast, as a share.")
    cutout: float = _option(
        0.0, "Side of a square of a training image that becomes grey, as a share of its side.", omitted=True
    )
    train_precision: str = _option(
        BF16,
        "How CUDA computes: bf16 or fp16 (autocast; fp16 with a scaled loss), tf32 (products of float32 in "
        "TensorFloat-32) or float32. No effect on a CPU.",
    )
    non_finite_limit: int = _option(20, "Stop after this many skipped steps in a row (non-finite loss or gradient).")

    def __post_init__(self) -> None:
        positive = ("epochs", "batch", "lr", "scale", "lr_trunk", "lr_operations", "lr_heads", "non_finite_limit")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in (
            "weight_decay",
            "momentum",
            "clip",
            "focal_gamma",
            "shift",
            "brightness",
            "cutout",
            "ema",
            "warmup_lr",
            "lr_floor",
        ):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("warmup", "margin_warmup", "momentum", "shift", "brightness", "cutout", "ema"):
            if not getattr(self, name) < 1:
                raise ValueError(f"{name} must be below 1, got {getattr(self, name)}")
        if self.lr_floor and self.schedule != "cosine":
            raise ValueError(f"lr_floor is where the cosine schedule ends, got {self.lr_floor} for {self.schedule!r}")
        if self.warmup_lr and (self.schedule == "none" or not self.warmup):
            raise ValueError(f"warmup_lr is where a warm-up begins, got {self.warmup_lr} without a warm-up")
        if self.batch < 2:
            raise ValueError(f"batch must be 2 or more for batch normalisation, got {self.batch}")
        if self.train_precision not in PRECISIONS:
            raise ValueError(f"train_precision must be one of {', '.join(PRECISIONS)}, got {self.train_precision!r}")
        if not 1 <= self.accumulate <= self.batch / 2:
            raise ValueError(
                f"accumulate must be 1 to {self.batch // 2}, for 2 images or more a part of a batch of {self.batch}, "
                f"got {self.accumulate}"
            )
        if not 0 < self.teacher_share <= 1:
            raise ValueError(f"teacher_share must be above 0 and at most 1, got {self.teacher_share}")
        if self.loss not in ("ce", "focal"):
            raise ValueError(f"loss must be ce or focal, got {self.loss!r}")
        for name in _BY_HEAD:
            _by_head(getattr(self, name), name)
        if self.shared_gradients not in ("mean", "sum"):
            raise ValueError(f"shared_gradients must be mean or sum, got {self.shared_gradients!r}")
        if self.schedule not in ("cosine", "step", "multistep", "none"):
            raise ValueError(f"schedule must be cosine, step, multistep or none, got {self.schedule!r}")
        if bool(self.milestones) != (self.schedule == "multistep"):
            raise ValueError(f"milestones are of the multistep schedule, got {self.milestones!r} for {self.schedule!r}")
        _ = self.milestone_shares

    @property
    def milestone_shares(self) -> tuple[float, ...]:
        """Where the multistep schedule takes a tenth of the learning rate. Raises ValueError where that is no order."""
        try:
            shares = tuple(float(part) for part in self.milestones.split(",")) if self.milestones else ()
        except ValueError:
            shares = (math.nan,)
        if not all(low < high for low, high in pairwise((0.0, *shares, 1.0))):
            raise ValueError(
                f"milestones must rise between 0 and 1 and be joined by ',', such as 0.5,0.8, got {self.milestones!r}"
            )
        return shares

    @property
    def augmentation(self) -> dict[str, float]:
        """How training images are varied: the options of `images.augmentation.augment`."""
        return {name: getattr(self, name) for name in ("flip", "shift", "brightness", "cutout")}

    @property
    def half(self) -> bool:
        """Whether most numbers of a forward pass on CUDA take two bytes."""
        return self.train_precision in (BF16, FP16)

    def scale_of(self, head: str) -> float:
        """The scale s of a head's margin logits."""
        return _by_head(self.head_scales, "head_scales").get(head, self.scale)

    def margin_of(self, head: str) -> float:
        """A head's full margin, as a share of the published one."""
        return _by_head(self.head_margins, "head_margins").get(head, 1.0)

    def penalty_of(self, head: str) -> float:
        """The weight of a head's penalty, as a share of the published one."""
        return _by_head(self.head_penalties, "head_penalties").get(head, 1.0)

    def check_heads(self, known: Collection[str]) -> None:
        """Raise ValueError where a scale, a margin or a penalty is meant for a head that is not `known`."""
        for name in _BY_HEAD:
            if unknown := next((head for head in _by_head(getattr(self, name), name) if head not in known), None):
                raise ValueError(f"{name} names head {unknown!r}; choose from {', '.join(known)}")

    @staticmethod
    def upgraded(values: Mapping[str, object]) -> dict[str, object]:
        """Options as they were written once, by today's names: `amp` was bf16, and without it TF32."""
        current = dict(values)
        if type(current.get("amp")) is bool:
            current["train_precision"] = BF16 if current.pop("amp") else TF32
        return current


def _by_head(text: str, name: str) -> dict[str, float]:
    """Positive numbers by head, of head=number joined by commas. Raises ValueError, with the option's name."""
    values: dict[str, float] = {}
    for part in text.split(",") if text else ():
        head, _, number = part.strip().partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not head or head in values or not 0 < value < math.inf:
            raise ValueError(f"{name} must be different heads with numbers above 0, such as magface=32, got {text!r}")
        values[head] = value
    return values
