"""The convolution with its normalisation, as a layer.

Shape legend: B batch, H height, W width.
"""

from timm.layers import BatchNormAct2d, create_conv2d
from torch import Tensor, nn

EPSILON = 1e-3
"""Of every batch normalisation of a dual path network, as in timm."""


class NormalisedConv(nn.Module):
    """A bias-free convolution with BN and an `activation` before it ("pre"), behind it ("post"), or without them ("").

    Weights are drawn from a normal distribution by the number of inputs (He et al., 2015).
    """

    def __init__(
        self,
        norm: str,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int,
        groups: int,
        activation: type[nn.Module] | None = nn.ReLU,
        epsilon: float = EPSILON,
    ) -> None:
        super().__init__()
        self.pre = norm == "pre"
        self.conv = create_conv2d(in_channels, out_channels, kernel, stride=stride, groups=groups, padding=kernel // 2)
        nonlinearity = "relu" if norm and activation else "linear"
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_in", nonlinearity=nonlinearity)
        channels = in_channels if self.pre else out_channels
        act = {"apply_act": activation is not None, "act_layer": activation}
        self.bn = BatchNormAct2d(channels, eps=epsilon, **act) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        if self.bn is None:
            return self.conv(x)
        return self.conv(self.bn(x)) if self.pre else self.bn(self.conv(x))
