"""The blocks that a RefineNet decoder is built from, and the convolution of its encoders."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


def conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Make the 1x1 convolution without bias of which Light-Weight RefineNet's decoder consists."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)


class ConvNormActivation(nn.Sequential):
    """Convolution without bias, batch normalisation and, unless linear, ReLU6 (MobileNetV2)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv=nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=kernel_size // 2,
                groups=groups,
                bias=False,
            ),
            norm=nn.BatchNorm2d(out_channels),
        )
        if not linear:
            layers["activation"] = nn.ReLU6(inplace=True)
        super().__init__(layers)


class InvertedResidual(nn.Module):
    """Expand 1x1, filter depthwise 3x3, project 1x1 (MobileNetV2, section 3.3).

    The expanding convolution is there for `expansion=1` as well: the published RefineNet weights
    have one.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = ConvNormActivation(in_channels, hidden)
        self.depthwise = ConvNormActivation(
            hidden, hidden, kernel_size=3, stride=stride, groups=hidden
        )
        self.project = ConvNormActivation(hidden, out_channels, linear=True)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """Return features (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.project(self.depthwise(self.expand(features_BCHW)))
        return features_BCHW + out if self.residual else out


class MultiResolutionFusion(nn.Module):
    """Bring features to one width, the coarser path to the finer size, and sum (RefineNet, 3.2).

    Args:
        in_channels: Channels of each feature of this resolution.
        channels: Channels of the sum.
        coarse_channels: Channels of the coarser block's output; 0 where there is none.
    """

    def __init__(
        self, in_channels: Sequence[int], channels: int, *, coarse_channels: int = 0
    ) -> None:
        super().__init__()
        self.reductions = nn.ModuleList(conv1x1(count, channels) for count in in_channels)
        self.coarse = conv1x1(coarse_channels, channels) if coarse_channels else None

    def forward(self, features: Sequence[Tensor], coarse_BCHW: Tensor | None = None) -> Tensor:
        """Return the sum, shape (B, channels, H, W) with H and W of the first feature."""
        paths = [reduce(feature) for reduce, feature in zip(self.reductions, features, strict=True)]
        if self.coarse is not None and coarse_BCHW is not None:
            paths.append(
                functional.interpolate(
                    self.coarse(coarse_BCHW),
                    size=paths[0].shape[-2:],
                    mode="bilinear",
                    align_corners=True,
                )
            )
        fused: Tensor = paths[0]
        for path in paths[1:]:
            fused = fused + path
        return fused


class ChainedResidualPooling(nn.Module):
    """Add ever wider poolings of the input to it, each through a learnt weight (RefineNet, 3.2).

    The caller has applied the ReLU that opens the chain: the published code does so after fusing.
    """

    def __init__(self, channels: int, *, poolings: int = 4) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv1x1(channels, channels) for _ in range(poolings))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the refined map; the shape stays."""
        top = x_BCHW
        for conv in self.convs:
            top = conv(functional.max_pool2d(top, kernel_size=5, stride=1, padding=2))
            x_BCHW = x_BCHW + top
        return x_BCHW
