"""The encoders: networks that turn an image into features of falling resolution."""

from torch import Tensor, nn

from refinenet_core.blocks import ConvNormActivation, InvertedResidual

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
