"""The blocks of a RefineNet decoder, as sections 3.2 and 3.3 of its paper name them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class BlockStyle:
    """What the blocks of one decoder have in common.

    Attributes:
        kernel_size: Of every convolution: 3 in RefineNet, 1 in Light-Weight RefineNet.
        adaptation_units: Residual conv units on each path into a block (2 in RefineNet).
        output_units: Residual conv units on a block's output (3 in RefineNet).
        fusion_convs: Whether each path has a convolution of its own before the sum.
        poolings: Poolings of each chain: 2 by default in the paper, 4 for its best results.
        improved_pooling: Convolve before pooling rather than after (the paper's figure 4, as the
            authors' later models have it).
        depthwise_pooling: Whether the chain's convolutions are depthwise (Multi-Task RefineNet).
        activation: "relu", or "relu6" with MobileNetV2.
        align_corners: How the coarser path is upsampled.
    """

    kernel_size: int = 3
    adaptation_units: int = 2
    output_units: int = 3
    fusion_convs: bool = True
    poolings: int = 4
    improved_pooling: bool = False
    depthwise_pooling: bool = False
    activation: str = "relu"
    align_corners: bool = True

    def conv(self, in_channels: int, out_channels: int, *, groups: int = 1) -> nn.Conv2d:
        """Make a convolution without bias that keeps the size."""
        return nn.Conv2d(
            in_channels,
            out_channels,
            self.kernel_size,
            padding=self.kernel_size // 2,
            groups=groups,
            bias=False,
        )


class ResidualConvUnit(nn.Module):
    """Add to the input what two convolutions make of it (RefineNet, 3.2 and figure 3b).

    The shortcut carries the input before its ReLU; the first convolution alone has a bias.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the refined map; the shape stays."""
        hidden = self.conv1(functional.relu(x_BCHW))
        return x_BCHW + self.conv2(functional.relu(hidden))  # type: ignore[no-any-return]


class MultiResolutionFusion(nn.Module):
    """Bring all paths to one width and to the finest size, and sum (RefineNet, 3.2, figure 3c).

    Args:
        convs: What each path goes through first: a convolution, or nothing (`nn.Identity`).
        align_corners: How coarser paths are upsampled.
    """

    def __init__(self, convs: Sequence[nn.Module], *, align_corners: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.align_corners = align_corners

    def forward(self, paths: Sequence[Tensor]) -> Tensor:
        """Return the sum, shape (B, channels, H, W) of the finest path, which comes first."""
        adapted = [conv(path) for conv, path in zip(self.convs, paths, strict=True)]
        fused: Tensor = adapted[0]
        for path in adapted[1:]:
            fused = fused + self._upsample(path, fused)
        return fused

    def _upsample(self, coarse_BCHW: Tensor, fine_BCHW: Tensor) -> Tensor:
        size = fine_BCHW.shape[-2:]
        if coarse_BCHW.shape[-2:] == size:
            return coarse_BCHW
        return functional.interpolate(
            coarse_BCHW, size=size, mode="bilinear", align_corners=self.align_corners
        )


class ChainedResidualPooling(nn.Module):
    """Add ever wider poolings of the input to it, each weighted (RefineNet, 3.2, figure 3d).

    The caller has applied the ReLU that opens the chain: the published code does so after fusing.
    """

    def __init__(self, channels: int, style: BlockStyle) -> None:
        super().__init__()
        groups = channels if style.depthwise_pooling else 1
        self.convs = nn.ModuleList(
            style.conv(channels, channels, groups=groups) for _ in range(style.poolings)
        )
        self.improved = style.improved_pooling

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the refined map; the shape stays."""
        top = x_BCHW
        for conv in self.convs:
            top = _pool(conv(top)) if self.improved else conv(_pool(top))
            x_BCHW = x_BCHW + top
        return x_BCHW


class RefineNetBlock(nn.Module):
    """Adapt each path, fuse, pool in a chain, refine the output (RefineNet, 3.2, figure 3a).

    Args:
        in_channels: Channels of each feature that enters, finest first.
        path_channels: Channels that each of them is reduced to and adapted at; the paths are fused
            at the smallest of these, which the output has as well.
        coarse_channels: Channels of the coarser block's output; 0 where there is none.
        style: What all blocks of the decoder share.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        path_channels: Sequence[int],
        *,
        coarse_channels: int,
        style: BlockStyle,
    ) -> None:
        super().__init__()
        self.channels = channels = min(path_channels)
        self.reductions = nn.ModuleList(map(style.conv, in_channels, path_channels))
        self.adaptations = nn.ModuleList(
            nn.Sequential(*(ResidualConvUnit(width) for _ in range(style.adaptation_units)))
            for width in path_channels
        )
        alone = len(path_channels) == 1 and not coarse_channels
        convs: list[nn.Module] = [
            nn.Identity() if alone or not style.fusion_convs else style.conv(width, channels)
            for width in path_channels
        ]
        if coarse_channels:
            convs.append(style.conv(coarse_channels, channels))
        self.fusion = MultiResolutionFusion(convs, align_corners=style.align_corners)
        self.activation = nn.ReLU6() if style.activation == "relu6" else nn.ReLU()
        self.pooling = ChainedResidualPooling(channels, style)
        self.output = nn.Sequential(
            *(ResidualConvUnit(channels) for _ in range(style.output_units))
        )

    def forward(self, features: Sequence[Tensor], coarse_BCHW: Tensor | None) -> Tensor:
        """Return the refined map (B, channels, H, W) at the resolution of the first feature."""
        paths = [
            adapt(reduce(feature))
            for reduce, adapt, feature in zip(
                self.reductions, self.adaptations, features, strict=True
            )
        ]
        if coarse_BCHW is not None:
            paths.append(coarse_BCHW)
        out: Tensor = self.output(self.pooling(self.activation(self.fusion(paths))))
        return out


def _pool(x_BCHW: Tensor) -> Tensor:
    return functional.max_pool2d(x_BCHW, kernel_size=5, stride=1, padding=2)
