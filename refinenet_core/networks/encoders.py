"""The encoders: networks that turn an image into features of falling resolution."""

from collections import OrderedDict

from torch import Tensor, nn

from refinenet_core.networks.normalisation import rescale

# MobileNetV2, table 2, without its first and last rows: expansion, channels, blocks, stride.
_MOBILENET_V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

# ResNet, table 1: blocks of the second and third layer by depth; of the others three.
_RESNET_BLOCKS = {50: (4, 6), 101: (4, 23), 152: (8, 36)}


class MobileNetV2Encoder(nn.Module):
    """MobileNetV2 (Sandler et al., CVPR 2018) up to its last bottleneck."""

    channels = (24, 32, 64, 96, 160, 320)
    """Channels of each feature that `forward` returns."""
    strides = (4, 8, 16, 16, 32, 32)
    """Stride of each feature that `forward` returns."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormActivation(3, 32, kernel_size=3, stride=2)
        self.stages = nn.ModuleList()
        in_channels = 32
        for expansion, channels, blocks, stride in _MOBILENET_V2_STAGES:
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(
                    InvertedResidual(
                        in_channels,
                        channels,
                        stride=stride if block == 0 else 1,
                        expansion=expansion,
                    )
                )
                in_channels = channels
            self.stages.append(stage)

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        """Return the features of stages 2 to 7, finest first.

        Args:
            images_BCHW: Normalised images, shape (B, 3, H, W).

        Returns:
            Six tensors (B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])).
        """
        x = self.stem(images_BCHW)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[1:]


class ResNetEncoder(nn.Module):
    """ResNet-50, -101 or -152 (He et al., CVPR 2016) without its classifier.

    Modules have torchvision's names, and the stride is on the 3x3 convolution as in torchvision:
    its ImageNet weights load by name.

    Args:
        depth: 50, 101 or 152.
    """

    channels = (256, 512, 1024, 2048)
    """Channels of each feature that `forward` returns."""
    strides = (4, 8, 16, 32)
    """Stride of each feature that `forward` returns."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        second, third = _RESNET_BLOCKS[depth]
        self.layer1 = _resnet_layer(64, 64, blocks=3, stride=1)
        self.layer2 = _resnet_layer(256, 128, blocks=second, stride=2)
        self.layer3 = _resnet_layer(512, 256, blocks=third, stride=2)
        self.layer4 = _resnet_layer(1024, 512, blocks=3, stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        """Return the features of the four layers, finest first.

        Args:
            images_BCHW: Normalised images, shape (B, 3, H, W).

        Returns:
            Four tensors (B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])).
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(images_BCHW))))
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


class Bottleneck(nn.Module):
    """Reduce 1x1, convolve 3x3, widen 1x1, and add the input (ResNet, figure 5, right).

    The widened map has four times the width.
    """

    def __init__(self, in_channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return features (B, 4 * width, ceil(H / stride), ceil(W / stride))."""
        hidden = self.relu(self.bn1(self.conv1(x_BCHW)))
        hidden = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(hidden)))))
        hidden += x_BCHW if self.downsample is None else self.downsample(x_BCHW)
        out: Tensor = self.relu(hidden)
        return out


def _resnet_layer(in_channels: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, width, stride=stride)
    return nn.Sequential(
        first, *(Bottleneck(4 * width, width, stride=1) for _ in range(blocks - 1))
    )


class TwoScaleEncoder(nn.Module):
    """Two independent ResNets, one for the image enlarged and one for it reduced.

    RefineNet, figure 7c and table 9: the image is scaled by 1.2 and by 0.6, so that each layer of
    the first ResNet has the resolution of the next finer layer of the second one.

    Args:
        depth: Of both ResNets: 50, 101 or 152.
    """

    channels = ResNetEncoder.channels * 2
    """Channels of each feature that `forward` returns."""
    scales = (1.2, 0.6)
    """Factors on the image's sides."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.enlarged = ResNetEncoder(depth)
        self.reduced = ResNetEncoder(depth)

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        """Return four features of the enlarged image, finest first, then four of the reduced."""
        enlarge, reduce = self.scales
        fine: list[Tensor] = self.enlarged(rescale(images_BCHW, enlarge))
        coarse: list[Tensor] = self.reduced(rescale(images_BCHW, reduce))
        return fine + coarse


class ConvNormActivation(nn.Sequential):
    """Convolution without bias, batch normalisation and, unless linear, ReLU6 (MobileNetV2)."""

    conv: nn.Conv2d

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
